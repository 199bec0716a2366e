/** Fewest characters of the end of a PeerId that mean it. */
export const MIN_SHORT_ID = 6

/** True if this is the end of the PeerId, as tables show it: `…3cxZYTKS`, with the mark or without. */
export function isShortIdOf(peerId: string, given: string): boolean {
  const end = given.startsWith('…') ? given.slice(1) : given
  return end.length >= MIN_SHORT_ID && peerId.endsWith(end)
}
