import assert from 'node:assert/strict'
import type { Priority } from '../../../../protocols/trigger/messages.ts'
import { createOutbox } from '../../../../src/core/triggers/outbox.ts'
import type {
  Added,
  FailedAnswer,
  Kept,
  Outbox,
  OutboxEffect,
  OutboxEvent
} from '../../../../src/core/triggers/outbox-contract.ts'
import type { DeadLetter } from '../../../../src/core/triggers/dead-letters.ts'
import { createSeenEvents, type SeenEvents } from '../../../../src/core/triggers/seen-events.ts'

type Answer = 'accepted' | 'done' | FailedAnswer
/** On its way, over a link that may break before it is there. */
type Message = { handler: string; epoch: number; id: string; answer: Answer | undefined }

interface Handler {
  up: boolean
  /** Counts the exchanges: what was sent over a former one never arrives. */
  epoch: number
  /** Given to the link. */
  queue: string[]
  /** Sent, and neither done nor failed: what is lost with the link. */
  open: Set<string>
  seen: SeenEvents
  /** Accepted, and not handled yet; kept whatever happens. With the exchange that may be answered. */
  accepted: Map<string, number>
}

/** A source, some handlers, and a network that loses, delays and reorders: what the net does with the state machine, in a few lines. */
export class DeliveryWorld {
  now = 0
  outbox: Outbox<OutboxEvent>
  readonly handlers = new Map<string, Handler>()
  messages: Message[] = []
  /** The append log, and the dead letters, as they stand on a disk. */
  readonly log = new Map<string, Kept<OutboxEvent> & { at: number }>()
  readonly letters = new Map<string, DeadLetter<OutboxEvent>>()
  readonly added = new Map<string, OutboxEvent>()
  readonly settled = new Map<string, string[]>()
  readonly dropped = new Set<string>()
  /** When each handler had what effect: `id handler`. */
  readonly effects = new Map<string, number[]>()
  #count = 0
  readonly #random: () => number

  constructor(names: string[], random: () => number) {
    this.#random = random
    for (const name of names) {
      const seen = createSeenEvents()
      this.handlers.set(name, { up: true, epoch: 0, queue: [], open: new Set(), seen, accepted: new Map() })
    }
    this.outbox = this.#create()
  }

  add(priority: Priority, fanOut: 'all' | number, expiresMs = 86_400_000): Added {
    const event = { id: `e${this.#count++}`, priority, bytes: 10, fanOut, expiresMs }
    const added = this.outbox.add(event, this.now)
    if (added.outcome !== 'refused') this.added.set(event.id, event)
    return added
  }

  /** The link sends what it was given first. */
  pump(name: string): void {
    const handler = this.handlers.get(name)!
    const id = handler.queue.shift()
    if (id === undefined) return
    if (!handler.up) return this.outbox.lost(id, name, this.now)
    if (this.outbox.sent(id, name, this.now) === undefined) return
    handler.open.add(id)
    this.messages.push({ handler: name, epoch: handler.epoch, id, answer: undefined })
  }

  /** One message arrives; those of one exchange and direction in their order. @param isBusy what a handler says to an event. */
  deliver(at: number, isBusy = false): void {
    const drawn = this.messages[at % Math.max(1, this.messages.length)]
    if (drawn === undefined) return
    const isBefore = (one: Message): boolean =>
      one.handler === drawn.handler && (one.answer === undefined) === (drawn.answer === undefined)
    const [message] = this.messages.splice(this.messages.findIndex(isBefore), 1)
    const { handler: name, id, epoch, answer } = message!
    const handler = this.handlers.get(name)!
    if (epoch !== handler.epoch) return
    if (answer === undefined) return this.#receive(name, handler, id, isBusy)
    if (answer === 'accepted') return this.outbox.accepted(id, name, this.now)
    handler.open.delete(id)
    if (answer === 'done') this.outbox.done(id, name, this.now)
    else this.outbox.failed(id, name, answer, this.now)
  }

