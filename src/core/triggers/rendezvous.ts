/**
 * Who of several is first for a key, who is next, and so on (rendezvous hashing; Thaler and Ravishankar, 1998): the same on every node and at every start,
 * shared evenly, and when one comes or goes only the keys that are its own move. FNV-1a over key and name, mixed as MurmurHash3 does.
 * @param names no two alike.
 */
export function rendezvousOrder(key: string, names: readonly string[]): string[] {
  const begun = fnv(OFFSET_BASIS, `${key}\n`)
  return names
    .map((name) => ({ name, hash: mix(fnv(begun, name)) }))
    .sort((a, b) => b.hash - a.hash || (a.name < b.name ? -1 : 1))
    .map(({ name }) => name)
}

const OFFSET_BASIS = 0x811c9dc5
const PRIME = 0x01000193

function fnv(hash: number, text: string): number {
  for (let n = 0; n < text.length; n++) hash = Math.imul(hash ^ text.charCodeAt(n), PRIME)
  return hash
}

/** FNV alone leaves names that differ in their last characters close to each other. */
function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
