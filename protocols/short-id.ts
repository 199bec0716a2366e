/** True for what looks like a PeerId, whether one has it or not: base58 of at least 46 characters. */
export function isPeerId(text: string): boolean {
  return /^[1-9A-HJ-NP-Za-km-z]{46,}$/.test(text)
}

/** Fewest characters of the end of a PeerId that mean it. */
export const MIN_SHORT_ID = 6

/** True if this is the end of the PeerId, as tables show it: `…3cxZYTKS`, with the mark or without. */
export function isShortIdOf(peerId: string, given: string): boolean {
  const end = given.startsWith('…') ? given.slice(1) : given
  return end.length >= MIN_SHORT_ID && peerId.endsWith(end)
}

/** The end of a PeerId, as tables show it and commands take it; what is not much longer stays whole. */
export function shortId(peerId: string): string {
  return peerId.length > 14 ? `…${peerId.slice(-8)}` : peerId
}

/** A node in a message: several may have its name, and whoever has none is called by its PeerId. */
export function nameWithId(peerId: string, name: string): string {
  return name === peerId || name === '' ? shortId(peerId) : `${name} (${shortId(peerId)})`
}

/** A PeerId in a text, after what is before it. One in an address stays: that is there to be tried by hand. No lookbehind: this runs in browsers that lack it. */
const PEER_ID = /(^|[^\w/])((?:12D3KooW|16Uiu2HA|Qm)[1-9A-HJ-NP-Za-km-z]{38,})\b/g

/** A text with names in place of the PeerIds in it. */
export function namePeerIds(text: string, nameOf: (node: string) => string): string {
  return text.replace(PEER_ID, (_, before: string, node: string) => before + nameOf(node))
}