  /** A handler comes to the end of an event. */
  finish(name: string, how: 'done' | 'again' | 'never'): void {
    const handler = this.handlers.get(name)!
    const [next] = handler.accepted
    if (next === undefined) return
    const [id, epoch] = next
    handler.accepted.delete(id)
    if (how === 'again') handler.seen.forget('source', id)
    else handler.seen.settle('source', id, how === 'done' ? 'done' : 'failed', this.now)
    if (how === 'done') this.effects.set(`${id} ${name}`, [...(this.effects.get(`${id} ${name}`) ?? []), this.now])
    const answer = how === 'done' ? how : failure('tool_failed', how === 'again')
    this.messages.push({ handler: name, epoch, id, answer })
  }

  breakLink(name: string): void {
    const handler = this.handlers.get(name)!
    handler.epoch++
    const gone = [...handler.open, ...handler.queue.splice(0)]
    handler.open.clear()
    for (const id of gone) this.outbox.lost(id, name, this.now)
  }

  setUp(name: string, up: boolean): void {
    const handler = this.handlers.get(name)!
    if (handler.up === up) return
    handler.up = up
    if (!up) this.breakLink(name)
    this.outbox.handlersChanged(this.now, up ? [name] : [])
  }

  /** The source dies, and begins anew with what it has written down. */
  crash(): void {
    for (const handler of this.handlers.values()) {
      handler.epoch++
      handler.queue = []
      handler.open.clear()
    }
    this.outbox = this.#create()
    this.outbox.handlersChanged(this.now)
  }

  wait(ms: number): void {
    const until = this.now + ms
    while (this.outbox.nextAt <= until) this.outbox.tick((this.now = Math.max(this.now, this.outbox.nextAt)))
    this.now = until
  }

  /** All goes well from now on. */
  settle(): void {
    for (const name of this.handlers.keys()) this.setUp(name, true)
    for (let n = 0; n < 10_000 && this.outbox.size > 0; n++) {
      for (const [name, handler] of this.handlers) {
        while (handler.queue.length > 0) this.pump(name)
        while (this.messages.length > 0) this.deliver(0)
        while (handler.accepted.size > 0) this.finish(name, 'done')
        while (this.messages.length > 0) this.deliver(0)
      }
      if (this.outbox.size > 0 && [...this.handlers.values()].every(({ queue }) => queue.length === 0)) {
        assert.ok(this.outbox.nextAt < Infinity, 'an event is stuck')
        this.wait(this.outbox.nextAt - this.now)
      }
    }
  }

  #create(): Outbox<OutboxEvent> {
    return createOutbox<OutboxEvent>({
      route: () => [...this.handlers].flatMap(([name, { up }]) => (up ? [name] : [])),
      emit: (effect) => this.#onEffect(effect),
      random: this.#random,
      kept: [...this.log.values()].map(({ at, ...kept }) => structuredClone({ ...kept, ageMs: this.now - at })),
      letters: [...this.letters.values()],
      now: this.now
    })
  }

  #onEffect(effect: OutboxEffect<OutboxEvent>): void {
    switch (effect.kind) {
      case 'append':
        assert.notEqual(effect.event.priority, 'low')
        this.log.set(effect.event.id, { event: effect.event, at: this.now, ageMs: 0, handled: [] })
        break
      case 'routed':
        this.log.get(effect.id)!.handlers = effect.handlers
        break
      case 'handled':
        this.log.get(effect.id)!.handled.push(effect.handler)
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
        this.handlers.get(effect.handler)!.queue.push(effect.event.id)
        break
      case 'accepted':
        break
    }
  }

  #receive(name: string, handler: Handler, id: string, isBusy: boolean): void {
    const say = (answer: Answer): number => this.messages.push({ handler: name, epoch: handler.epoch, id, answer })
    if (isBusy) return void say(failure('busy', true))
    const known = handler.seen.begin('source', id, this.now)
    if (known === 'full') return void say(failure('busy', true))
    if (known === 'done') return void say('done')
    if (known === 'failed') return void say(failure('tool_failed', false))
    handler.accepted.set(id, handler.epoch)
    say('accepted')
  }
}

const failure = (code: string, retryable: boolean): FailedAnswer => ({ code, message: '', retryable, retryAfterMs: 0 })
