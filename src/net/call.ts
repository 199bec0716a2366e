import { pipe } from 'it-pipe'
import {
  CALL_PROTOCOL,
  MAX_BYTES_PER_ITEM,
  decodeItem,
  decodeRequest,
  encodeItem,
  encodeRequest,
  type CallRequest
} from '../../protocols/call/messages.ts'
import { asJson } from '../../protocols/shape.ts'
import { Cancellation } from '../core/cancellation.ts'
import { originBytes, originId } from '../core/document.ts'
import type { Invoke, Item, ToolRequest } from '../core/invoke.ts'
import type { IncomingExchange } from './inbound-exchanges.ts'
import type { Protocol } from './protocol.ts'
import type { Session } from './session.ts'

/** The call protocol: a tool call is one exchange. `provider` runs the calls that arrive. */
export function createCallProtocol(provider: Invoke): Protocol {
  return {
    id: CALL_PROTOCOL,
    async *handle(exchange: IncomingExchange, peer: string) {
      const { capability, tool, input, remainingMs, idempotencyKey, traceparent, causes: ids } = decodeRequest(exchange.body)
      const causes = ids?.map(originId)
      const stream = exchange.input === undefined ? undefined : pipe(exchange.input, items)
      // Written out: the copy of a spread lives on to the next major collection, in each call.
      const request = { capability, tool, input, remainingMs, idempotencyKey, traceparent, causes, stream, caller: peer }
      for await (const item of provider(request, exchange.cancellation)) {
        if (item.kind === 'result') return item.value
        yield* bodies(item)
      }
      return null
    }
  }
}

/** A call at the peer of a session: the same function type as a local one. */
export function callOver(session: Session): Invoke {
  return (request, options) => {
    const { stream } = request
    const replies = session.request(encodeRequest(toWire(request)), {
      cancellation: Cancellation.of(options),
      input: stream === undefined ? undefined : pipe(stream, outgoing)
    })
    return new RemoteItems(replies)
  }
}

/** Written out: the copy of a spread lives on to the next major collection. */
function toWire({ capability, tool, input, remainingMs, idempotencyKey, traceparent, causes }: ToolRequest): CallRequest {
  return { capability, tool, input, remainingMs, idempotencyKey, traceparent, causes: causes?.map(originBytes) }
}

/** Not a generator: a small call passes here twice, and each generator in its way costs. */
class RemoteItems implements AsyncIterableIterator<Item> {
  readonly #replies: AsyncGenerator<unknown, unknown, void>
  #over = false

  constructor(replies: AsyncGenerator<unknown, unknown, void>) {
    this.#replies = replies
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Item, undefined>> {
    if (this.#over) return { done: true, value: undefined }
    const step = await this.#replies.next()
    if (step.done === true) this.#over = true
    try {
      return { done: false, value: step.done === true ? { kind: 'result', value: asJson(step.value) } : decodeItem(step.value) }
    } catch (error) {
      // Whoever iterates does not call return() after a rejection: the exchange would stay open for ever.
      await this.return()
      throw error
    }
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
