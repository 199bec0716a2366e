/** Events that go out: from what raises them to who handles them. */
import { originBytes } from './core/document.ts'
import type { JsonValue } from './core/invoke.ts'
import { createFiredKeys } from './core/triggers/fired-keys.ts'
import type { InboxAnswer } from './core/triggers/inbox-contract.ts'
import { createOutbox } from './core/triggers/outbox.ts'
import type { Added, OutboxEffect, Sending } from './core/triggers/outbox-contract.ts'
import { createCurrentRoutes } from './core/triggers/current-routes.ts'
import { wayOf, type EventHandler } from './core/triggers/trigger-routes.ts'
import { MeshError } from './errors.ts'
import type { Delivery } from '../protocols/trigger/messages.ts'
import type { FireOptions, FireView } from './mesh-api-events.ts'
import type { MeshComponents } from './mesh-components.ts'
import { createEffectQueue } from './mesh-effects.ts'
import { createEventDesk, type EventDesk } from './mesh-event-desk.ts'
import { checkSamePayload, firedAs } from './mesh-fire-keys.ts'
import { createFireWaits } from './mesh-fire-waits.ts'
import { createMeantHandlers, type EventMeaning } from './mesh-meant-handlers.ts'
import { createOutboxFollower } from './mesh-outbox-follower.ts'
import { createTriggerSender, type TriggerSenderComponents } from './net/trigger-sender.ts'
import type { DeliveryOrigin } from './net/trigger.ts'
import { createOutboxKeeping } from './triggers/outbox-keeping.ts'
import { createOutboxLog } from './triggers/outbox-log.ts'
import { createPayloadKeeper, type PayloadKeeper } from './triggers/payload-keeper.ts'
import { createPayloadMemory } from './triggers/payload-store.ts'
import { createRaise, type RaiseComponents, type RaisedEvent } from './triggers/raise.ts'
import { wholeEvents } from './triggers/whole-events.ts'

/** How long `fire` waits for a handler to say that it has the event, in ms, unless told otherwise. */
export const FIRE_WAIT_MS = 2_000

/** See {@link createOutgoingEvents}. */
export interface OutgoingEvents extends EventDesk {
  fire(capability: string, event: string, payload: JsonValue, options: FireOptions): Promise<FireView>
  /** There are other handlers than before. @param appeared those that were not there. */
  handlersChanged(appeared: readonly string[]): void
  /** What is offered may say something else of itself than before, to words of events that wait. */
  offersChanged(): void
  /** Payloads that are too large for their events. */
  readonly payloads: Pick<PayloadKeeper, 'read' | 'own' | 'has'>
  /** Does what follows from a change, also where this began elsewhere. */
  around<T>(work: () => T): T
  tick(now: number): void
  readonly nextAt: number
  /** What is held back goes out. */
  flush(): void
  stop(): void
}

/** What they need. */
export interface OutgoingEventsComponents
  extends
    Pick<MeshComponents, 'membership' | 'incarnation' | 'now' | 'random' | 'log' | 'events' | 'sink'>,
    Pick<RaiseComponents, 'self' | 'find' | 'offers'> {
  /** Who handles events now: the same list, until something has changed. */
  handlers(): EventHandler[]
  /** Of words, for the triggers that go by them. Default: they mean nobody. */
  meaning?: EventMeaning
  connect: TriggerSenderComponents['connect']
  /** To a capability of this node itself. */
  deliver(delivery: Delivery, to: DeliveryOrigin): void
  /** An event is raised, whatever becomes of it. Must not throw. */
  onRaised(event: RaisedEvent): void
  /** Changes something, does what follows from it, and sees to what is due next. */
  change<T>(work: () => T): T
  count(counter: string): void
}

