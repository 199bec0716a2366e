import {
  EMBEDDING_PROTOCOL,
  decodeEmbeddingEnd,
  decodeEmbeddingItem,
  decodeEmbeddingRequest,
  encodeEmbeddingEnd,
  encodeEmbeddingItem,
  encodeEmbeddingRequest,
  type EmbeddingItem,
  type EmbeddingRequest
} from '../../protocols/embedding/messages.ts'
import { MeshError } from '../errors.ts'
import type { Protocol } from './protocol.ts'
import type { Session } from './session.ts'

/** An exchange takes at most this long, on either side, in ms. */
export const GIVE_TIMEOUT_MS = 20_000
/** A node that is asked and sends nothing for so long is not waited for, in ms: what it has not told is embedded by who asks. */
export const ASK_IDLE_MS = 5_000

/** Gives vectors of what this node says itself; returns the model that it has now. */
export type GiveVectors = (request: EmbeddingRequest, signal: AbortSignal) => AsyncGenerator<EmbeddingItem, string | undefined>

/** The side that is asked. One exchange a peer at a time: what it costs is known. */
export function createEmbeddingProtocol(give: GiveVectors): Protocol {
  const answering = new Set<string>()
  return {
    id: EMBEDDING_PROTOCOL,
    timeoutMs: GIVE_TIMEOUT_MS,
    async *handle({ body, signal }, peer) {
      const request = decodeEmbeddingRequest(body)
      if (answering.has(peer))
        throw new MeshError('busy', 'this node gives vectors to yours already; ask again after that', { reason: 'limit' })
      answering.add(peer)
      const vectors = give(request, signal)
      try {
        for (;;) {
          const step = await vectors.next()
          if (step.done === true) return encodeEmbeddingEnd({ model: step.value })
          yield encodeEmbeddingItem(step.value)
        }
      } finally {
        answering.delete(peer)
        await vectors.return(undefined)
      }
    }
  }
}

/** How vectors are asked for. */
export interface AskOptions {
  /** Numbers of a vector. */
  width: number
  signal: AbortSignal
  /** Default: {@link ASK_IDLE_MS}, {@link GIVE_TIMEOUT_MS}. */
  times?: { idleMs: number; timeoutMs: number }
}

/**
 * The side that asks: each place at most once, all of one length.
 * @returns the model that the vectors of the other side are of now.
 * @throws MeshError `protocol_error`, `unavailable`, `busy`, `unsupported`; `deadline_exceeded` if nothing comes for a while, or not all in the end.
 */
export async function* askVectors(
  session: Pick<Session, 'request'>,
  request: EmbeddingRequest,
  { width, signal, times = { idleMs: ASK_IDLE_MS, timeoutMs: GIVE_TIMEOUT_MS } }: AskOptions
): AsyncGenerator<EmbeddingItem, string | undefined, void> {
  const { idleMs, timeoutMs } = times
  const over = new AbortController()
  const late = (ms: number) => () => over.abort(new MeshError('deadline_exceeded', `no vector within ${ms} ms`))
  const exchange = session.request(encodeEmbeddingRequest(request), { signal: AbortSignal.any([signal, over.signal]) })
  const seen = new Set<number>()
  const end = setTimeout(late(timeoutMs), timeoutMs)
  try {
    for (;;) {
      const timer = setTimeout(late(idleMs), idleMs)
      const step = await exchange.next().finally(() => clearTimeout(timer))
      if (step.done === true) return decodeEmbeddingEnd(step.value).model
      const item = decodeEmbeddingItem(step.value)
      if (item.index >= request.digests.length || seen.has(item.index))
        throw new MeshError('protocol_error', 'a vector of a text that was not asked for, or twice')
      if (item.values.length !== width)
        throw new MeshError('protocol_error', `a vector of ${item.values.length} numbers, of a model that gives ${width}`)
      seen.add(item.index)
      yield item
    }
  } finally {
    clearTimeout(end)
    await exchange.return(undefined)
  }
}
