/** Nodes whose events this one observes: one exchange with each, opened again when it ends. */
import { decodeCopy, encodeTriggerOpen, type EventCopy } from '../../protocols/trigger/messages.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { Session } from './session.ts'

/** Nodes that this one observes at most. */
export const MAX_OBSERVED_NODES = 256
/** Nodes that are asked at the same time: each may need a connection first. */
export const MAX_ASKING = 8
/** First wait after a node could not be observed, in ms; twice as long each time. */
export const OBSERVE_AGAIN_MS = 500
/** Longest wait, in ms; and the first where the node itself does not want to. */
export const MAX_OBSERVE_AGAIN_MS = 60_000

/** A node that is reached answers within this time, in ms. */
export const OBSERVE_WITHIN_MS = 10_000
/** An exchange that lasted so long was a good one, in ms: when it ends, waits begin anew. */
const GOOD_AFTER_MS = 10_000

/** What the nodes say that would say the same in a moment. */
const LASTING: readonly string[] = ['permission_denied', 'unsupported', 'protocol_error']

/** Whether the events of a node arrive here. */
export interface ObservedState {
  node: string
  /** `open`: they do; `asking`: not yet, or not now. */
  state: 'asking' | 'open'
  /** Ids of capabilities whose events the node keeps to itself. */
  refused: readonly string[]
}

/** See {@link createObservedNodes}. */
export interface ObservedNodes {
  /** What is to be observed from now on, and at whom. */
  want(patterns: readonly string[], nodes: readonly string[]): void
  /** A node is there again: it is asked at once. */
  back(node: string): void
  states(): ObservedState[]
  stop(): void
}

/** What it needs. */
export interface ObservedNodesComponents {
  /** The session with a node, once it is reached. */
  connect(node: string): Promise<Session>
  /** @throws MeshError `protocol_error` if the event in it is none that this node can have raised: nothing more is read from it. */
  onCopy(copy: EventCopy, node: string): void
  /** The node does not let this one observe these capabilities. Told again only when they are others. */
  onRefused(node: string, capabilities: readonly string[]): void
  /** What `states` says may be something else now. */
  onStates(): void
  now: () => number
  random: () => number
}

interface Observed {
  /** The exchange over which copies come. */
  open: AbortController | undefined
  /** The one that is to take its place. */
  asking: AbortController | undefined
  /** It waits to be asked, since when it is due. Undefined: nothing is to be asked. */
  dueAt: number | undefined
  waitMs: number
  refused: readonly string[]
}

/** Order and completeness are not promised: what is raised while a node is asked anew, or is away, does not come. */
export function createObservedNodes(components: ObservedNodesComponents): ObservedNodes {
  const { connect, onCopy, onRefused, onStates, now, random } = components
  const nodes = new Map<string, Observed>()
  let patterns: readonly string[] = []
  let asking = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  let stopped = false

  const enough = (): MeshError => new MeshError('cancelled', 'nobody here observes it any more')

  /** Asks whoever is due, as long as there is room, and comes back when the next one is. */
  function fill(): void {
    clearTimeout(timer)
    if (stopped) return
    let next = Infinity
    for (const [node, one] of nodes) {
      if (one.dueAt === undefined) continue
      if (one.dueAt <= now()) {
        if (asking < MAX_ASKING) void ask(node, one)
      } else next = Math.min(next, one.dueAt)
    }
    if (next === Infinity) return
    timer = setTimeout(fill, Math.max(1, next - now()))
    timer.unref?.()
  }

  async function ask(node: string, one: Observed): Promise<void> {
    const own = new AbortController()
    one.asking?.abort(enough())
    one.asking = own
    one.dueAt = undefined
    asking++
    let openedAt: number | undefined
    let isAsking = true
    let late: ReturnType<typeof setTimeout> | undefined
    const asked = (): void => {
      if (!isAsking) return
      isAsking = false
      asking--
      clearTimeout(late)
      if (one.asking === own) one.asking = undefined
    }
    let failed: MeshError | undefined
    try {
      const session = await connect(node)
      own.signal.throwIfAborted()
      late = setTimeout(() => own.abort(new MeshError('unavailable', 'the node does not answer')), OBSERVE_WITHIN_MS)
      const open = encodeTriggerOpen({ kind: 'observe', patterns })
      for await (const body of session.request(open, { signal: own.signal })) {
        const item = decodeCopy(body)
        if ('refused' in item !== isAsking) throw new MeshError('protocol_error', 'the first item must say so, and no other one')
        if (!('refused' in item)) onCopy(item, node)
        else {
          asked()
          one.open?.abort(enough())
          one.open = own
          openedAt = now()
          tell(node, one, item.refused)
          fill()
        }
      }
    } catch (error) {
      failed = toMeshError(error)
    }
    asked()
    if (one.open === own) {
      one.open = undefined
      onStates()
    }
    if (openedAt !== undefined && now() - openedAt >= GOOD_AFTER_MS) one.waitMs = OBSERVE_AGAIN_MS
    // Of one that was open another may have taken the place; one that was refused is asked for anew, whatever goes on beside it.
    const isNeeded = one.open === undefined || openedAt === undefined
    if (nodes.get(node) === one && one.asking === undefined && one.dueAt === undefined && isNeeded) again(one, failed)
    fill()
  }

  function tell(node: string, one: Observed, refused: readonly string[]): void {
    const isNew = refused.some((id) => !one.refused.includes(id))
    one.refused = refused
    onStates()
    if (isNew) onRefused(node, refused)
  }

  function again(one: Observed, failed: MeshError | undefined): void {
    if (failed !== undefined && LASTING.includes(failed.code)) one.waitMs = MAX_OBSERVE_AGAIN_MS
    one.dueAt = now() + one.waitMs * (0.5 + random() / 2)
    one.waitMs = Math.min(MAX_OBSERVE_AGAIN_MS, one.waitMs * 2)
  }

  function forget(node: string, one: Observed): void {
    nodes.delete(node)
    onStates()
    one.asking?.abort(enough())
    one.open?.abort(enough())
  }

  return {
    want(next, wanted) {
      if (stopped) return
      const isOther = next.length !== patterns.length || next.some((pattern, at) => pattern !== patterns[at])
      patterns = [...next]
      const kept = new Set(next.length === 0 ? [] : wanted.slice(0, MAX_OBSERVED_NODES))
      for (const [node, one] of nodes) {
        if (!kept.has(node)) forget(node, one)
        else if (isOther) one.dueAt = now()
      }
      for (const node of kept) {
        if (nodes.has(node)) continue
        nodes.set(node, { open: undefined, asking: undefined, dueAt: now(), waitMs: OBSERVE_AGAIN_MS, refused: [] })
        onStates()
      }
      fill()
    },
    back(node) {
      const one = nodes.get(node)
      if (one?.dueAt === undefined) return
      Object.assign(one, { dueAt: now(), waitMs: OBSERVE_AGAIN_MS })
      fill()
    },
    states: () =>
      [...nodes].map(([node, { open, refused }]) => ({
        node,
        state: open === undefined ? ('asking' as const) : ('open' as const),
        refused
      })),
    stop() {
      stopped = true
      clearTimeout(timer)
      for (const [node, one] of nodes) forget(node, one)
    }
  }
}
