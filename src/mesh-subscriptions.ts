/** Subscriptions: copies of events that capabilities of this node and of others raise, for whoever observes them. Nothing of it has a part in delivery. */
import type { CapabilityDeclaration } from '../protocols/capability.ts'
import { encodeSequence } from '../protocols/trigger/event-names.ts'
import { MAX_EVENT_PATTERNS, decodeEvent, type EventCopy } from '../protocols/trigger/messages.ts'
import type { Offer } from './core/candidates.ts'
import { originBytes, originId } from './core/document.ts'
import { createCopyQueue } from './core/triggers/copy-queue.ts'
import { createEventFilter, type EventFilter } from './core/triggers/event-filter.ts'
import { MeshError, abortError, toMeshError } from './errors.ts'
import type { MeshTriggers, ObservedEvent, ObserverFunction, Subscription, SubscriptionOptions } from './mesh-api-events.ts'
import type { MeshComponents } from './mesh-components.ts'
import { createEventCopies, type EventCopies, type EventCopiesComponents } from './net/event-copies.ts'
import { MAX_OBSERVED_NODES, createObservedNodes, type ObservedNodesComponents } from './net/observed-nodes.ts'
import type { RaisedEvent } from './triggers/raise.ts'

/** Subscriptions of one node at the same time. */
export const MAX_SUBSCRIPTIONS = 256
/** Copies that wait for one subscription; past it the oldest go. */
export const SUBSCRIPTION_ROOM = { copies: 1_000, bytes: 4 * 1024 * 1024 } as const

/** See {@link createMeshSubscriptions}. */
export interface MeshSubscriptions extends Pick<MeshTriggers, 'on'>, Pick<EventCopies, 'observe' | 'less'> {
  /** A capability of this node raises an event. */
  raised(event: RaisedEvent, capability: CapabilityDeclaration | undefined): void
  /** Who offers what has changed. @param back PeerIds of nodes that are there again. */
  changed(back: Iterable<string>): void
  stop(): void
}

/** What they need. */
export interface MeshSubscriptionsComponents
  extends
    Pick<MeshComponents, 'membership' | 'now' | 'random' | 'log'>,
    Pick<ObservedNodesComponents, 'connect'>,
    Pick<EventCopiesComponents, 'observerOf'> {
  /** PeerId of this node. */
  self: string
  /** Everything that is offered now, by this node and others. */
  offers(): readonly Offer[]
  nameOf(node: string): string
  count(counter: string): void
}

/** A copy, and whose. */
interface HeldCopy extends EventCopy {
  node: string
}

interface Open {
  pattern: string
  fits: EventFilter
  push(copy: HeldCopy): void
  /** Whether its nodes are observed has changed. */
  tell(): void
  close(): void
}

