/** Events put together: what capabilities of this node raise goes to who handles it, and what arrives goes to theirs. */
import { isCallable, type Offer } from './core/candidates.ts'
import { handlerKey, type EventHandler } from './core/triggers/trigger-routes.ts'
import type { TriggerEvent } from './backends/backend.ts'
import { MeshError } from './errors.ts'
import type { MeshTriggers as MeshTriggersApi } from './mesh-api-events.ts'
import { createAwayHandlers } from './mesh-away-handlers.ts'
import type { MeshComponents } from './mesh-components.ts'
import type { Consent } from './mesh-consent.ts'
import type { MeshEvents } from './mesh-events.ts'
import { createMeshSubscriptions } from './mesh-subscriptions.ts'
import { createIncomingEvents, type IncomingEventsComponents } from './mesh-triggers-in.ts'
import { createOutgoingEvents, type OutgoingEventsComponents } from './mesh-triggers-out.ts'
import type { Session } from './net/session.ts'
import { createSessions } from './net/sessions.ts'
import { fetchPayload } from './net/trigger-fetch.ts'
import { createTriggerReader } from './net/trigger.ts'

/** Who names a capability while backends are starting is asked to try again so much later, in ms. */
export const STARTING_RETRY_MS = 1_000
/** Longest wait of one timer, in ms. */
const MAX_WAIT_MS = 60_000

/** See {@link createMeshTriggers}. */
export interface MeshTriggers {
  /** As programs use them. */
  readonly commands: MeshTriggersApi
  /** What a backend watches: it waits for nobody. @throws MeshError if it is not as the capability declares it. */
  raise(event: TriggerEvent): Promise<unknown>
  start(): Promise<void>
  /** What is held back goes out, handlers finish, sessions end. */
  stop(): Promise<void>
  /** Who offers what has changed. @param back PeerId of a node that is there again, though nobody may have missed it. */
  changed(back?: string): void
  /** Events that this node has accepted and not done. */
  accepted(): number
  /** A node has fewer rights than before. */
  onLess(peer: string): void
  /** Session of this protocol over the circuit to a node. */
  overCircuit(node: string): Pick<Session, 'active' | 'lastHeardAt' | 'ping'> | undefined
}

/** What they need. */
export interface MeshTriggersComponents
  extends
    Pick<MeshComponents, 'libp2p' | 'membership' | 'incarnation' | 'now' | 'random' | 'log' | 'events' | 'sink'>,
    Pick<OutgoingEventsComponents, 'meaning'>,
    Pick<IncomingEventsComponents, 'local'> {
  /** Who may have which events handled, and observe which. */
  consent(): Pick<Consent, 'admitEvent' | 'authorizeEvent' | 'standingsOf' | 'observerOf'>
  nameOf(node: string): string | undefined
  /** Told of what programs raise; whoever runs backends tells of what those raise. */
  emit: MeshEvents['emit']
  /** Everything that is offered now, by this node and others. */
  offers(): Offer[]
  /** Brings about a connection with a node, direct or over others. */
  reach(node: string): Promise<void>
  isNeighbour(node: string): boolean
  /** Ids of backends of which it is not known yet what they offer. */
  starting(): string[]
  count(counter: string): void
  onFault(peer: string, error: MeshError): void
}

