/** Bytes per step: a multiple of 3, so that the parts join, and few enough to be arguments of one call. */
const STEP_BYTES = 0x6000

/** Standard base64 (RFC 4648, section 4) by web standards alone. */
export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let offset = 0; offset < bytes.byteLength; offset += STEP_BYTES) {
    text += btoa(String.fromCharCode(...bytes.subarray(offset, offset + STEP_BYTES)))
  }
  return text
}
