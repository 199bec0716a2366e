import {
  TRIGGER_PROTOCOL,
  decodeDelivery,
  decodeEvent,
  decodeTriggerOpen,
  type Delivery,
  type MeshEvent
} from '../../protocols/trigger/messages.ts'
import { failureOf } from '../core/triggers/failure.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { EventCopies } from './event-copies.ts'
import type { IncomingExchange } from './inbound-exchanges.ts'
import type { Protocol } from './protocol.ts'
import { createPayloadServer } from './trigger-fetch.ts'
import { createTriggerAnswers, type TriggerAnswers } from './trigger-answers.ts'

/** Whom a delivery came from, and how it is answered. */
export interface DeliveryOrigin {
  answers: Pick<TriggerAnswers, 'answer' | 'isOpen'>
  number: number
}

/** What the reader needs. */
export interface TriggerReaderComponents {
  /** Id of the own mesh. */
  mesh: string
  /** False if no capability of this node handles events. */
  takesEvents(): boolean
  /** An event of a node arrives for a capability of this one. What is thrown is the answer to this delivery alone. @throws MeshError. */
  receive(event: MeshEvent, delivery: Delivery, peer: string, to: DeliveryOrigin): void
  /** The payload of an event of this node, for a node that this was sent to. @throws MeshError `unavailable`. */
  payload(hash: string, peer: string): AsyncGenerator<Uint8Array, void, void>
  /** A node wants copies of what this one raises. */
  observe: EventCopies['observe']
}

/** The side of the handlers. */
export interface TriggerReader {
  protocol: Protocol
  /** All exchanges end, with the answers that there are. */
  stop(): void
  /** The same for an event of this node itself: what it throws to nobody, is its answer. */
  deliver(delivery: Delivery, peer: string, to: DeliveryOrigin): void
}

/** The node of handlers: takes deliveries, and answers them as they are accepted, done or failed. One exchange for each source. */
export function createTriggerReader({ mesh, takesEvents, receive, payload, observe }: TriggerReaderComponents): TriggerReader {
  const current = new Map<string, TriggerAnswers>()
  const serve = createPayloadServer(payload)
  let stopped = false

  function deliver(delivery: Delivery, peer: string, to: DeliveryOrigin): void {
    try {
      receive(eventOf(delivery, mesh, peer), delivery, peer, to)
    } catch (error) {
      to.answers.answer(to.number, failureOf(toMeshError(error)))
    }
  }

  async function read(answers: TriggerAnswers, input: AsyncIterable<unknown>, peer: string): Promise<void> {
    try {
      for await (const body of input) {
        const delivery = decodeDelivery(body)
        answers.open(delivery.number, delivery.event.length)
        deliver(delivery, peer, { answers, number: delivery.number })
        await answers.room()
      }
      answers.end()
    } catch (error) {
      answers.fail(toMeshError(error))
    }
  }

  const protocol: Protocol = {
    id: TRIGGER_PROTOCOL,
    overCircuits: true,
    async *handle({ body, input, cancellation }: IncomingExchange, peer) {
      const open = decodeTriggerOpen(body)
      if (open.kind === 'observe') return yield* observe(open.patterns, peer, cancellation)
      if (stopped) throw new MeshError('unavailable', 'the node is stopping')
      if (open.kind === 'fetch') return yield* serve(open.hash, peer)
      if (!takesEvents()) throw new MeshError('unsupported', 'this node handles no events')
      if (input === undefined) return null
      current.get(peer)?.fail(new MeshError('cancelled', 'there is another exchange of this source'))
      const answers = createTriggerAnswers()
      current.set(peer, answers)
      // No more deliveries may come, and then nothing else tells that the source is gone.
      cancellation.onAbort((reason) => answers.fail(reason))
      try {
        void read(answers, input, peer)
        yield* answers.items()
        return null
      } finally {
        answers.fail(new MeshError('cancelled', 'the exchange is over'))
        if (current.get(peer) === answers) current.delete(peer)
      }
    }
  }
  return {
    protocol,
    deliver,
    stop() {
      stopped = true
      for (const answers of current.values()) answers.fail(new MeshError('unavailable', 'the node is stopping'))
    }
  }
}

/** Who speaks for another node, or another mesh, is not heard. */
function eventOf({ event: bytes }: Delivery, mesh: string, peer: string): MeshEvent {
  const event = decoded(bytes)
  if (event.source.mesh !== mesh || event.source.node !== peer)
    throw new MeshError('permission_denied', 'an event must name its own mesh and node as its source')
  return event
}

/** It will not be another one when it comes again. */
function decoded(bytes: Uint8Array): MeshEvent {
  try {
    return decodeEvent(bytes)
  } catch (error) {
    const { code, message } = toMeshError(error)
    throw new MeshError(code, message, { retryable: false }, { cause: error })
  }
}
