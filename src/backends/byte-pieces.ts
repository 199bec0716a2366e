/** Largest piece that is sent at once, in bytes: one message of the wire holds a little less than 4 MiB. */
export const MAX_PIECE_BYTES = 1024 * 1024

/** Bytes as new pieces that belong to the reader; small ones in one piece. */
export function* piecesOf(bytes: Uint8Array): Generator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += MAX_PIECE_BYTES) yield new Uint8Array(bytes.subarray(at, at + MAX_PIECE_BYTES))
}
