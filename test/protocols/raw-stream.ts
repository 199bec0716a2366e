import type { Connection, Stream } from '@libp2p/interface'
import {
  INITIAL_WINDOW_BYTES,
  MAX_EXCHANGES,
  MAX_FRAME_BYTES,
  decodeFrame,
  encodeFrame,
  readPrefix,
  type Frame
} from '../../protocols/framing/messages.ts'

/** What a well-behaved side says of itself. */
export const HELLO = {
  version: 1,
  maxFrameBytes: MAX_FRAME_BYTES,
  windowBytes: INITIAL_WINDOW_BYTES,
  maxExchanges: MAX_EXCHANGES
}

/** A stream of a peer that does as a test tells it: it sends any bytes, and reads frames only if it likes. */
export interface RawStream {
  readonly stream: Stream
  /** Frames that came, in order. */
  readonly heard: Frame[]
  /** Queues frames or bytes; false if the stream wants its sender to wait. */
  send(...parts: (Frame | Uint8Array)[]): boolean
  /** Resolves when more may be sent; also when the stream ends. */
  drained(): Promise<void>
  readonly ended: boolean
}

/** Opens a stream of a protocol. @param reads false: what comes is left unread. */
export async function openRaw(connection: Connection, protocol: string, reads = true): Promise<RawStream> {
  const stream = await connection.newStream(protocol)
  const heard: Frame[] = []
  let rest: Uint8Array = new Uint8Array(0)
  let ended = false
  stream.addEventListener('close', () => (ended = true))
  if (!reads) stream.pause()
  stream.addEventListener('message', ({ data }) => {
    const bytes = data instanceof Uint8Array ? data : data.subarray()
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    let at = 0
    for (;;) {
      const prefix = at < rest.length ? readPrefix(rest, at) : undefined
      if (prefix === undefined || prefix.start + prefix.length > rest.length) break
      at = prefix.start + prefix.length
      // A flood is answered by a flood: only the newest are kept.
      if (heard.length > 32_768) heard.splice(0, 16_384)
      heard.push(decodeFrame(rest.subarray(prefix.start, at)))
    }
    rest = rest.subarray(at)
  })
  return {
    stream,
    heard,
    get ended() {
      return ended || stream.status !== 'open'
    },
    send(...parts) {
      let more = true
      for (const part of parts) {
        if (stream.status !== 'open') return true
        try {
          more = stream.send(part instanceof Uint8Array ? part : encodeFrame(part))
        } catch {
          // The other side was faster with its reset: what this test is about.
          return true
        }
      }
      return more
    },
    drained: () =>
      new Promise((resolve) => {
        if (stream.status !== 'open' || !stream.writableNeedsDrain) return resolve()
        stream.addEventListener('drain', () => resolve(), { once: true })
        stream.addEventListener('close', () => resolve(), { once: true })
      })
  }
}
