/** Events that arrive: who may have them handled, what is kept of them, and which capability of this node runs. */
import type { CapabilityDeclaration } from '../protocols/capability.ts'
import type { Delivery, MeshEvent as WireEvent } from '../protocols/trigger/messages.ts'
import { originId } from './core/document.ts'
import type { InvokeOptions } from './core/invoke.ts'
import { failureOf } from './core/triggers/failure.ts'
import { createInbox } from './core/triggers/inbox.ts'
import type { InboxEffect } from './core/triggers/inbox-contract.ts'
import { createSeenEvents, type Settled } from './core/triggers/seen-events.ts'
import { MeshError, toMeshError } from './errors.ts'
import type { EventFunction } from './mesh-api-events.ts'
import type { MeshComponents } from './mesh-components.ts'
import { createEffectQueue } from './mesh-effects.ts'
import type { DeliveryOrigin } from './net/trigger.ts'
import { arrivedOf } from './triggers/arrived-event.ts'
import { createHandling, type ArrivedEvent } from './triggers/handling.ts'
import { createInboxLog } from './triggers/inbox-log.ts'
import { createPayloadArrivals, type PayloadArrivalsComponents } from './triggers/payload-arrivals.ts'
import { createPayloadMemory } from './triggers/payload-store.ts'

/** Handlers that run when the node stops have so long to finish, in ms. */
export const FINISH_WITHIN_MS = 2_000
/** What is remembered of events that were handled is looked through this often, in ms. */
const FORGET_EVERY_MS = 60_000

/** See {@link createIncomingEvents}. */
export interface IncomingEvents {
  /** @throws MeshError: the answer to this delivery. */
  receive(event: WireEvent, delivery: Delivery, peer: string, to: DeliveryOrigin): void
  /** Capabilities of this node may have come. */
  changed(): void
  tick(now: number): void
  /** When `tick` is next to be called. */
  readonly nextAt: number
  /** Events that were accepted and are not done. */
  readonly size: number
  /** Lets what runs finish. */
  stop(): Promise<void>
}

/** What they need. */
export interface IncomingEventsComponents extends Pick<MeshComponents, 'membership' | 'now' | 'log' | 'events'> {
  /** PeerId of this node. */
  self: string
  /** A capability of this node, and what runs its events. */
  local(capability: string): { declaration: CapabilityDeclaration; handle: EventFunction | undefined } | undefined
  /** Before an event is taken in. @throws MeshError `permission_denied`, `busy`. */
  admit(event: ArrivedEvent, capability: CapabilityDeclaration): void
  /** The payload that an event of another node refers to, from there; and of this node itself. @param hash lower-case hex. */
  fetch: PayloadArrivalsComponents['fetch']
  own: PayloadArrivalsComponents['own']
  holdsOwn: PayloadArrivalsComponents['holdsOwn']
  /** Before it is handled: may wait for a person to agree. @throws MeshError `permission_denied`. */
  authorize(event: ArrivedEvent, capability: CapabilityDeclaration, options: InvokeOptions): Promise<void> | undefined
  /** What those are that have caused an event. */
  standingsOf(event: ArrivedEvent): ArrivedEvent['standings']
  /** Changes something, does what follows from it, and sees to what is due next. */
  change<T>(work: () => T): T
  count(counter: string): void
}

