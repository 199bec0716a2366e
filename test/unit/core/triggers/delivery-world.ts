import assert from 'node:assert/strict'
import { MAX_EVENT_AGE_MS, type EventSequence, type Priority } from '../../../../protocols/trigger/messages.ts'
import type { DeadLetter } from '../../../../src/core/triggers/dead-letters.ts'
import { createDeliveryWindow, type DeliveryWindow } from '../../../../src/core/triggers/delivery-window.ts'
import { createInbox } from '../../../../src/core/triggers/inbox.ts'
import type { Inbox, InboxAnswer, InboxEffect, InboxEvent } from '../../../../src/core/triggers/inbox-contract.ts'
import { createOutbox } from '../../../../src/core/triggers/outbox.ts'
import type {
  Added,
  FailedAnswer,
  Kept,
  Outbox,
  OutboxEffect,
  OutboxEvent,
  OutboxRoute,
  Sending
} from '../../../../src/core/triggers/outbox-contract.ts'
import { createSeenEvents, type SeenEvents } from '../../../../src/core/triggers/seen-events.ts'

type Event = OutboxEvent & { of: string; sequence: EventSequence; subject: number; number: number; trigger: string }
/** Who is to be answered: a delivery of an exchange. */
interface Reply {
  epoch: number
  number: number
}
/** On its way, over an exchange that may end before it is there. */
type Message = EventMessage | (Way & { answer: InboxAnswer })
type EventMessage = Way & { event: Event; sending: Sending }
type Way = { handler: string; epoch: number; number: number }

interface Handler {
  readonly name: string
  up: boolean
  /** Counts the exchanges: what was sent over a former one never arrives. */
  epoch: number
  window: DeliveryWindow
  /** Given to the link of the source. */
  queue: string[]
  seen: SeenEvents
  inbox: Inbox<InboxEvent, Reply>
  /** To be written down. */
  unwritten: InboxEvent[]
  /** On the disk. */
  disk: Map<string, InboxEvent>
  /** Handled at the moment. */
  running: InboxEvent[]
  /** Has just gone from the disk, and is not over. */
  owed?: string | undefined
  /** The last number of each subject that was handed out in its order. */
  last: Map<string, number>
}

/** One effect of an event at a handler. */
interface Effect {
  at: number
  /** Times that the handler had crashed before. */
  crashes: number
}

/** Who handles what. */
export interface Plan {
  /** Those who want the events of a subject in their order. */
  ordered: string[]
  /** By trigger, who handles its events. */
  triggers: Record<string, string[]>
  /** Triggers whose events go by meaning, each with words of its own. Default: none. */
  words?: string[]
  /** Each event that is sent is looked at, and all that are older: whether it overtakes one. */
  isWatched?: boolean
}

/** A source, some handlers, and a network that loses and delays: what the net does with the state machines of both sides, in a few lines. */
export class DeliveryWorld {
  now = 0
  outbox: Outbox<Event>
  readonly handlers = new Map<string, Handler>()
  readonly crashes = new Map<string, number>()
  messages: Message[] = []
  /** The append log, and the dead letters, as they stand on a disk. */
  readonly log = new Map<string, Kept<Event> & { at: number }>()
  /** Who has accepted each, the last one last; it is written down a little later. */
  readonly #takers = new Map<string, string[]>()
  readonly letters = new Map<string, DeadLetter<Event>>()
  readonly added = new Map<string, Event>()
  readonly settled = new Map<string, string[]>()
  readonly dropped = new Set<string>()
  /** By event and handler. */
  readonly effects = new Map<string, Effect[]>()
  /** Of those who want them in order: what came after one that was to follow it. */
  late = 0
  /** And how many were told as missing. */
  missing = 0
  /** Events of which a handling has failed: others go before them. */
  readonly failed = new Set<string>()
  /** Event and handler: with the link of the handler; accepted by it. */
  readonly #offered = new Set<string>()
  readonly #accepted = new Set<string>()
  /** Accepted over a link that is lost: to be asked again before what follows. */
  readonly #away = new Set<string>()
  /** Sent to the handler once at least; and taken in there since it began. */
  readonly #sent = new Set<string>()
  readonly #arrived = new Set<string>()
  readonly #routed = new Map<string, string[]>()
  readonly #numbers = new Map<number, number>()
  readonly #random: () => number
  readonly #plan: Plan
  /** Whom words mean; undefined: it is not known. */
  #meant: readonly string[] | undefined = []
  #count = 0
  #isTurningAway = false

