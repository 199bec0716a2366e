import { readPrefix } from '../../protocols/framing/messages.ts'

/** Received chunks that are kept apart; past it they are joined, because a chunk of one byte costs a hundred. */
export const MAX_CHUNKS = 1_024

/** Bytes as they arrive on one side, whole frames on the other. */
export interface FrameBuffer {
  push(bytes: Uint8Array): void
  /** The frames that are whole, without prefix. Throws MeshError `protocol_error` or `too_large` for a bad length. */
  take(): Uint8Array[]
  /** Bytes kept. */
  readonly bytes: number
  /** Bytes that must be here before `take` can give anything. */
  readonly needed: number
}

/** @param maxFrameBytes a longer frame is refused as soon as its length is read. */
export function createFrameBuffer(maxFrameBytes: number): FrameBuffer {
  let chunks: Uint8Array[] = []
  let joined = 0
  let bytes = 0
  let needed = 1

  return {
    push(chunk) {
      chunks.push(chunk)
      bytes += chunk.length
      if (chunks.length - joined > MAX_CHUNKS) joined = chunks.push(joinBytes(chunks.splice(joined)))
    },
    take() {
      if (bytes < needed) return []
      const all = joinBytes(chunks)
      const frames: Uint8Array[] = []
      let offset = 0
      needed = 1
      while (offset < all.length) {
        const prefix = readPrefix(all, offset, maxFrameBytes)
        const end = prefix === undefined ? undefined : prefix.start + prefix.length
        if (prefix === undefined || end! > all.length) {
          needed = (end ?? all.length + 1) - offset
          break
        }
        frames.push(all.subarray(prefix.start, end))
        offset = end!
      }
      chunks = offset === all.length ? [] : [all.subarray(offset)]
      joined = 0
      bytes = all.length - offset
      return frames
    },
    get bytes() {
      return bytes
    },
    get needed() {
      return needed
    }
  }
}

/** One array of all parts; the part itself if there is but one. */
export function joinBytes(parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  let total = 0
  for (const { length } of parts) total += length
  const out = new Uint8Array(total)
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}
