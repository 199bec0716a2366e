/** The newest pictures of a camera, bounded by age and by bytes. */
import { createDropOldestQueue } from './drop-oldest-queue.ts'

/** Pictures that wait for one who reads live; beyond it the oldest are left out. */
const LIVE_QUEUE_LIMIT = 100

/** One picture. */
export interface Frame {
  /** Unique on this machine. */
  id: string
  /** When it came, in ms since 1970. */
  atMs: number
  /** Its place in the source, in ms from the start of the source. */
  positionMs: number
  /** Part of its pixels that are other than before. */
  score: number
  moving: boolean
  jpeg: Uint8Array
}

/** See {@link createFrameRing}. */
export interface FrameRing {
  add(frame: Frame): void
  get(id: string): Frame | undefined
  newest(): Frame | undefined
  /** Pictures in their order. */
  list(): readonly Frame[]
  /** Pictures from now on, until the signal aborts. */
  live(signal: AbortSignal): AsyncGenerator<Frame, void, void>
}

/** Makes an empty ring. */
export function createFrameRing(init: { seconds: number; maxBytes: number }): FrameRing {
  const frames: Frame[] = []
  const readers = new Set<(frame: Frame) => void>()
  let bytes = 0
  return {
    add(frame) {
      frames.push(frame)
      bytes += frame.jpeg.length
      // The newest one stays, however large or old it is.
      while (frames.length > 1 && (bytes > init.maxBytes || frame.atMs - frames[0]!.atMs > init.seconds * 1_000)) {
        bytes -= frames.shift()!.jpeg.length
      }
      for (const read of readers) read(frame)
    },
    get: (id) => frames.find((frame) => frame.id === id),
    newest: () => frames.at(-1),
    list: () => frames,
    async *live(signal) {
      const queue = createDropOldestQueue<Frame>({ limit: LIVE_QUEUE_LIMIT })
      const read = (frame: Frame): void => void queue.push(frame)
      readers.add(read)
      try {
        yield* queue.values(signal)
      } finally {
        readers.delete(read)
      }
    }
  }
}

/** Cuts a stream of bytes into pieces of one size. */
export async function* blocksOf(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array, void, void> {
  let block = new Uint8Array(size)
  let filled = 0
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + size - filled)
      block.set(part, filled)
      filled += part.length
      at += part.length
      if (filled < size) continue
      yield block
      block = new Uint8Array(size)
      filled = 0
    }
  }
}

/** Largest picture, in bytes. */
export const MAX_JPEG_BYTES = 16 * 1024 * 1024

/** Cuts a stream of JPEG pictures one after another into pictures, by their end markers (ITU T.81, annex B). */
export async function* jpegsOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  let rest = Buffer.alloc(0)
  let searched = 0
  for await (const chunk of source) {
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      const end = rest.indexOf('ffd9', searched, 'hex')
      if (end < 0) break
      // A picture that outlives the stream must not hold the rest of it.
      yield new Uint8Array(rest.subarray(0, end + 2))
      rest = rest.subarray(end + 2)
      searched = 0
    }
    // The marker may be cut in two.
    searched = Math.max(0, rest.length - 1)
    if (rest.length > MAX_JPEG_BYTES) throw new Error(`a picture is over ${MAX_JPEG_BYTES} bytes`)
  }
}