  /** @param plan default: all handle all, and the first handler wants the events of a subject in their order. */
  constructor(names: string[], random: () => number, plan: Plan = { ordered: [names[0]!], triggers: { any: names } }) {
    this.#random = random
    this.#plan = plan
    for (const name of names) {
      const seen = createSeenEvents()
      const handler = { name, up: true, epoch: 0, window: createDeliveryWindow(), queue: [], seen } as unknown as Handler
      this.handlers.set(name, Object.assign(handler, { unwritten: [], disk: new Map(), running: [], last: new Map() }))
      handler.inbox = this.#createInbox(handler)
    }
    this.outbox = this.#createOutbox()
  }

  add(priority: Priority, fanOut: 'all' | number, subject = 0, trigger = 'any', expiresMs = MAX_EVENT_AGE_MS): Added {
    const number = (this.#numbers.get(subject) ?? 0) + 1
    this.#numbers.set(subject, number)
    const id = `e${this.#count++}`
    const event: Event = {
      ...{ id, priority, bytes: 10, fanOut, expiresMs },
      of: `${subject}`,
      sequence: { incarnation: 1, number },
      subject,
      number,
      trigger
    }
    this.added.set(id, event)
    const added = this.outbox.add(event, this.now)
    if (added.outcome === 'refused') this.added.delete(id)
    return added
  }

  /** The link sends what it was given first. */
  pump(name: string): void {
    const handler = this.handlers.get(name)!
    const id = handler.queue.shift()
    if (id === undefined) return
    this.#offered.delete(`${id} ${name}`)
    if (!handler.up) return this.outbox.lost(id, name, this.now)
    const event = this.added.get(id)!
    const isEarly =
      this.#plan.isWatched === true &&
      this.#plan.ordered.includes(name) &&
      !this.#accepted.has(`${id} ${name}`) &&
      this.isBehind(event, name, true)
    const sending = this.outbox.sent(id, name, this.now)
    if (sending === undefined) return
    assert.ok(!isEarly, `${id} overtakes another one on its way to ${name}`)
    this.#sent.add(`${id} ${name}`)
    const number = handler.window.open(id, name, 10)
    this.messages.push({ handler: name, epoch: handler.epoch, event, number, sending })
  }

  /** One message arrives; those of one exchange and direction in their order. */
  deliver(at: number): void {
    const drawn = this.messages[at % Math.max(1, this.messages.length)]
    if (drawn === undefined) return
    const isBefore = (one: Message): boolean => one.handler === drawn.handler && 'event' in one === 'event' in drawn
    const [message] = this.messages.splice(this.messages.findIndex(isBefore), 1)
    const { handler: name, epoch } = message!
    const handler = this.handlers.get(name)!
    if (epoch !== handler.epoch) return
    if ('answer' in message!) return this.#answered(handler, message.number, message.answer)
    this.#receive(message!)
  }

  /** Whether an older one of its subject could go to the handler and has not: is with nobody, or with its link. @param surely what has failed does not count: perhaps others go before it. */
  isBehind(event: Event, handler: string, surely: boolean): boolean {
    const counts = ({ id, priority }: Event): boolean => !surely || (priority !== 'low' && !this.failed.has(id))
    const isOlder = (one: Event): boolean => one.subject === event.subject && one.number < event.number && counts(one)
    return counts(event) && [...this.added.values()].some((one) => isOlder(one) && this.#couldGo(one, handler, surely))
  }

  #couldGo({ id, fanOut, trigger }: Event, handler: string, surely: boolean): boolean {
    const [pending] = this.outbox.pending(id)
    if (pending === undefined || !this.handlers.get(handler)!.up) return false
    const what = `${id} ${handler}`
    if (pending.handlers.includes(handler))
      return (this.#offered.has(what) && (!surely || !this.#accepted.has(what))) || (!surely && this.#away.has(what))
    const { handlers, undecided } = this.#routeOf(trigger)
    if (pending.handled.includes(handler) || !(undecided ?? handlers).has(handler)) return false
    const routed = this.#routed.get(id)
    if (fanOut === 'all') return routed === undefined || routed.includes(handler)
    return fanOut > pending.handlers.length + pending.handled.length
  }

  /** What waits, waits for something: older ones of its subject that go first, or a handler that is not there. */
  checkWaits(): void {
    for (const { event, reason, handlers, handled } of this.outbox.pending()) {
      const one = this.added.get(event.id)!
      const used = [...handlers, ...handled]
      const routed = this.#routed.get(event.id)
      const { handlers: there, undecided } = this.#routeOf(one.trigger)
      const others = [...there].filter((name) => !used.includes(name) && (routed?.includes(name) ?? true))
      if (this.failed.has(event.id) || event.priority === 'low' || undecided !== undefined) continue
      // Of one that is for all, others may wait for a time.
      if (reason === 'no_handler' && event.fanOut !== 'all') assert.deepEqual(others, [], `${event.id} is given to nobody`)
      const isBehind = (name: string): boolean => this.#plan.ordered.includes(name) && this.isBehind(one, name, false)
      if (reason === 'behind') assert.ok(others.some(isBehind), `${event.id} waits for nothing`)
    }
  }

  #routeOf(trigger: string): OutboxRoute {
    const there = this.#plan.triggers[trigger]!.filter((name) => this.handlers.get(name)!.up)
    if (there.length === 0 || !this.#isByWords(trigger)) return { handlers: new Set(there) }
    const meant = this.#meant
    if (meant === undefined) return { handlers: new Set(), undecided: new Set(there) }
    return { handlers: new Set(there.filter((name) => meant.includes(name))) }
  }

  #isByWords(trigger: string): boolean {
    return this.#plan.words?.includes(trigger) === true
  }

  /** It is not known any more whom words mean. */
  forget(): void {
    this.#meant = undefined
  }

  /** Words mean these. */
  learn(meant: readonly string[]): void {
    this.#meant = meant
    this.outbox.handlersChanged(this.now)
  }

  #receive({ handler, epoch, number, event, sending: { remainingMs, lost } }: EventMessage): void {
    const { id, priority, of, sequence, bytes, round = 0 } = event
    const expiresAt = this.now + remainingMs
    const arrived = { node: 'source', id, handler, priority, bytes, of, sequence, lost, expiresAt, round }
    this.handlers.get(handler)!.inbox.receive(arrived, { epoch, number }, this.now)
  }

