/** Characters of what is asked that a node reads to find out what is meant. */
const MAX_CHARACTERS = 2_000
/** Most that it may take in an address, in bytes: a node refuses a request whose line and headers are over 16 KiB. */
const MAX_ENCODED_BYTES = 12 * 1024

/** The beginning of a text, as much of it as says what is meant and fits into an address. No character is split. */
export function meantText(text: string): string {
  let [length, bytes] = [0, 0]
  for (const character of text) {
    bytes += new URLSearchParams({ '': character }).toString().length - 1
    if (length + character.length > MAX_CHARACTERS || bytes > MAX_ENCODED_BYTES) break
    length += character.length
  }
  return text.slice(0, length)
}
