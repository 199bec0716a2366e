import type { Connection } from '@libp2p/interface'
import { toMeshError, type MeshError } from '../errors.ts'
import { createChannel } from './channel.ts'
import type { Protocol } from './protocol.ts'
import { openSession, type Session } from './session.ts'

/** Streams of a protocol of single exchanges that one connection may open: one is needed. */
export const MAX_SINGLE_STREAMS = 2

/**
 * Opens a session for one exchange; the caller closes it.
 * @throws MeshError `unavailable`, `unsupported`; whatever libp2p throws if the stream does not open.
 */
export async function openSingle(
  connection: Connection,
  protocol: string,
  { signal, now }: { signal: AbortSignal; now: () => number }
): Promise<Session> {
  const stream = await connection.newStream(protocol, { signal, maxOutboundStreams: MAX_SINGLE_STREAMS })
  return openSession({ channel: createChannel(stream), initiator: true, handler: nothing, now })
}

/** Answers on a stream that a peer opened. Resolves when it is closed, with the first error of an exchange. Never rejects. */
export async function answerSingle(
  stream: Parameters<typeof createChannel>[0],
  peer: string,
  protocol: Protocol,
  now: () => number
): Promise<MeshError | undefined> {
  let refusal: MeshError | undefined
  const handler: Parameters<typeof openSession>[0]['handler'] = async function* (exchange) {
    try {
      return yield* protocol.handle(exchange, peer)
    } catch (error) {
      refusal ??= toMeshError(error)
      throw error
    }
  }
  try {
    const channel = createChannel(stream)
    const session = await openSession({ channel, initiator: false, handler, now, timeoutMs: protocol.timeoutMs })
    await session.closed
  } catch (error) {
    refusal ??= toMeshError(error)
  }
  return refusal
}

async function* nothing(): AsyncGenerator<unknown, unknown, void> {
  throw new Error('this side only asks')
}