  /** Of low priority, and so sent once, or no more: sent to a handler, and lost on the way, or turned away there. */
  #isLostBefore({ of, sequence }: InboxEvent, handler: string): boolean {
    return [...this.added.values()].some(({ id, priority, of: other, number }) => {
      const isBefore = other === of && number < sequence.number && priority === 'low'
      return isBefore && this.#sent.has(`${id} ${handler}`) && !this.#arrived.has(`${id} ${handler}`)
    })
  }

  /** The disk of a handler has written what it was given first. */
  write(name: string): void {
    const { unwritten, disk, inbox } = this.handlers.get(name)!
    const event = unwritten.shift()
    if (event === undefined) return
    if (event.priority !== 'low') disk.set(event.id, event)
    inbox.kept(event)
  }

  take(name: string): boolean {
    const { inbox, running, last } = this.handlers.get(name)!
    const ordered = inbox.take(name, this.now)
    if (ordered === undefined) return false
    const { item, late, missing } = ordered
    if (this.#plan.ordered.includes(name)) {
      assert.ok(!running.some(({ of }) => of === item.of), 'one of a subject at a time')
      const before = last.get(item.of)
      assert.equal(late, before !== undefined && item.sequence.number < before, 'what is out of order is told')
      assert.ok(missing === 0 || this.#isLostBefore(item, name), `nothing before ${item.id} is missing`)
      this.missing += missing
      if (late) this.late++
      else last.set(item.of, item.sequence.number)
    }
    running.push(item)
    return true
  }

  /** A handler comes to the end of the event that it began first. */
  finish(name: string, how: 'done' | 'again' | 'later' | 'never'): void {
    const { inbox, running } = this.handlers.get(name)!
    const event = running.shift()
    if (event === undefined) return
    const what = `${event.id} ${name}`
    const effect = { at: this.now, crashes: this.crashes.get(name) ?? 0 }
    if (how === 'done') this.effects.set(what, [...(this.effects.get(what) ?? []), effect])
    if (how === 'again' || how === 'never') this.failed.add(event.id)
    const code = how === 'later' ? 'unavailable' : 'tool_failed'
    const failure: FailedAnswer = { code, message: '', retryable: how !== 'never', retryAfterMs: 0 }
    inbox.finish(event, how === 'done' ? how : failure, this.now)
  }

  /** The next message of the source is refused, since nobody is there to handle it yet. */
  turnAway(name: string): void {
    const handler = this.handlers.get(name)!
    const at = this.messages.findIndex((one) => one.handler === name && 'event' in one && one.epoch === handler.epoch)
    const [message] = at < 0 ? [] : this.messages.splice(at, 1)
    if (message === undefined || !('event' in message)) return
    this.#isTurningAway = true
    this.#receive(message)
    this.#isTurningAway = false
  }

  /** Somebody has a dead letter sent anew. */
  replay(at: number): void {
    const id = [...this.letters.keys()][at % Math.max(1, this.letters.size)]
    if (id !== undefined) this.outbox.replay(id, this.now)
  }

  withdraw(id: string): void {
    this.outbox.withdraw(id, this.now)
  }

  breakLink(name: string): void {
    const handler = this.handlers.get(name)!
    handler.epoch++
    const gone = [...handler.window.close().map(({ id }) => id), ...handler.queue.splice(0)]
    handler.window = createDeliveryWindow()
    for (const id of gone) {
      this.#offered.delete(`${id} ${name}`)
      if (this.#accepted.has(`${id} ${name}`)) this.#away.add(`${id} ${name}`)
      this.outbox.lost(id, name, this.now)
    }
  }

  setUp(name: string, up: boolean): void {
    const handler = this.handlers.get(name)!
    if (handler.up === up) return
    handler.up = up
    if (!up) this.breakLink(name)
    this.outbox.handlersChanged(this.now, up ? [name] : [])
  }

  /** It is told that a handler was not there for a moment, which has not cost it its link. */
  appear(name: string): void {
    if (this.handlers.get(name)!.up) this.outbox.handlersChanged(this.now, [name])
  }

  /** A handler dies, and begins anew with what it has written down. */
  crashHandler(name: string): void {
    const handler = this.handlers.get(name)!
    this.crashes.set(name, (this.crashes.get(name) ?? 0) + 1)
    this.setUp(name, false)
    const seen = createSeenEvents(handler.seen.stored(this.now), this.now)
    for (const id of this.added.keys()) this.#arrived.delete(`${id} ${name}`)
    Object.assign(handler, { seen, unwritten: [], running: [], last: new Map() })
    handler.inbox = this.#createInbox(handler)
    for (const event of [...handler.disk.values()]) handler.inbox.restore(event, this.now)
    this.setUp(name, true)
  }

  /** A handler stops as it should, and begins anew. */
  stopHandler(name: string): void {
    const { inbox, running } = this.handlers.get(name)!
    inbox.stop()
    while (running.length > 0) this.finish(name, 'later')
    this.crashHandler(name)
  }

  /** The source dies, and begins anew with what it has written down. @param isAlone it does not see the handlers yet; else all at once. */
  crash(isAlone = false): void {
    for (const handler of this.handlers.values())
      Object.assign(handler, { epoch: handler.epoch + 1, queue: [], window: createDeliveryWindow(), up: handler.up && !isAlone })
    for (const known of [this.#offered, this.#accepted, this.#away, this.#takers]) known.clear()
    this.outbox = this.#createOutbox()
    for (const [id, { acceptedBy = [] }] of this.log) {
      this.#takers.set(id, acceptedBy)
      for (const what of acceptedBy.map((name) => `${id} ${name}`))
        for (const known of [this.#accepted, this.#away]) known.add(what)
    }
    if (!isAlone) this.outbox.handlersChanged(this.now)
  }

  /** The source writes down who has accepted what. */
  note(): void {
    for (const [id, acceptedBy] of this.#takers) if (this.log.has(id)) this.log.get(id)!.acceptedBy = acceptedBy
  }

  wait(ms: number): void {
    const until = this.now + ms
    const nextAt = (): number => Math.min(this.outbox.nextAt, ...[...this.handlers.values()].map(({ inbox }) => inbox.nextAt))
    while (nextAt() <= until) {
      this.now = Math.max(this.now, nextAt())
      this.outbox.tick(this.now)
      for (const { inbox } of this.handlers.values()) inbox.tick(this.now)
    }
    this.now = until
  }

  /** All goes well from now on. */
  settle(): void {
    for (const name of this.handlers.keys()) this.setUp(name, true)
    for (let n = 0; n < 10_000 && this.outbox.size > 0; n++) {
      let busy = false
      for (const handler of this.handlers.values()) {
        const { name } = handler
        while (handler.queue.length > 0) this.pump(name)
        while (this.messages.length > 0) this.deliver(0)
        while (handler.unwritten.length > 0) this.write(name)
        while (this.take(name) || handler.running.length > 0) {
          busy = true
          this.finish(name, 'done')
        }
        while (this.messages.length > 0) this.deliver(0)
      }
      if (busy || this.outbox.size === 0) continue
      const nextAt = Math.min(this.outbox.nextAt, ...[...this.handlers.values()].map(({ inbox }) => inbox.nextAt))
      assert.ok(nextAt < Infinity, 'an event is stuck')
      this.wait(Math.max(0, nextAt - this.now))
    }
  }

  #createOutbox(): Outbox<Event> {
    return createOutbox<Event>({
      route: ({ trigger }) => this.#routeOf(trigger),
      wayOf: ({ id, trigger }) => (this.#isByWords(trigger) ? `${trigger} ${id}` : trigger),
      isOrdered: (name) => this.#plan.ordered.includes(name),
      emit: (effect) => this.#onOutbox(effect),
      random: this.#random,
      kept: [...this.log.values()].map(({ at, ...kept }) => structuredClone({ ...kept, ageMs: this.now - at })),
      letters: [...this.letters.values()],
      now: this.now
    })
  }

  #createInbox(handler: Handler): Inbox<InboxEvent, Reply> {
    const isOrdered = (name: string): boolean => this.#plan.ordered.includes(name)
    return createInbox<InboxEvent, Reply>({
      seen: handler.seen,
      isOrdered,
      isLive: ({ epoch }) => epoch === handler.epoch,
      admit: () => (this.#isTurningAway ? { code: 'unavailable', message: '', retryable: true, retryAfterMs: 0 } : undefined),
      emit: (effect) => this.#onInbox(handler, effect)
    })
  }

  /** What is on its disk was promised: it leaves that when it is over, or when its source hears that it has it back. */
  #checkPromise(handler: Handler, effect: InboxEffect<InboxEvent, Reply>): void {
    if (handler.owed !== undefined) {
      assert.ok(effect.kind === 'answer' && typeof effect.answer === 'object', `${handler.owed} is deleted, and nobody told`)
      assert.equal(effect.to.epoch, handler.epoch, `${handler.owed} is deleted, and nobody hears it`)
    }
    const { id } = effect.kind === 'release' && effect.settled === undefined ? effect.event : { id: undefined }
    handler.owed = id !== undefined && handler.disk.has(id) ? id : undefined
  }

  #onInbox(handler: Handler, effect: InboxEffect<InboxEvent, Reply>): void {
    this.#checkPromise(handler, effect)
    if (effect.kind === 'keep') {
      handler.unwritten.push(effect.event)
      this.#arrived.add(`${effect.event.id} ${handler.name}`)
    } else if (effect.kind === 'release') {
      handler.disk.delete(effect.event.id)
      handler.unwritten = handler.unwritten.filter(({ id }) => id !== effect.event.id)
    } else if (effect.kind === 'answer') {
      const { epoch, number } = effect.to
      this.messages.push({ handler: handler.name, epoch, number, answer: effect.answer })
    }
  }

  #answered(handler: Handler, number: number, what: InboxAnswer): void {
    const [accepted, done] = [what === 'accepted' ? [number] : [], what === 'done' ? [number] : []]
    const failed = typeof what === 'string' ? [] : [{ number, ...what }]
    for (const answer of handler.window.answered({ accepted, done, failed })) {
      if (answer.kind === 'accepted') this.outbox.accepted(answer.id, handler.name, this.now)
      else if (answer.kind === 'done') this.outbox.done(answer.id, handler.name, this.now)
      else if (answer.kind === 'failed') {
        this.#accepted.delete(`${answer.id} ${handler.name}`)
        this.outbox.failed(answer.id, handler.name, answer, this.now)
      }
    }
  }

  #takersOf(id: string, without: string): string[] {
    return (this.#takers.get(id) ?? []).filter((name) => name !== without)
  }

  /** As many others as there are handlings beside this one may have it still: those that took it last. */
  #sentTo({ id, fanOut }: Event, name: string): void {
    const takers = this.#takers.get(id) ?? []
    if (fanOut === 'all' || takers.includes(name)) return
    const others = Math.max(0, fanOut - (this.log.get(id)?.handled.length ?? 0) - 1)
    this.#takers.set(id, takers.slice(Math.max(0, takers.length - others)))
  }

  #onOutbox(effect: OutboxEffect<Event>): void {
    switch (effect.kind) {
      case 'append':
        assert.notEqual(effect.event.priority, 'low')
        this.added.set(effect.event.id, effect.event)
        this.log.set(effect.event.id, { event: effect.event, at: this.now, ageMs: 0, handled: [] })
        break
      case 'routed':
        this.log.get(effect.id)!.handlers = effect.handlers
        this.#routed.set(effect.id, effect.handlers)
        break
      case 'handled':
        this.log.get(effect.id)!.handled.push(effect.handler)
        this.#takers.set(effect.id, this.#takersOf(effect.id, effect.handler))
        break
      case 'withdrawn':
        this.log.delete(effect.event.id)
        break
      case 'settled':
        assert.ok(!this.settled.has(effect.event.id), 'an event ends once')
        this.settled.set(effect.event.id, effect.by)
        this.log.delete(effect.event.id)
        break
      case 'dead':
        assert.ok(!this.letters.has(effect.letter.event.id) && !this.settled.has(effect.letter.event.id), 'an event ends once')
        this.letters.set(effect.letter.event.id, effect.letter)
        this.log.delete(effect.letter.event.id)
        break
      case 'dropped':
        assert.equal(effect.event.priority, 'low')
        this.dropped.add(effect.event.id)
        break
      case 'erased':
        this.letters.delete(effect.id)
        break
      case 'send':
        this.#sentTo(effect.event, effect.handler)
        this.handlers.get(effect.handler)!.queue.push(effect.event.id)
        this.#offered.add(`${effect.event.id} ${effect.handler}`)
        break
      case 'accepted':
        this.#takers.set(effect.id, [...this.#takersOf(effect.id, effect.handler), effect.handler])
        this.#accepted.add(`${effect.id} ${effect.handler}`)
        this.#away.delete(`${effect.id} ${effect.handler}`)
        break
    }
  }
}
