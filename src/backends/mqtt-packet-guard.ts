/** How long the packets are that a broker sends (MQTT 3.1.1, 2.2: http://docs.oasis-open.org/mqtt/mqtt/v3.1.1/): the client keeps all of one before it gives it. Pure. */

/** Bytes that a length has at most, each with 7 bits of it. */
const MAX_LENGTH_BYTES = 4

/**
 * Makes a function that is given all that comes, in any pieces.
 * @returns the length of the first packet that has more than `maxBytes` behind its header, once that is seen; else undefined.
 */
export function createPacketGuard(maxBytes: number): (piece: Uint8Array) => number | undefined {
  /** Bytes of the packet that are still to come. */
  let rest = 0
  let length = 0
  /** Bytes of its length that have come; undefined before its first byte. */
  let digits: number | undefined
  return (piece) => {
    for (let at = 0; at < piece.length;) {
      if (rest > 0) {
        const skipped = Math.min(rest, piece.length - at)
        rest -= skipped
        at += skipped
        continue
      }
      const byte = piece[at++]!
      if (digits === undefined) {
        digits = length = 0
        continue
      }
      length += (byte & 0x7f) * 128 ** digits++
      // One that does not end there is no length: the parser says so.
      if (byte >= 0x80 && digits < MAX_LENGTH_BYTES) continue
      if (length > maxBytes) return length
      rest = length
      digits = undefined
    }
    return undefined
  }
}
