import { renderUnicodeCompact } from 'uqr'

/** A QR code (ISO/IEC 18004) for a terminal: dark on light, two modules a character. */
export function qrCode(text: string): string {
  return renderUnicodeCompact(text, { border: 2 })
}