/** See {@link IncomingEvents}. */
export function createIncomingEvents(components: IncomingEventsComponents): IncomingEvents {
  const { membership, now, log, events, local, admit, authorize, standingsOf, change, count } = components
  const { mesh } = membership
  const stored =
    events === undefined
      ? undefined
      : createInboxLog(events.inbox, {
          mesh,
          now,
          clock: Date.now,
          handled: () => seen.stored(now()),
          onDamaged: () => count('events.damaged')
        })
  const store = events?.inboxPayloads ?? createPayloadMemory()
  const payloads = createPayloadArrivals({ ...components, store, kept: stored?.kept ?? [] })
  const seen = createSeenEvents(stored?.seen, now())
  const effects = createEffectQueue<InboxEffect<ArrivedEvent, DeliveryOrigin>>(act)
  let forgetAt = now() + FORGET_EVERY_MS
  let stopping = false
  /** Told once, until it goes well again. */
  let isFailing = false

  const inbox = createInbox<ArrivedEvent, DeliveryOrigin>({
    seen,
    isOrdered: (handler) => local(handler)?.declaration.handles?.ordered === true,
    isHere: (handler) => targetOf(handler) !== undefined,
    isLive: ({ answers, number }) => answers.isOpen(number),
    admit: (event) => {
      try {
        const declaration = checkTarget(event.handler)
        admit(event, declaration)
        payloads.admit(event)
        return undefined
      } catch (error) {
        return failureOf(toMeshError(error))
      }
    },
    emit: effects.push
  })
  const handling = createHandling({
    functionOf: (handler) => local(handler)?.handle,
    take: (handler) => effects.around(() => inbox.take(handler, now())),
    finish: (event, outcome) => change(() => effects.around(() => inbox.finish(event, outcome, now()))),
    authorize: (event, signal) => authorize(event, local(event.handler)!.declaration, { signal })?.then(() => allowed(event)),
    arrived: payloads.get,
    load: payloads.load
  })

  function act(effect: InboxEffect<ArrivedEvent, DeliveryOrigin>): void {
    switch (effect.kind) {
      case 'answer':
        return effect.to.answers.answer(effect.to.number, effect.answer)
      case 'ready':
        return handling.ready(effect.handler)
      case 'keep':
        return keep(effect.event)
      case 'again':
        return payloads.again(effect.event)
      case 'release':
        release(effect.event, effect.settled)
    }
  }

  function release(event: ArrivedEvent, settled?: Settled): void {
    const written = stored?.release(event, settled)
    written?.catch(() => count('events.not_kept'))
    payloads.release(event, written)
  }

  /** With the payload that it refers to. If that does not come, the event fails when it is to be handled. */
  function keep(event: ArrivedEvent): void {
    const arrived = payloads.get(event)
    if (arrived === undefined) return write(event)
    arrived.then(
      () => {
        if (payloads.has(event)) write(event)
      },
      () => undefined
    )
  }

  /** A person has agreed to it, once for all. */
  function allowed(event: ArrivedEvent): void {
    event.isAllowed = true
    stored?.allow(event)?.catch(() => count('events.not_kept'))
  }

  /** What cannot be kept is handled all the same, and its source told nothing until it is done. */
  function write(event: ArrivedEvent): void {
    const kept = (): void => {
      isFailing = false
      change(() => effects.around(() => inbox.kept(event)))
    }
    event.standings = standingsOf(event)
    if (event.priority === 'low') return kept()
    stored?.keep(event).then(kept, (error: unknown) => {
      count('events.not_kept')
      if (!isFailing) log('warn', toMeshError(error).message)
      isFailing = true
    })
  }

  function receive(
    event: WireEvent,
    { handler, remainingMs, causes = [], lost, event: encoded }: Delivery,
    peer: string,
    to: DeliveryOrigin
  ): void {
    if (stopping) throw new MeshError('unavailable', 'the node is stopping')
    const expiresAt = now() + remainingMs
    const arrived = arrivedOf({ event, encoded, handler, peer, causes: causes.map(originId), lost, expiresAt })
    change(() => effects.around(() => inbox.receive(arrived, to, now())))
  }

  /** What a capability of this node that handles events declares. */
  function targetOf(handler: string): CapabilityDeclaration | undefined {
    const target = local(handler)
    return target?.handle === undefined || target.declaration.handles === undefined ? undefined : target.declaration
  }

  /** @throws MeshError `unknown_capability`, `unavailable`: it may be there later. */
  function checkTarget(handler: string): CapabilityDeclaration {
    const target = targetOf(handler)
    if (target === undefined)
      throw new MeshError('unknown_capability', `this node has no "${handler}" that handles events`, { capability: handler })
    const { status } = target
    if (status === 'offline' || status === 'suspended') throw new MeshError('unavailable', `"${handler}" is ${status}`)
    return target
  }

  effects.around(() => {
    for (const event of stored?.kept ?? []) {
      if (payloads.over.has(event)) release(event)
      else inbox.restore(event, now())
    }
  })

  return {
    receive,
    changed: () => change(() => effects.around(() => inbox.changed(now()))),
    tick(at) {
      effects.around(() => inbox.tick(at))
      if (at < forgetAt) return
      seen.expire(at)
      stored?.tick()
      forgetAt = at + FORGET_EVERY_MS
    },
    get nextAt() {
      return Math.min(inbox.nextAt, seen.size + inbox.size > 0 ? forgetAt : Infinity)
    },
    get size() {
      return inbox.size
    },
    async stop() {
      stopping = true
      inbox.stop()
      payloads.stop()
      await handling.stop(FINISH_WITHIN_MS)
    }
  }
}
