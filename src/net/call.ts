import { pipe } from 'it-pipe'
import {
  CALL_PROTOCOL,
  MAX_BYTES_PER_ITEM,
  decodeItem,
  decodeLoad,
  decodeLoadItem,
  decodeProbe,
  decodeRequest,
  encodeItem,
  encodeLoad,
  encodeLoadItem,
  encodeProbe,
  encodeRequest,
  type CallRequest,
  type Probe
} from '../../protocols/call/messages.ts'
import type { JsonValue } from '../../protocols/json.ts'
import { asJson } from '../../protocols/shape.ts'
import { Cancellation } from '../core/cancellation.ts'
import { originBytes, originId } from '../core/document.ts'
import type { Invoke, Item, Load, LoadQuestion, ToolRequest } from '../core/invoke.ts'
import { MeshError } from '../errors.ts'
import type { IncomingExchange } from './inbound-exchanges.ts'
import { LongInputs, MAX_INPUT_MS, isLongInput, longInput, piecesOf, type ReceivedInput } from './long-input.ts'
import type { Protocol } from './protocol.ts'
import type { Session } from './session.ts'

/** The call protocol: a tool call is one exchange. `provider` runs the calls that arrive. @param longInputs room for inputs that come in pieces. */
export function createCallProtocol(provider: Invoke, longInputs = new LongInputs()): Protocol {
  /** Undefined for an input that came with the open frame. */
  function received({ inputBytes, remainingMs }: CallRequest, exchange: IncomingExchange, peer: string) {
    if (inputBytes === undefined) return undefined
    const { signal, input } = exchange
    return longInputs.receive(input, { bytes: inputBytes, peer, ms: remainingMs ?? MAX_INPUT_MS, signal })
  }

  return {
    id: CALL_PROTOCOL,
    overCircuits: true,
    async *handle(exchange: IncomingExchange, peer: string) {
      const probe = decodeProbe(exchange.body)
      if (probe !== undefined) return encodeLoad(await answerOf(provider, probe, peer, exchange.cancellation))
      const decoded = decodeRequest(exchange.body)
      const { capability, tool, idempotencyKey, traceparent, elsewhere } = decoded
      const askedAt = performance.now()
      const causes = decoded.causes?.map(originId)
      if (decoded.inputBytes !== undefined) {
        // Who may not call takes no room with its input.
        const ahead = { capability, tool, input: null, ahead: true, idempotencyKey, causes, caller: peer }
        for await (const item of provider(ahead, exchange.cancellation)) void item
      }
      const long: ReceivedInput | undefined = await received(decoded, exchange, peer)
      const input = long === undefined ? decoded.input : long.input
      const remainingMs =
        long === undefined || decoded.remainingMs === undefined
          ? decoded.remainingMs
          : decoded.remainingMs - (performance.now() - askedAt)
      const stream = exchange.input === undefined || long !== undefined ? undefined : pipe(exchange.input, items)
      let load: Load | undefined
      const question = decoded.tellLoad === true ? { only: false, answer: (told: Load) => void (load = told) } : undefined
      // Written out: the copy of a spread lives on to the next major collection, in each call.
      const of = {
        capability,
        tool,
        input,
        keepInput: long?.keep,
        remainingMs,
        idempotencyKey,
        traceparent,
        causes,
        stream,
        question,
        elsewhere,
        caller: peer
      }
      let value: JsonValue = null
      try {
        for await (const item of provider(of, exchange.cancellation)) {
          if (item.kind === 'result') {
            value = item.value
            break
          }
          yield* bodies(item)
        }
      } finally {
        long?.release()
      }
      if (load !== undefined) yield encodeLoadItem(load)
      return value
    }
  }
}

/** @throws MeshError what the provider refuses the question with. */
async function answerOf(provider: Invoke, probe: Probe, caller: string, cancellation: Cancellation): Promise<Load> {
  const { capability, tool } = probe
  let load: Load | undefined
  const question: LoadQuestion = { only: true, answer: (told) => void (load = told) }
  const request = { capability, tool, input: null, caller, causes: probe.causes?.map(originId), question }
  for await (const item of provider(request, cancellation)) void item
  if (load === undefined) throw new MeshError('internal', 'the provider did not say how busy it is')
  return load
}

