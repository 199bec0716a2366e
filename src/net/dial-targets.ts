/** What hearsay becomes before it reaches the dialer's table. Pure; never throws. */
import { withPeerId } from './ip-multiaddr.ts'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { PeerSource } from './address-book.ts'
import { MAX_DIAL_ADDRESSES } from './known-peers.ts'

/** Something to dial: a peer with its addresses, or one address whose owner is not known. */
export interface DialTarget {
  key: string
  peerId: string | undefined
  addrs: string[]
}

/**
 * Checks what was found: addresses that do not parse or belong to another peer are refused, and so is a `dnsaddr` that nobody
 * configured (libp2p resolves it over the internet). Without `peerId` only static addresses are taken; each stands alone
 * until its owner is known. `checked` are addresses of `peerId` that went through this before: most of what is heard is known.
 */
export function readDialTargets(
  peerId: string | undefined,
  addrs: readonly string[],
  source: PeerSource,
  checked?: ReadonlySet<string>
): { targets: DialTarget[]; refused: number } {
  if (peerId !== undefined) {
    if (checked !== undefined && addrs.every((addr) => checked.has(addr)))
      return { targets: [{ key: peerId, peerId, addrs: [...addrs] }], refused: 0 }
    const id = canonicalId(peerId)
    if (id === undefined) return { targets: [], refused: 1 }
    const some = addrs.slice(0, MAX_DIAL_ADDRESSES)
    const full = some
      .map((addr) => withPeerId(addr, id))
      .filter((addr) => addr !== undefined && (source === 'static' || !addr.startsWith('/dnsaddr/')))
    return { targets: [{ key: id, peerId: id, addrs: full as string[] }], refused: some.length - full.length }
  }
  if (source !== 'static') return { targets: [], refused: 1 }
  const targets: DialTarget[] = []
  let refused = 0
  for (const addr of addrs) {
    const owner = ownerOf(addr)
    const id = typeof owner === 'string' ? canonicalId(owner) : undefined
    const full = id === undefined ? undefined : withPeerId(addr, id)
    if (owner === null) targets.push({ key: `address:${addr}`, peerId: undefined, addrs: [addr] })
    else if (id !== undefined && full !== undefined) targets.push({ key: id, peerId: id, addrs: [full] })
    else refused++
  }
  return { targets, refused }
}

function canonicalId(text: string): string | undefined {
  try {
    return peerIdFromString(text).toString()
  } catch {
    return undefined
  }
}

/** PeerId at the end of a multiaddr, null if there is none, undefined if it is no multiaddr. */
function ownerOf(addr: string): string | null | undefined {
  try {
    const last = multiaddr(addr).getComponents().at(-1)
    return last === undefined ? undefined : last.name === 'p2p' ? last.value : null
  } catch {
    return undefined
  }
}
