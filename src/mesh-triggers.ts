/** Events put together: what capabilities of this node raise goes to who handles it, and what arrives goes to theirs. */
import type { CapabilityDeclaration } from '../protocols/capability.ts'
import type { Delivery, MeshEvent as WireEvent } from '../protocols/trigger/messages.ts'
import { isCallable, type Offer } from './core/candidates.ts'
import { originBytes, originId } from './core/document.ts'
import type { InvokeOptions, JsonValue } from './core/invoke.ts'
import { createInbox, type InboxAnswer, type InboxEffect } from './core/triggers/inbox.ts'
import { createOutbox } from './core/triggers/outbox.ts'
import type { OutboxEffect } from './core/triggers/outbox-contract.ts'
import { createSeenEvents } from './core/triggers/seen-events.ts'
import { handlerKey, routeEvent, type EventHandler } from './core/triggers/trigger-routes.ts'
import { MeshError } from './errors.ts'
import type { DeadLetterView, EventFunction, FireOptions, FireView, MeshTriggers as MeshTriggersApi } from './mesh-api-events.ts'
import type { MeshComponents } from './mesh-components.ts'
import { createEffectQueue } from './mesh-effects.ts'
import { createFireWaits } from './mesh-fire-waits.ts'
import type { Session } from './net/session.ts'
import { createTriggerSender } from './net/trigger-sender.ts'
import { createTriggerReader, type DeliveryOrigin } from './net/trigger.ts'
import { createSessions } from './net/sessions.ts'
import { createHandling, type ArrivedEvent } from './triggers/handling.ts'
import { createRaise, type RaisedEvent } from './triggers/raise.ts'

/** Handlers that run when the node stops have so long to finish, in ms. */
export const FINISH_WITHIN_MS = 2_000
/** How long `fire` waits for a handler to say that it has the event, in ms, unless told otherwise. */
export const FIRE_WAIT_MS = 2_000
/** Longest wait of one timer, in ms. */
const MAX_WAIT_MS = 60_000

/** See {@link createMeshTriggers}. */
export interface MeshTriggers extends MeshTriggersApi {
  start(): Promise<void>
  /** What is held back goes out, handlers finish, sessions end. */
  stop(): Promise<void>
  /** Who offers what has changed, or to whom there is a way. */
  changed(): void
  /** Session of this protocol over the circuit to a node. */
  overCircuit(node: string): Pick<Session, 'active' | 'lastHeardAt' | 'ping'> | undefined
}

/** What they need. */
export interface MeshTriggersComponents extends Pick<
  MeshComponents,
  'libp2p' | 'membership' | 'incarnation' | 'now' | 'random' | 'log'
> {
  /** Everything that is offered now, by this node and others. */
  offers(): Offer[]
  /** A capability of this node, and what runs its events. */
  local(capability: string): { declaration: CapabilityDeclaration; handle: EventFunction | undefined } | undefined
  /** Brings about a connection with a node, direct or over others. */
  reach(node: string): Promise<void>
  isNeighbour(node: string): boolean
  /** Lets a capability handle an event, or throws. */
  authorize(event: ArrivedEvent, capability: CapabilityDeclaration, options: InvokeOptions): Promise<void> | undefined
  count(counter: string): void
  onFault(peer: string, error: MeshError): void
}

