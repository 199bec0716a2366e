const ALPHABET = new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
const PADDING = 61

/** Length of the base64 of so many bytes. */
export function base64Length(bytes: number): number {
  return Math.ceil(bytes / 3) * 4
}

/**
 * Writes standard base64 (RFC 4648, section 4) as ASCII into `out`. By hand and into bytes because this is the whole cost of a
 * streamed file: `btoa` over a string of characters takes ten times as long, and Node 20 has no `toBase64`.
 */
export function writeBase64(bytes: Uint8Array, out: Uint8Array, offset: number = 0): void {
  const digit = (value: number) => ALPHABET[value & 63] as number
  const whole = bytes.byteLength - (bytes.byteLength % 3)
  let at = offset
  for (let i = 0; i < whole; i += 3) {
    const group = ((bytes[i] as number) << 16) | ((bytes[i + 1] as number) << 8) | (bytes[i + 2] as number)
    out[at++] = digit(group >> 18)
    out[at++] = digit(group >> 12)
    out[at++] = digit(group >> 6)
    out[at++] = digit(group)
  }
  const rest = bytes.byteLength - whole
  if (rest === 0) return
  const group = ((bytes[whole] as number) << 16) | ((bytes[whole + 1] ?? 0) << 8)
  out[at++] = digit(group >> 18)
  out[at++] = digit(group >> 12)
  out[at++] = rest === 2 ? digit(group >> 6) : PADDING
  out[at] = PADDING
}

/** Base64 as a string. */
export function toBase64(bytes: Uint8Array): string {
  const out = new Uint8Array(base64Length(bytes.byteLength))
  writeBase64(bytes, out)
  return new TextDecoder().decode(out)
}
