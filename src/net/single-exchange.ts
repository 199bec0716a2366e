import type { Connection } from '@libp2p/interface'
import type { TokenBuckets } from '../core/token-buckets.ts'
import { MeshError, toMeshError } from '../errors.ts'
import { createChannel } from './channel.ts'
import type { Protocol } from './protocol.ts'
import { openSession, type Session } from './session.ts'

/** Streams of a protocol of single exchanges that one connection may open: one is needed. */
export const MAX_SINGLE_STREAMS = 2

/** How often a peer may ask to be let in, or renewed, each over a connection or several: twelve times a minute. An answer is a signature and a write to the disk. */
export const ASK_RATE = { perSecond: 1 / 5, burst: 10 } as const

/** The protocol, at that rate for each peer: more is `busy`, with `details.reason` `limit` and `retryAfterMs`. @param asks shared by all streams. */
export function limited(protocol: Protocol, asks: TokenBuckets): Protocol {
  return {
    ...protocol,
    async *handle(exchange, peer) {
      if (!asks.take(peer)) {
        const retryAfterMs = Math.ceil(asks.until(peer, 1))
        const message = `this node was asked too often by yours; try again in ${Math.ceil(retryAfterMs / 1_000)} s`
        throw new MeshError('busy', message, { reason: 'limit', retryAfterMs })
      }
      return yield* protocol.handle(exchange, peer)
    }
  }
}

/**
 * Opens a session for one exchange; the caller closes it.
 * @throws MeshError `unavailable`, `unsupported`; whatever libp2p throws if the stream does not open.
 */
export async function openSingle(
  connection: Connection,
  protocol: string,
  { signal, now }: { signal: AbortSignal; now: () => number }
): Promise<Session> {
  const stream = await connection.newStream(protocol, {
    signal,
    maxOutboundStreams: MAX_SINGLE_STREAMS,
    runOnLimitedConnection: true
  })
  return openSession({ channel: createChannel(stream), initiator: true, handler: nothing, now })
}

/** After its exchange a stream is closed by the other side within this time, or reset, in ms. */
export const LINGER_MS = 1_000

/**
 * Answers one exchange on a stream that a peer opened, and no second one: what a stranger may try, it tries at the price of a stream.
 * Resolves when the stream is closed, with the error of the exchange. Never rejects.
 */
export async function answerSingle(
  stream: Parameters<typeof createChannel>[0],
  peer: string,
  protocol: Protocol,
  now: () => number
): Promise<MeshError | undefined> {
  let refusal: MeshError | undefined
  let begun = false
  let over!: () => void
  const ended = new Promise<void>((resolve) => (over = resolve))
  const handler: Parameters<typeof openSession>[0]['handler'] = async function* (exchange) {
    if (begun) throw new MeshError('busy', 'this stream is for one exchange')
    begun = true
    try {
      return yield* protocol.handle(exchange, peer)
    } catch (error) {
      refusal ??= toMeshError(error)
      throw error
    } finally {
      over()
    }
  }
  try {
    const channel = createChannel(stream)
    const session = await openSession({ channel, initiator: false, handler, now, timeoutMs: protocol.timeoutMs })
    await Promise.race([ended, session.closed])
    // Whoever asked closes it, once it has the answer; who does not, has nothing to stay for.
    const timer = setTimeout(() => session.abort(new MeshError('unavailable', 'the exchange is over')), LINGER_MS)
    await session.closed
    clearTimeout(timer)
  } catch (error) {
    refusal ??= toMeshError(error)
  }
  return refusal
}

async function* nothing(): AsyncGenerator<unknown, unknown, void> {
  throw new Error('this side only asks')
}