/** Nothing arrives before `start`. */
export function createMeshTriggers(components: MeshTriggersComponents): MeshTriggers {
  const { libp2p, membership, incarnation, now, random, offers, local, reach, isNeighbour, authorize, count, onFault } =
    components
  const self = libp2p.peerId.toString()
  const waits = createFireWaits()
  let timer: ReturnType<typeof setTimeout> | undefined
  let known = new Set<string>()
  let stopped = false
  let isLooking = false

  // ---- out -----------------------------------------------------------------------------------
  const outEffects = createEffectQueue<OutboxEffect<RaisedEvent>>(onOut)
  const outbox = createOutbox<RaisedEvent>({
    route: ({ route }) => routeEvent(route, handlers()).handlers,
    emit: outEffects.push,
    random
  })
  const raise = createRaise({
    self,
    mesh: membership.mesh,
    incarnation,
    find: (capability) => local(capability)?.declaration,
    add: (event) => outEffects.around(() => outbox.add(event, now())),
    sink: undefined,
    now,
    clock: Date.now
  })
  const sender = createTriggerSender({
    connect,
    onSent: (id, key) => outbox.sent(id, key, now()),
    onAnswer: (answer) =>
      change(() => {
        const { id, handler } = answer
        if (answer.kind === 'failed') outbox.failed(id, handler, answer, now())
        else outbox[answer.kind](id, handler, now())
      }),
    onLost: ({ id, handler }) => change(() => outbox.lost(id, handler, now())),
    now
  })

  function onOut(effect: OutboxEffect<RaisedEvent>): void {
    switch (effect.kind) {
      case 'send':
        return send(effect.event, effect.handler)
      case 'accepted':
      case 'handled':
        return waits.taken(effect.id, effect.handler)
      case 'settled':
        for (const handler of effect.by) waits.taken(effect.event.id, handler)
        return count('events.done')
      case 'dropped':
        count(`events.dropped.${effect.reason}`)
        return waits.dropped(effect.event.id, effect.reason)
      case 'dead': {
        const { event, reason, code } = effect.letter
        count(`events.dead.${reason}`)
        return waits.dropped(event.id, code ?? reason)
      }
    }
  }

  function send({ id, encoded: bytes, priority, causes }: RaisedEvent, key: string): void {
    const at = key.lastIndexOf('@')
    const [handler, node] = [key.slice(0, at), key.slice(at + 1)]
    if (node !== self)
      return sender.send(node, {
        id,
        key,
        handler,
        priority,
        bytes,
        causes: causes.length > 0 ? causes.map(originBytes) : undefined
      })
    const remainingMs = outbox.sent(id, key, now())
    if (remainingMs === undefined) return
    const answer = (_: number, what: InboxAnswer): void =>
      change(() => {
        if (typeof what === 'string') outbox[what](id, key, now())
        else outbox.failed(id, key, what, now())
      })
    const delivery = { number: 0, handler, event: bytes, remainingMs, causes: causes.map(originBytes) }
    reader.deliver(delivery, self, { answers: { answer }, number: 0 })
  }

  async function connect(node: string): Promise<Session> {
    const ready = sessions.ready(node)
    if (ready !== undefined) return ready
    if (!isNeighbour(node) && sessions.peek(node) === undefined) await reach(node)
    return sessions.get(node)
  }

  // ---- in ------------------------------------------------------------------------------------
  const inEffects = createEffectQueue<InboxEffect<ArrivedEvent, DeliveryOrigin>>(onIn)
  const inbox = createInbox<ArrivedEvent, DeliveryOrigin>({
    seen: createSeenEvents([], now()),
    isOrdered: (handler) => local(handler)?.declaration.handles?.ordered === true,
    emit: inEffects.push
  })
  const handling = createHandling({
    functionOf: (handler) => local(handler)?.handle,
    take: (handler) => inEffects.around(() => inbox.take(handler, now())),
    finish: (event, outcome) => change(() => inEffects.around(() => inbox.finish(event, outcome, now()))),
    authorize: (event, signal) => authorize(event, local(event.handler)!.declaration, { signal })
  })

  function onIn(effect: InboxEffect<ArrivedEvent, DeliveryOrigin>): void {
    if (effect.kind === 'answer') effect.to.answers.answer(effect.to.number, effect.answer)
    else if (effect.kind === 'ready') handling.ready(effect.handler)
  }

  function receive(event: WireEvent, { handler, remainingMs, causes = [] }: Delivery, peer: string, to: DeliveryOrigin): void {
    if (stopped) throw new MeshError('unavailable', 'the node is stopping')
    const target = local(handler)
    if (target?.handle === undefined || target.declaration.handles === undefined)
      throw new MeshError('unknown_capability', `this node has no "${handler}" that handles events`, { capability: handler })
    const { status } = target.declaration
    if (status === 'offline' || status === 'suspended') throw new MeshError('unavailable', `"${handler}" is ${status}`)
    const by = causes.map(originId)
    const arrived: ArrivedEvent = {
      node: peer,
      id: event.id,
      handler,
      priority: event.priority,
      of: `${peer} ${event.source.capability} ${event.subject ?? ''}`,
      sequence: event.sequence,
      expiresAt: now() + remainingMs,
      event,
      causes: peer === self ? by : [...by, peer]
    }
    change(() => inEffects.around(() => inbox.receive(arrived, to, now())))
  }
  const reader = createTriggerReader({
    mesh: membership.mesh,
    takesEvents: () => offers().some((offer) => offer.local && offer.capability.handles !== undefined),
    receive
  })
  const sessions = createSessions({ libp2p, now, onFault }, reader.protocol)

  // ---- both ----------------------------------------------------------------------------------
  function handlers(): EventHandler[] {
    return offers().flatMap((offer) =>
      offer.capability.handles === undefined
        ? []
        : [{ node: offer.node, capability: offer.id, type: offer.type, healthy: !offer.blocked && isCallable(offer) }]
    )
  }

  /** Changes something, does what follows from it, and sees to what is due next. */
  function change<T>(work: () => T): T {
    const result = outEffects.around(work)
    schedule()
    return result
  }

  function schedule(): void {
    clearTimeout(timer)
    const at = Math.min(raise.nextAt, outbox.nextAt, inbox.nextAt)
    if (at === Infinity || stopped) return
    timer = setTimeout(tick, Math.min(MAX_WAIT_MS, Math.max(0, at - now())))
    timer.unref?.()
  }

  function tick(): void {
    change(() => {
      raise.tick(now())
      outbox.tick(now())
      inEffects.around(() => inbox.tick(now()))
    })
  }

  async function fire(capability: string, event: string, payload: JsonValue, options: FireOptions): Promise<FireView> {
    if (stopped) throw new MeshError('unavailable', 'the node is stopping')
    const raised = change(() => {
      const made = raise.raise(capability, event, payload, options)
      if (made.outcome === 'raised' && made.added.outcome !== 'refused') waits.begin(made.event.id, made.added.handlers)
      return made
    })
    if (raised.outcome !== 'raised')
      return { outcome: raised.outcome, by: [], tried: [], ...('reason' in raised && { reason: raised.reason }) }
    const { event: made, added } = raised
    const { id, intent } = made
    if (added.outcome === 'refused') {
      count(`events.refused.${added.reason}`)
      return { outcome: 'dropped', id, intent, by: [], tried: [], reason: added.reason }
    }
    const told = await waits.end(id, options.waitMs ?? FIRE_WAIT_MS)
    const tried = added.handlers.filter((handler) => !told.by.includes(handler))
    if (told.reason !== undefined) return { outcome: 'dropped', id, intent, by: told.by, tried, reason: told.reason }
    return { outcome: told.by.length > 0 ? 'delivered' : 'queued', id, intent, by: told.by, tried }
  }

  /** Many things change together. */
  function changed(): void {
    if (isLooking) return
    isLooking = true
    queueMicrotask(look)
  }

  function look(): void {
    isLooking = false
    if (stopped) return
    const next = new Set(
      handlers()
        .filter(({ healthy }) => healthy)
        .map(handlerKey)
    )
    const appeared = [...next].filter((key) => !known.has(key))
    const isOther = appeared.length > 0 || next.size < known.size
    known = next
    if (isOther) change(() => outbox.handlersChanged(now(), appeared))
  }

  function letterOf(id: string): DeadLetterView {
    const view = views().find((one) => one.id === id)
    if (view === undefined) throw new MeshError('invalid_argument', `there is no dead letter "${id}"`, { id })
    return view
  }

  function views(): DeadLetterView[] {
    return outbox.deadLetters().map(({ event, reason, code, message, handled }) => ({
      id: event.id,
      capability: event.capability,
      event: event.event,
      ...(event.subject !== undefined && { subject: event.subject }),
      intent: event.intent,
      priority: event.priority,
      reason,
      ...(code !== undefined && { code }),
      ...(message !== undefined && { message }),
      handled
    }))
  }

  return {
    start: () => sessions.start(),
    async stop() {
      change(() => raise.flush())
      stopped = true
      clearTimeout(timer)
      await handling.stop(FINISH_WITHIN_MS)
      sender.stop()
      await sessions.stop()
    },
    changed,
    overCircuit: sessions.overCircuit,
    fire: (capability, event, payload = null, options = {}) => fire(capability, event, payload, options),
    deadLetters: views,
    replayDeadLetter(id) {
      letterOf(id)
      const added = change(() => outbox.replay(id, now()))
      if (added?.outcome === 'refused') throw new MeshError('busy', 'there is no room for it now', { reason: added.reason })
    },
    discardDeadLetter(id) {
      letterOf(id)
      change(() => outbox.discard(id))
    }
  }
}