/** A call at the peer of a session, or only the question how busy it is: the same function type as a local one. */
export function callOver(session: Session): Invoke {
  return (request, options) => {
    const { stream, question } = request
    const cancellation = Cancellation.of(options)
    if (question?.only === true) return probeOver(session, request, question, cancellation)
    const bytes = isLongInput(request.input) ? longInput(request.input) : undefined
    // Streams are not for both: an input beside one has to fit the open frame.
    if (bytes !== undefined && stream === undefined) {
      const open = encodeRequest({ ...toWire(request), inputBytes: bytes.length })
      return new RemoteItems(session.request(open, { cancellation, input: piecesOf(bytes) }), question)
    }
    const input = stream === undefined ? undefined : pipe(stream, outgoing)
    return new RemoteItems(session.request(encodeRequest(toWire(request)), { cancellation, input }), question)
  }
}

/** Yields nothing: the answer goes to who asked. */
async function* probeOver(
  session: Session,
  { capability, tool, causes }: ToolRequest,
  question: LoadQuestion,
  cancellation: Cancellation
): AsyncGenerator<Item, void, void> {
  const replies = session.request(encodeProbe({ capability, tool, causes: causes?.map(originBytes) }), { cancellation })
  const { done, value } = await replies.next()
  if (done !== true) {
    await replies.return(undefined)
    throw new MeshError('protocol_error', 'a peer answers with items how busy it is')
  }
  question.answer(decodeLoad(value))
}

/** Written out: the copy of a spread lives on to the next major collection. */
function toWire({
  capability,
  tool,
  input,
  remainingMs,
  idempotencyKey,
  traceparent,
  causes,
  question,
  elsewhere
}: ToolRequest): CallRequest {
  const [tellLoad, ids] = [question !== undefined, causes?.map(originBytes)]
  return { capability, tool, input, remainingMs, idempotencyKey, traceparent, causes: ids, tellLoad, elsewhere }
}

/** Not a generator: a small call passes here twice, and each generator in its way costs. */
class RemoteItems implements AsyncIterableIterator<Item> {
  readonly #replies: AsyncGenerator<unknown, unknown, void>
  /** Undefined once it is answered. */
  #question: LoadQuestion | undefined
  #over = false

  constructor(replies: AsyncGenerator<unknown, unknown, void>, question: LoadQuestion | undefined) {
    this.#replies = replies
    this.#question = question
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Item, undefined>> {
    if (this.#over) return { done: true, value: undefined }
    let step = await this.#replies.next()
    try {
      if (this.#question !== undefined && step.done !== true && this.#isAnswer(step.value)) step = await this.#replies.next()
      if (step.done === true) this.#over = true
      return { done: false, value: step.done === true ? { kind: 'result', value: asJson(step.value) } : decodeItem(step.value) }
    } catch (error) {
      // Whoever iterates does not call return() after a rejection: the exchange would stay open for ever.
      await this.return()
      throw error
    }
  }

  #isAnswer(body: unknown): boolean {
    const load = decodeLoadItem(body)
    if (load === undefined) return false
    this.#question!.answer(load)
    this.#question = undefined
    return true
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    this.#over = true
    await this.#replies.return(undefined)
    return { done: true, value: undefined }
  }
}

async function* items(input: AsyncIterable<unknown>): AsyncGenerator<Item, void, void> {
  for await (const body of input) yield decodeItem(body)
}

async function* outgoing(stream: AsyncIterable<Item>): AsyncGenerator<unknown, void, void> {
  for await (const item of stream) if (item.kind !== 'result') yield* bodies(item)
}

/** Large byte items are cut, so that calls on the same stream share it fairly. */
function* bodies(item: Exclude<Item, { kind: 'result' }>): Generator<unknown, void, void> {
  if (item.kind !== 'bytes' || item.bytes.length <= MAX_BYTES_PER_ITEM) {
    yield encodeItem(item)
    return
  }
  for (let at = 0; at < item.bytes.length; at += MAX_BYTES_PER_ITEM) {
    yield encodeItem({ kind: 'bytes', bytes: item.bytes.subarray(at, at + MAX_BYTES_PER_ITEM) })
  }
}
