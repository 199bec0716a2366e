import { concat } from 'uint8arrays/concat'

/**
 * Reads bytes that come in pieces into one array, as long as they are not too many: nothing beyond `maxBytes` is kept.
 * @throws what `tooLarge` gives as soon as there are more, and what the source throws.
 */
export async function readAtMost(
  pieces: AsyncIterable<Uint8Array>,
  maxBytes: number,
  tooLarge: () => Error
): Promise<Uint8Array> {
  const kept: Uint8Array[] = []
  let bytes = 0
  for await (const piece of pieces) {
    bytes += piece.byteLength
    if (bytes > maxBytes) throw tooLarge()
    kept.push(piece)
  }
  return concat(kept, bytes)
}
