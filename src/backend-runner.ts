import type { CapabilityDeclaration } from '../protocols/capability.ts'
import type { Backend, TriggerEvent } from './backends/backend.ts'
import type { LocalTools } from './calls/local-tools.ts'
import { statusOf } from './core/query.ts'
import type { BackendView } from './mesh-api-backends.ts'
import type { NewMeshEvent } from './mesh-events.ts'

/** A backend that has not freed what it holds by then is left behind, in ms. */
export const BACKEND_STOP_TIMEOUT_MS = 5_000

/** Keeps backends running and what they offer up to date. */
export interface BackendRunner {
  add(backend: Backend): void
  states(): BackendView[]
  /** Ids of those of which it is not known yet what they offer. */
  starting(): string[]
  /** Ends all backends and waits until they have freed what they hold. */
  stop(): Promise<void>
}

/** What it needs. */
export interface BackendRunnerComponents {
  /** PeerId of this node. */
  self: string
  tools: LocalTools
  emit: (event: NewMeshEvent) => void
  /** Raises what a backend watches. @throws MeshError if it is not as the capability declares it. */
  raise(event: TriggerEvent): Promise<unknown>
  log: (level: 'info' | 'warn', message: string) => void
}

/** See {@link BackendRunner}. A backend that throws is shown as offline with its reason; the node runs on. */
export function createBackendRunner({ self, tools, emit, raise, log }: BackendRunnerComponents): BackendRunner {
  const controllers = new Set<AbortController>()
  const running = new Map<Backend, { state: BackendView; ended: Promise<unknown> }>()
  const starting = new Set<Backend>()

  function show(state: BackendView, next: 'online' | 'degraded' | 'offline', reason: string | undefined): void {
    if (state.state === next && state.reason === reason) return
    state.state = next
    if (reason === undefined) delete state.reason
    else state.reason = reason
    emit({ event: 'backend', id: state.id, state: next, ...(reason === undefined ? {} : { reason }) })
    if (next === 'offline') log('warn', `backend ${state.id} is offline: ${reason ?? 'no reason given'}`)
  }

  /** @param onOffered what it offers is known, or it will not be. */
  async function discover(backend: Backend, state: BackendView, signal: AbortSignal, onOffered: () => void): Promise<void> {
    try {
      for await (const snapshot of backend.discover(signal)) {
        const faults = tools.apply(backend, snapshot)
        onOffered()
        for (const { id, error } of faults)
          log('warn', `backend ${backend.id} offers "${id}", which is left out: ${error.message}`)
        show(state, ...stateOf(snapshot, faults[0]?.error.message))
      }
    } catch (error) {
      show(state, 'offline', (error as Error).message)
    } finally {
      onOffered()
      tools.apply(backend, [], 'shutdown')
    }
  }

  async function watch(backend: Backend, signal: AbortSignal, offered: Promise<void>): Promise<void> {
    try {
      for await (const raised of backend.watch?.(signal) ?? []) {
        // What it says first may be about what nobody knows yet.
        await offered
        const { capability, event, payload } = raised
        emit({ event: 'trigger', node: self, capability, trigger: event, payload })
        raise(raised).catch((error: unknown) =>
          log(
            'warn',
            `backend ${backend.id} raises "${event}" of "${capability}", which is left out: ${(error as Error).message}`
          )
        )
      }
    } catch (error) {
      log('warn', `the events of backend ${backend.id} ended: ${(error as Error).message}`)
    }
  }

  return {
    add(backend) {
      const state: BackendView = { id: backend.id, kind: backend.kind, state: 'starting' }
      const controller = new AbortController()
      controllers.add(controller)
      const { signal } = controller
      let onOffered!: () => void
      starting.add(backend)
      const offered = new Promise<void>((resolve) => (onOffered = resolve)).finally(() => starting.delete(backend))
      const parts = [discover(backend, state, signal, onOffered), watch(backend, signal, offered)]
      running.set(backend, { state, ended: Promise.all(parts) })
    },
    starting: () => [...starting].map(({ id }) => id),
    states: () =>
      [...running].map(([backend, { state }]) => {
        const waiting = backend.waiting?.() ?? 0
        return { ...state, ...(waiting > 0 && { waiting }) }
      }),
    async stop() {
      for (const controller of controllers) controller.abort()
      let timer: ReturnType<typeof setTimeout> | undefined
      const late = new Promise((resolve) => (timer = setTimeout(resolve, BACKEND_STOP_TIMEOUT_MS)))
      await Promise.race([Promise.all([...running.values()].map(({ ended }) => ended)), late])
      clearTimeout(timer)
    }
  }
}

/** What a backend is by what it offers, and why. @param fault why something of that is left out. */
function stateOf(
  snapshot: CapabilityDeclaration[],
  fault: string | undefined
): ['online' | 'degraded' | 'offline', string | undefined] {
  const having = (...states: string[]) => snapshot.filter((declaration) => states.includes(statusOf(declaration)))
  const down = having('offline')
  if (down.length > 0 && down.length === snapshot.length) return ['offline', down[0]!.statusReason]
  const [worse] = having('degraded', 'offline')
  if (fault !== undefined || worse !== undefined) return ['degraded', fault ?? worse?.statusReason]
  return ['online', having('busy', 'suspended')[0]?.statusReason]
}