/** See {@link MeshSubscriptions}. */
export function createMeshSubscriptions(components: MeshSubscriptionsComponents): MeshSubscriptions {
  const { self, membership, now, random, log, connect, offers, observerOf, nameOf, count } = components
  const subscriptions = new Set<Open>()
  let stopped = false
  let isLooking = false
  let isTelling = false
  /** That there are more than can be observed. */
  let isTold = false
  /** Of the patterns of all subscriptions. */
  let fitsAny: EventFilter = () => false

  const copies = createEventCopies({
    observerOf,
    own: () => offers().flatMap(({ local, capability }) => (local ? [capability] : [])),
    onDropped: () => count('events.copies_dropped'),
    now
  })
  const observed = createObservedNodes({
    connect,
    onCopy(copy, node) {
      const event = decodeEvent(copy.event)
      const { source, type } = event
      const prefix = `${copy.type.replaceAll('/', '.')}.`
      if (source.mesh !== membership.mesh || source.node !== node || !type.startsWith(prefix))
        throw new MeshError('protocol_error', 'a copy of an event that this node cannot have raised')
      give({ ...copy, node }, type.slice(prefix.length))
    },
    onRefused: (node, ids) => log('warn', `${nameOf(node)} does not let this node observe ${ids.join(', ')}`),
    onStates() {
      if (isTelling || stopped) return
      isTelling = true
      queueMicrotask(() => {
        isTelling = false
        for (const one of [...subscriptions]) one.tell()
      })
    },
    now,
    random
  })

  function give(copy: HeldCopy, event: string): void {
    for (const one of subscriptions) if (one.fits(copy.type, event)) one.push(copy)
  }

  /** Many subscriptions come and go together. */
  function changed(): void {
    const patterns = [...new Set([...subscriptions].map(({ pattern }) => pattern))]
    fitsAny = createEventFilter(patterns)
    if (isLooking) return
    isLooking = true
    queueMicrotask(() => {
      isLooking = false
      look()
    })
  }

  function look(): void {
    if (stopped) return
    const patterns = [...new Set([...subscriptions].map(({ pattern }) => pattern))].sort()
    observed.want(patterns, patterns.length === 0 ? [] : sources())
  }

  /** Nodes that may raise what is observed: the nearest first, if there are too many. */
  function sources(): string[] {
    const found = new Map<string, number>()
    for (const offer of offers()) {
      if (offer.local || offer.mesh !== undefined || found.has(offer.node)) continue
      const { type, capability } = offer
      if (capability.triggers?.some(({ event }) => fitsAny(type, event)) === true) found.set(offer.node, offer.hops ?? Infinity)
    }
    if (found.size > MAX_OBSERVED_NODES && !isTold)
      log('warn', `${found.size} nodes raise what is observed here; the nearest ${MAX_OBSERVED_NODES} are`)
    isTold = found.size > MAX_OBSERVED_NODES
    return [...found].sort(([, a], [, b]) => (a === b ? 0 : a - b)).map(([node]) => node)
  }

  function on(pattern: string, handler: ObserverFunction, { signal, onSources }: SubscriptionOptions = {}): Subscription {
    if (stopped) throw new MeshError('unavailable', 'the node is stopping')
    if (signal?.aborted === true) throw abortError(signal)
    const fits = createEventFilter([pattern])
    const known = new Set([...subscriptions].map((one) => one.pattern))
    if (subscriptions.size >= MAX_SUBSCRIPTIONS || known.add(pattern).size > MAX_EVENT_PATTERNS)
      throw new MeshError(
        'busy',
        `this node has ${subscriptions.size} subscriptions; ${MAX_SUBSCRIPTIONS} of ${MAX_EVENT_PATTERNS} patterns are the most`
      )
    let dropped = 0
    let isRunning = false
    let isFailing = false
    const queue = createCopyQueue<HeldCopy>(SUBSCRIPTION_ROOM, () => {
      dropped++
      count('events.copies_dropped')
    })

    /** Never while an event is raised: who raises one waits for nobody. */
    async function run(): Promise<void> {
      isRunning = true
      await Promise.resolve()
      for (let next = queue.take(); next !== undefined; next = queue.take()) {
        try {
          await handler(viewOf(next.copy, next.lost))
          isFailing = false
        } catch (error) {
          failed(error)
        }
      }
      isRunning = false
    }

    function failed(error: unknown): void {
      count('events.observer_failed')
      if (!isFailing) log('warn', `an observer of "${pattern}" failed: ${toMeshError(error).message}`)
      isFailing = true
    }

    const own: Open = {
      pattern,
      fits,
      push(copy) {
        queue.push(copy)
        if (!isRunning) void run()
      },
      tell() {
        try {
          if (subscriptions.has(own)) onSources?.(observed.states())
        } catch (error) {
          failed(error)
        }
      },
      close() {
        if (!subscriptions.delete(own)) return
        signal?.removeEventListener('abort', own.close)
        queue.clear()
        changed()
      }
    }
    subscriptions.add(own)
    signal?.addEventListener('abort', own.close, { once: true })
    changed()
    return {
      pattern,
      get dropped() {
        return dropped
      },
      sources: () => (subscriptions.has(own) ? observed.states() : []),
      close: own.close,
      [Symbol.dispose]: own.close
    }
  }

  return {
    on,
    observe: copies.observe,
    less: copies.less,
    raised({ encoded, event, causes }, capability) {
      if (capability === undefined || (subscriptions.size === 0 && copies.size === 0)) return
      const by = causes.length > 0 ? causes.map(originBytes) : undefined
      const copy = { type: capability.type, event: encoded, causes: by, lost: 0 }
      if (fitsAny(capability.type, event)) give({ ...copy, node: self }, event)
      copies.raised(capability, event, copy)
    },
    changed(back) {
      if (subscriptions.size === 0) return
      look()
      for (const node of back) observed.back(node)
    },
    stop() {
      stopped = true
      observed.stop()
      copies.stop()
      for (const one of [...subscriptions]) one.close()
    }
  }
}

/** Each observer gets an event of its own, to do with as it likes. */
function viewOf({ event: encoded, type: capabilityType, causes = [], node }: HeldCopy, lost: number): ObservedEvent {
  const event = decodeEvent(encoded)
  const { source, id, type, subject, time, traceparent, priority, intent, hopDepth, coalesced, data, dataRef } = event
  return {
    id,
    mesh: source.mesh,
    node,
    capability: source.capability,
    capabilityType,
    event: type.slice(capabilityType.length + 1),
    type,
    sequence: encodeSequence(event.sequence),
    ...(subject !== undefined && { subject }),
    ...(time !== undefined && { time }),
    ...(traceparent !== undefined && { traceparent }),
    ...(event.routeHint !== undefined && { routeHint: event.routeHint }),
    priority,
    intent,
    payload: data,
    ...(dataRef !== undefined && { dataRef: { ...dataRef, contentType: event.dataContentType ?? 'application/json' } }),
    depth: hopDepth,
    coalesced: coalesced?.count ?? 1,
    lost,
    causes: [...causes.map(originId), node]
  }
}