/** Nothing arrives before `start`. */
export function createMeshTriggers(components: MeshTriggersComponents): MeshTriggers {
  const { libp2p, membership, now, offers, local, consent, reach, isNeighbour, starting, emit, onFault } = components
  const self = libp2p.peerId.toString()
  let timer: ReturnType<typeof setTimeout> | undefined
  let known = new Set<string>()
  /** Undefined: it is to be looked at anew. */
  let current: EventHandler[] | undefined
  const back = new Set<string>()
  let isLooking = false
  let stopped = false

  const outgoing = createOutgoingEvents({
    ...components,
    self,
    find: (capability) => local(capability)?.declaration,
    handlers,
    connect,
    deliver: (delivery, to) => reader.deliver(delivery, self, to),
    onRaised: (event) => subscriptions.raised(event, local(event.capability)?.declaration),
    change
  })
  const incoming = createIncomingEvents({
    ...components,
    self,
    fetch: (node, hash, signal) => fetchPayload(() => connect(node), hash, signal),
    own: outgoing.payloads.own,
    holdsOwn: outgoing.payloads.has,
    admit: (...asked) => consent().admitEvent(...asked),
    authorize: (...asked) => consent().authorizeEvent(...asked),
    standingsOf: (event) => consent().standingsOf(event),
    change
  })
  const subscriptions = createMeshSubscriptions({
    ...components,
    self,
    connect,
    observerOf: (peer) => consent().observerOf(peer),
    nameOf: (node) => components.nameOf(node) ?? node
  })
  const away = createAwayHandlers({ self, sink: components.sink, find: (id) => local(id)?.declaration, offers })
  const reader = createTriggerReader({
    mesh: membership.mesh,
    takesEvents: () => handlers().some(({ node }) => node === self),
    receive: incoming.receive,
    payload: outgoing.payloads.read,
    observe: subscriptions.observe
  })
  const sessions = createSessions({ libp2p, now, onFault }, reader.protocol)

  async function connect(node: string): Promise<Session> {
    const ready = sessions.ready(node)
    if (ready !== undefined) return ready
    if (!isNeighbour(node) && sessions.peek(node) === undefined) await reach(node)
    return sessions.get(node)
  }

  function handlers(): EventHandler[] {
    current ??= offers().flatMap((offer) =>
      offer.capability.handles === undefined
        ? []
        : [
            {
              node: offer.node,
              capability: offer.id,
              type: offer.type,
              healthy: offer.blocked !== true && isCallable(offer),
              ordered: offer.capability.handles.ordered === true
            }
          ]
    )
    return current
  }

  /** Changes something, does what follows from it, and sees to what is due next. */
  function change<T>(work: () => T): T {
    try {
      return outgoing.around(work)
    } finally {
      schedule()
    }
  }

  function schedule(): void {
    clearTimeout(timer)
    const at = Math.min(outgoing.nextAt, incoming.nextAt)
    if (at === Infinity || stopped) return
    timer = setTimeout(tick, Math.min(MAX_WAIT_MS, Math.max(0, at - now())))
    timer.unref?.()
  }

  function tick(): void {
    change(() => {
      outgoing.tick(now())
      incoming.tick(now())
    })
  }

  /** It may be of a backend that is still starting. @throws MeshError `unavailable`. */
  function checkStarted(capability: string): void {
    const backends = local(capability) === undefined ? starting() : []
    if (backends.length === 0) return
    const details = { reason: 'starting', backends, capability, retryAfterMs: STARTING_RETRY_MS }
    const message = `this node does not offer "${capability}" yet: it is starting (${backends.join(', ')}); try again in a moment`
    throw new MeshError('unavailable', message, details)
  }

  /** Many things change together. */
  function changed(node?: string): void {
    current = undefined
    if (node !== undefined) back.add(node)
    if (isLooking) return
    isLooking = true
    queueMicrotask(look)
  }

  function look(): void {
    isLooking = false
    if (stopped) return
    const healthy = handlers().filter((one) => one.healthy)
    const next = new Set(healthy.map(faceOf))
    const appeared = healthy.filter((one) => back.has(one.node) || !known.has(faceOf(one))).map(handlerKey)
    const isOther = appeared.length > 0 || next.size < known.size
    known = next
    subscriptions.changed(back)
    back.clear()
    incoming.changed()
    if (isOther) outgoing.handlersChanged(appeared)
    outgoing.offersChanged()
  }

  return {
    start: () => sessions.start(),
    async stop() {
      outgoing.flush()
      await incoming.stop()
      stopped = true
      clearTimeout(timer)
      subscriptions.stop()
      outgoing.stop()
      reader.stop()
      await sessions.stop()
    },
    changed,
    accepted: () => incoming.size,
    onLess: subscriptions.less,
    overCircuit: sessions.overCircuit,
    raise: ({ capability, event, payload, depth }) => outgoing.fire(capability, event, payload, { waitMs: 0, depth }),
    commands: {
      on: subscriptions.on,
      async fire(capability, event, payload = null, options = {}) {
        checkStarted(capability)
        const fired = await outgoing.fire(capability, event, payload, options)
        if (fired.duplicate !== true) emit({ event: 'trigger', node: self, capability, trigger: event, payload })
        return away.fired(fired, capability, event)
      },
      waitingEvents() {
        const waiting = outgoing.waitingEvents()
        return { ...waiting, events: away.waiting(waiting.events) }
      },
      discardEvent: outgoing.discardEvent,
      deadLetters: outgoing.deadLetters,
      replayDeadLetter: outgoing.replayDeadLetter,
      discardDeadLetter: outgoing.discardDeadLetter
    }
  }
}

/** What decides whether events go to a handler, and how. */
function faceOf(handler: EventHandler): string {
  return `${handlerKey(handler)} ${handler.type} ${handler.ordered === true}`
}