/** See {@link OutgoingEvents}. */
export function createOutgoingEvents(components: OutgoingEventsComponents): OutgoingEvents {
  const { self, membership, incarnation, now, random, log, events, find, offers, handlers, connect, deliver, change, count } =
    components
  const { mesh } = membership
  const meant = createMeantHandlers(
    components.meaning,
    () =>
      change(() => {
        routes.again()
        outbox.handlersChanged(now())
      }),
    () => outbox.waiting > 0
  )
  const routes = createCurrentRoutes(handlers, meant)
  const waits = createFireWaits()
  let stopped = false
  /** Told once, until it goes well again. */
  let isFull = false
  const stored =
    events === undefined
      ? undefined
      : createOutboxLog(events.outbox, { self, mesh, clock: Date.now, now, onDamaged: () => count('events.damaged') })

  const payloads = createPayloadKeeper(events?.outboxPayloads ?? createPayloadMemory(), (_, key) =>
    change(() => outbox.fetched(nodeOf(key), now()))
  )
  const { kept, letters } = wholeEvents(stored, payloads, count)
  const keeping = createOutboxKeeping({
    stored,
    written: payloads.written,
    send: (event, handler) => change(() => send(event, handler)),
    onFailed: () => count('events.not_kept'),
    log
  })
  const keys = createFiredKeys(
    stored?.keys,
    kept.flatMap(({ event: { id, key, digest } }) => (key === undefined ? [] : [{ key, id, digest }])),
    now()
  )
  const effects = createEffectQueue<OutboxEffect<RaisedEvent>>((effect) => {
    keeping.keep(effect)
    if (effect.kind === 'send') keeping.send(effect.event, effect.handler)
    else follow(effect)
  })
  const outbox = effects.around(() =>
    createOutbox<RaisedEvent>({
      route: ({ route }) => routes.route(route),
      wayOf: ({ route }) => wayOf(route),
      isOrdered: (handler) => routes.isOrdered(handler),
      payloadTo: ({ dataRef }, handler) => (dataRef === undefined ? undefined : nodeOf(handler)),
      emit: effects.push,
      random,
      kept,
      letters,
      now: now()
    })
  )
  const follow = createOutboxFollower({
    keys,
    waits,
    payloads,
    isWaiting: (id) => outbox.pending(id).length > 0,
    now,
    log,
    count
  })
  const raise = createRaise({
    self,
    mesh,
    incarnation,
    random,
    find,
    offers,
    add(event, payload) {
      components.onRaised(event)
      // Whatever appears, it is not meant for it.
      if (event.route.hint === undefined && components.sink === undefined) {
        count('events.refused.no_route')
        return { outcome: 'refused', reason: 'no_route' }
      }
      const hasRoom = payload === undefined || payloads.hold(event.id, event.dataRef!, payload)
      const added: Added = hasRoom ? effects.around(() => enter(event)) : { outcome: 'refused', reason: 'full' }
      if (added.outcome === 'refused') payloads.release(event.id)
      if (added.outcome === 'refused') {
        count(`events.refused.${added.reason}`)
        if (!isFull)
          log('warn', `there is no room for "${event.event}" of "${event.capability}", which goes nowhere (${added.reason})`)
      }
      isFull = added.outcome === 'refused'
      return added
    },
    sink: components.sink,
    now,
    clock: Date.now
  })
  const sender = createTriggerSender({
    connect,
    onSent: (id, key) => change(() => goes(id, key)),
    onAnswer: (answer) =>
      change(() => {
        const { id, handler } = answer
        if (answer.kind === 'failed') outbox.failed(id, handler, answer, now())
        else outbox[answer.kind](id, handler, now())
      }),
    onLost({ id, handler }) {
      // Nothing else is tried any more.
      if (!stopped) change(() => outbox.lost(id, handler, now()))
    },
    now
  })

  /** Its key is known before anything comes of it, whatever its priority. */
  function enter(event: RaisedEvent): Added {
    const added = outbox.add(event, now())
    if (added.outcome !== 'refused' && event.key !== undefined) keys.begin(event.key, event.id, event.digest)
    return added
  }

  /** It is sent now: from now on the node of its handler may get what it refers to. */
  function goes(id: string, key: string): Sending | undefined {
    const sending = outbox.sent(id, key, now())
    if (sending !== undefined) payloads.sent(id, key, nodeOf(key))
    return sending
  }

  function send({ id, encoded: bytes, priority, causes, round }: RaisedEvent, key: string): void {
    const node = nodeOf(key)
    const handler = key.slice(0, -node.length - 1)
    const by = causes.length > 0 ? causes.map(originBytes) : undefined
    if (node !== self) return sender.send(node, { id, key, handler, priority, bytes, causes: by, round })
    const sending = goes(id, key)
    if (sending === undefined) return
    const answer = (_: number, what: InboxAnswer): void =>
      change(() => {
        if (typeof what === 'string') outbox[what](id, key, now())
        else outbox.failed(id, key, what, now())
      })
    deliver(
      { number: 0, handler, event: bytes, causes: by, round, ...sending },
      { answers: { answer, isOpen: () => !stopped }, number: 0 }
    )
  }

  async function fire(capability: string, event: string, payload: JsonValue, options: FireOptions): Promise<FireView> {
    if (stopped) throw new MeshError('unavailable', 'the node is stopping')
    const as = options.key === undefined ? undefined : firedAs(capability, event, options.key, payload)
    const known = as && keys.find(as.key, now())
    if (known !== undefined) {
      checkSamePayload(as!, known.digest)
      return again(known.id, known.by)
    }
    const raised = change(() => {
      const made = raise.raise(capability, event, payload, { ...options, ...as })
      if (made.outcome === 'raised' && made.added.outcome !== 'refused') {
        waits.begin(made.event.id, made.added.handlers)
      }
      return made
    })
    if (raised.outcome !== 'raised')
      return { outcome: raised.outcome, kept: false, by: [], tried: [], ...('reason' in raised && { reason: raised.reason }) }
    const { id, intent, route: to } = raised.event
    const { added } = raised
    const { by: route } = routes.route(to)
    if (added.outcome === 'refused')
      return { outcome: 'dropped', id, intent, kept: false, by: [], tried: [], reason: added.reason }
    const keep = keeping.isKept(id)
    const told = await waits.end(id, options.waitMs ?? FIRE_WAIT_MS)
    const kept = (await keep) ?? false
    const tried = added.handlers.filter((handler) => !told.by.includes(handler))
    const view = { id, intent, ...(route !== undefined && { route }), kept, by: told.by, tried }
    if (told.reason !== undefined) return { outcome: 'dropped', ...view, reason: told.reason }
    if (told.by.length > 0) return { outcome: 'delivered', ...view }
    return { outcome: 'queued', ...view, reason: keep !== undefined && !kept ? 'not_kept' : whyWaits(id) }
  }

  /** What has just been done, by one that was not asked in time, is not in any more. */
  const whyWaits = (id: string): string => outbox.pending(id)[0]?.reason ?? 'unanswered'
  /** It was fired before: how far it has come. */
  async function again(id: string, done: string[] | undefined): Promise<FireView> {
    const by = done ?? outbox.takenBy(id)
    const [pending] = outbox.pending(id)
    const kept = (await keeping.isKept(id)) ?? (stored !== undefined && pending?.event.priority !== 'low')
    const view = { id, ...(pending && { intent: pending.event.intent }), kept, by: [...by], tried: [], duplicate: true as const }
    return by.length > 0 ? { outcome: 'delivered', ...view } : { outcome: 'queued', ...view, reason: whyWaits(id) }
  }

  return {
    fire,
    payloads,
    offersChanged: meant.changed,
    handlersChanged: (appeared) => change(() => outbox.handlersChanged(now(), appeared)),
    ...createEventDesk({ outbox, change, now }),
    around: effects.around,
    tick(at) {
      raise.tick(at)
      outbox.tick(at)
    },
    get nextAt() {
      return Math.min(raise.nextAt, outbox.nextAt)
    },
    flush: () => change(() => raise.flush()),
    stop() {
      stopped = true
      meant.stop()
      sender.stop()
      stored?.flush()
      payloads.stop()
      if (stored === undefined && outbox.size > 0)
        log('warn', `${outbox.size} events that are not done are lost, since this node has no data directory`)
    }
  }
}

/** Of a handler, `capability@PeerId`. */
const nodeOf = (key: string): string => key.slice(key.lastIndexOf('@') + 1)
