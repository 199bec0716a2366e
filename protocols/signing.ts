/**
 * What is signed for one kind of message: its domain, then the bytes. So a signature over one kind never holds for another.
 *
 * @param line names the kind, without line feed. @returns what makes the bytes to sign or verify.
 */
export function signingDomain(line: string): (bytes: Uint8Array) => Uint8Array {
  const domain = new TextEncoder().encode(`${line}\n`)
  return (bytes) => {
    const out = new Uint8Array(domain.length + bytes.length)
    out.set(domain)
    out.set(bytes, domain.length)
    return out
  }
}
