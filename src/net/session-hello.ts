import {
  FRAMING_VERSION,
  INITIAL_WINDOW_BYTES,
  MAX_EXCHANGES,
  MAX_FRAME_BYTES,
  decodeFrame,
  encodeFrame,
  type Hello
} from '../../protocols/framing/messages.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { Channel } from './channel.ts'

/** A stream that does not say hello or accept within this time is reset, in ms. */
export const HANDSHAKE_TIMEOUT_MS = 5_000

const HELLO: Hello = {
  version: FRAMING_VERSION,
  maxFrameBytes: MAX_FRAME_BYTES,
  windowBytes: INITIAL_WINDOW_BYTES,
  maxExchanges: MAX_EXCHANGES
}

/**
 * Says hello or accept, and hears the other.
 * @returns what the other side said, and the frames that came with it.
 * @throws MeshError `unavailable` (no answer), `unsupported` (version), `protocol_error`; the channel is then reset.
 */
export async function exchangeHello(
  channel: Channel,
  frames: AsyncIterator<Uint8Array[]>,
  initiator: boolean
): Promise<{ hello: Hello; rest: Uint8Array[] }> {
  const late = new MeshError('unavailable', 'the peer did not answer hello in time')
  const timer = setTimeout(() => channel.abort(late), HANDSHAKE_TIMEOUT_MS)
  try {
    // Trap 5: nothing else is sent before the other side has shown that it reads.
    if (initiator) channel.send(encodeFrame({ type: 'hello', hello: HELLO }))
    const batch = await frames.next()
    if (batch.done === true) throw new MeshError('unavailable', 'the peer closed the stream before hello')
    const frame = decodeFrame(batch.value[0]!)
    if (frame.type !== (initiator ? 'accept' : 'hello')) {
      throw new MeshError('protocol_error', `a session must begin with hello, not ${frame.type}`)
    }
    const { hello } = frame as { hello: Hello }
    if (hello.version < FRAMING_VERSION) {
      throw new MeshError('unsupported', `the peer speaks framing version ${hello.version}, this node needs ${FRAMING_VERSION}`)
    }
    if (!initiator) channel.send(encodeFrame({ type: 'accept', hello: HELLO }))
    return { hello, rest: batch.value.slice(1) }
  } catch (error) {
    const mesh = toMeshError(error)
    channel.abort(mesh)
    throw mesh
  } finally {
    clearTimeout(timer)
  }
}
