import type { StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { MeshError } from '../errors.ts'

/** Streams that a peer may have open on a connection; more are reset. */
export const MAX_WEBRTC_STREAMS = 256
/** Largest message of a WebRTC stream: the specification allows 16 KiB, and its length goes before it. */
export const MAX_WEBRTC_MESSAGE_BYTES = 16 * 1024

/** What is used of libp2p's muxer and streams beyond their interfaces; checked before use, since they may change. */
interface MuxerInternals {
  streams: unknown[]
  onRemoteStream(stream: GuardedStream): void
  onCreateStream(options: unknown): Promise<GuardedStream>
}
interface GuardedStream {
  channel: { onmessage: ((event: { data: ArrayBuffer }) => unknown) | null }
  abort(error: Error): void
}

/**
 * WebRTC streams that are bounded in number, and end when a message is announced that is over {@link MAX_WEBRTC_MESSAGE_BYTES}.
 * As of @libp2p/webrtc 6.0.33 neither is: the rest of a message of 4 MiB is waited for on each.
 */
export function boundMuxer(factory: StreamMuxerFactory): StreamMuxerFactory {
  const create = factory.createStreamMuxer.bind(factory)
  factory.createStreamMuxer = (connection) => {
    const muxer = create(connection) as StreamMuxer & Partial<MuxerInternals>
    const { onRemoteStream, onCreateStream } = muxer
    if (typeof onRemoteStream !== 'function' || typeof onCreateStream !== 'function')
      throw new MeshError('internal', 'this version of @libp2p/webrtc has another muxer; it cannot be bounded')
    return Object.assign(muxer, {
      onRemoteStream(stream: GuardedStream) {
        if (muxer.streams.length >= MAX_WEBRTC_STREAMS) return stream.abort(new Error('too many streams'))
        guardMessages(stream)
        onRemoteStream.call(muxer, stream)
      },
      async onCreateStream(options: unknown) {
        const stream = await onCreateStream.call(muxer, options)
        guardMessages(stream)
        return stream
      }
    })
  }
  return factory
}

function guardMessages(stream: GuardedStream): void {
  const { channel } = stream
  const deliver = channel?.onmessage
  if (typeof deliver !== 'function')
    throw new MeshError('internal', 'this version of @libp2p/webrtc has other streams; they cannot be guarded')
  const isWithin = createLengthCheck()
  channel.onmessage = (event) => {
    if (event.data instanceof ArrayBuffer && isWithin(new Uint8Array(event.data))) return deliver.call(channel, event)
    channel.onmessage = null
    stream.abort(new Error('a message is too large'))
  }
}

/** Follows the lengths in a stream of messages, each with its own before it (varint), however it is cut. False once one is too large. */
export function createLengthCheck(max = MAX_WEBRTC_MESSAGE_BYTES): (bytes: Uint8Array) => boolean {
  let [missing, length, factor] = [0, 0, 1]
  return (bytes) => {
    for (let at = 0; at < bytes.length;) {
      const skipped = Math.min(missing, bytes.length - at)
      at += skipped
      missing -= skipped
      const byte = bytes[at++]
      if (byte === undefined) break
      length += (byte & 0x7f) * factor
      factor *= 128
      // Also of one that is written with more bytes than it needs.
      if (length > max || factor > 2 ** 28) return false
      if (byte < 0x80) [missing, length, factor] = [length, 0, 1]
    }
    return true
  }
}
