/** For backends whose tools can be there or not: looks again, and says only what changed. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { HandlerCalls } from './handler-calls.ts'

/** Time between two looks, in ms. */
export const RECHECK_MS = 30_000

/** Snapshots over time, with a way to ask for a look out of turn. */
export interface Recheck {
  /** Yields the first snapshot, then each one that differs from the last, until the signal aborts. */
  snapshots(signal: AbortSignal): AsyncGenerator<CapabilityDeclaration[], void, void>
  /** Looks again now, or once the look that is going on has ended: a call has just seen that something is missing. */
  now(): void
}

/**
 * `discover` of a backend that is looked at: when it ends, so do its calls, and then what else it holds.
 * @param free - lets that go.
 */
export async function* discoverBy(
  recheck: Recheck,
  calls: Pick<HandlerCalls, 'stop'>,
  signal: AbortSignal,
  free: () => void | Promise<void> = () => undefined
): AsyncGenerator<CapabilityDeclaration[], void, void> {
  try {
    yield* recheck.snapshots(signal)
  } finally {
    await calls.stop(new MeshError('unavailable', 'the provider is stopping'))
    await free()
  }
}

/** Makes a recheck. `look` does not throw: what is missing it says in `status` and `statusReason`. Its signal aborts when nobody looks any more. */
export function createRecheck(
  look: (signal: AbortSignal) => Promise<CapabilityDeclaration[]>,
  init: { everyMs?: number } = {}
): Recheck {
  let wake: (() => void) | undefined
  /** Asked for since the last look began: what that saw may be older. */
  let again = false
  return {
    now() {
      again = true
      wake?.()
    },
    async *snapshots(signal) {
      const onAbort = (): void => wake?.()
      signal.addEventListener('abort', onAbort)
      let timer: ReturnType<typeof setTimeout> | undefined
      let last = ''
      try {
        while (!signal.aborted) {
          again = false
          const snapshot = await look(signal)
          const text = JSON.stringify(snapshot)
          if (text !== last) {
            last = text
            yield snapshot
          }
          if (signal.aborted) return
          if (again) continue
          await new Promise<void>((resolve) => {
            wake = resolve
            timer = setTimeout(resolve, init.everyMs ?? RECHECK_MS)
          })
          clearTimeout(timer)
        }
      } finally {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
      }
    }
  }
}
