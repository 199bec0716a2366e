/** Addresses that worked, remembered over restarts, and the order in which addresses are worth a try. */
import { multiaddr } from '@multiformats/multiaddr'
import { isSameSubnet } from './interfaces.ts'
import type { InterfaceAddress } from './interfaces.ts'
import { ipScope, parseIpMultiaddr, withPeerId } from './ip-multiaddr.ts'

/** How a peer was found. */
export type PeerSource = 'static' | 'remembered' | 'mdns' | 'peer' | 'inbound'

/** Runs `action` once after `ms`; the returned function cancels. Injected, so that nothing here owns a timer. */
export type Schedule = (action: () => void, ms: number) => () => void

/** What is remembered of a peer. */
export interface RememberedPeer {
  peerId: string
  /** Multiaddrs with `/p2p/<peerId>`, the last good one first. */
  addrs: string[]
  /** Unix time in ms. */
  lastGoodAt: number
  source: PeerSource
}

/** Where the book is kept, and the clocks. */
export interface AddressBookComponents {
  /** The stored bytes, undefined if there are none. */
  load(): Promise<Uint8Array | undefined>
  /** Replaces them atomically. */
  save(bytes: Uint8Array): Promise<void>
  /** Unix time in ms. */
  now(): number
  schedule: Schedule
}

/** The book. All but `open` and `flush` are synchronous. */
export interface AddressBook {
  /** Loads what is stored. A missing, damaged or oversized file gives an empty book and a counter; never rejects. */
  open(): Promise<void>
  /** Notes that an address of a peer worked. Ignores what is no PeerId or no multiaddr. */
  good(peerId: string, addr: string, source: PeerSource): void
  get(peerId: string): RememberedPeer | undefined
  /** The last good peer first. */
  entries(): RememberedPeer[]
  forget(peerId: string): void
  /** Writes what is not yet written; cancels the timer. Call at stop. Never rejects. */
  flush(): Promise<void>
  counters(): { corrupt: number; saveFailed: number; evicted: number }
}

/** Peers remembered; the one longest without success goes first. */
export const MAX_BOOK_PEERS = 1_024
/** Addresses remembered per peer. */
export const MAX_BOOK_ADDRESSES = 16
/** A larger file is not ours. */
export const MAX_BOOK_BYTES = 4 * 1024 * 1024
/** A change waits so long for further ones before the book is written, ms. */
export const SAVE_DELAY_MS = 1_000
/** Peers without success for so long are not loaded again, ms: 90 days. */
export const MAX_BOOK_AGE_MS = 90 * 24 * 3_600_000

const VERSION = 1

/** Creates an empty book; `open` fills it. */
export function createAddressBook({ load, save, now, schedule }: AddressBookComponents): AddressBook {
  /** In order of success: the first is the oldest. */
  const peers = new Map<string, RememberedPeer>()
  const counters = { corrupt: 0, saveFailed: 0, evicted: 0 }
  let cancel: (() => void) | undefined
  let dirty = false
  let saving: Promise<void> = Promise.resolve()

  const write = (): Promise<void> => {
    cancel?.()
    cancel = undefined
    if (!dirty) return saving
    dirty = false
    // One write after the other: two at once could leave the older one on the disk.
    saving = saving.then(async () => {
      try {
        await save(new TextEncoder().encode(JSON.stringify({ version: VERSION, peers: [...peers.values()] })))
      } catch {
        counters.saveFailed++
        dirty = true // the next change or flush tries again
      }
    })
    return saving
  }

  const changed = (): void => {
    dirty = true
    cancel ??= schedule(() => void write(), SAVE_DELAY_MS)
  }

  const keep = (peer: RememberedPeer): void => {
    peers.delete(peer.peerId)
    peers.set(peer.peerId, peer)
    if (peers.size <= MAX_BOOK_PEERS) return
    peers.delete(peers.keys().next().value as string)
    counters.evicted++
  }

  return {
    open: async () => {
      try {
        const bytes = await load()
        if (bytes === undefined) return
        const read = readBook(bytes, now())
        counters.corrupt += read.refused
        for (const peer of read.peers) keep(peer)
      } catch {
        counters.corrupt++
      }
    },
    good: (peerId, addr, source) => {
      const full = withPeerId(addr, peerId)
      if (full === undefined) return
      const old = peers.get(peerId)
      const addrs = [full, ...(old?.addrs ?? []).filter((other) => other !== full)].slice(0, MAX_BOOK_ADDRESSES)
      keep({ peerId, addrs, lastGoodAt: now(), source: source === 'remembered' ? (old?.source ?? source) : source })
      changed()
    },
    get: (peerId) => peers.get(peerId),
    entries: () => [...peers.values()].reverse(),
    forget: (peerId) => {
      if (peers.delete(peerId)) changed()
    },
    flush: write,
    counters: () => ({ ...counters })
  }
}

/** What the ranking knows beside the addresses. */
export interface RankInit {
  /** Addresses that worked before, best first. */
  lastGood?: readonly string[]
  /** Addresses that a person configured: first, and never left out. */
  pinned?: ReadonlySet<string>
  /** Our own PeerId: addresses of it are left out. */
  ownPeerId?: string
}

/**
 * Orders addresses by how soon they are likely to answer: pinned; same subnet as a real interface; last good; private; public
 * and names; subnets of virtual interfaces; link-local; relayed; loopback. Loopback of a peer that names other machines'
 * addresses is left out: it would be our own machine. Unparsable addresses go as well.
 */
export function rankAddresses(
  addrs: readonly string[],
  localInterfaces: readonly InterfaceAddress[],
  init: RankInit = {}
): string[] {
  const { lastGood = [], pinned, ownPeerId } = init
  const read = [...new Set(addrs)].map((addr) => ({ addr, parts: parseIpMultiaddr(addr) }))
  const hosts = read.flatMap(({ parts }) => (parts === undefined || ipScope(parts.host) === 'loopback' ? [] : [parts.host]))
  const sameMachine = hosts.length === 0 || hosts.some((host) => localInterfaces.some(({ address }) => address === host))
  const ranked: { addr: string; rank: number; good: number }[] = []
  for (const { addr, parts } of read) {
    const isPinned = pinned?.has(addr) === true
    if (parts === undefined && !isNamed(addr)) continue
    if (ownPeerId !== undefined && addr.endsWith(`/p2p/${ownPeerId}`)) continue
    const scope = parts === undefined ? 'public' : ipScope(parts.host)
    if (scope === 'unspecified' || scope === 'unusable' || (scope === 'loopback' && !sameMachine && !isPinned)) continue
    const good = lastGood.indexOf(addr)
    ranked.push({
      addr,
      rank: isPinned ? 0 : rankOf(addr, parts?.host, parts?.zone, scope, good >= 0, localInterfaces),
      good: good < 0 ? Infinity : good
    })
  }
  // Stable beyond that: the sender's own order counts.
  return ranked.sort((a, b) => a.rank - b.rank || compare(a.good, b.good)).map(({ addr }) => addr)
}

function rankOf(
  addr: string,
  host: string | undefined,
  zone: string | undefined,
  scope: string,
  good: boolean,
  locals: readonly InterfaceAddress[]
): number {
  if (addr.includes('/p2p-circuit')) return 7
  if (scope === 'loopback') return 8
  if (scope === 'link-local' && zone !== undefined) return 6
  const near = host === undefined ? [] : locals.filter((local) => isSameSubnet(host, local))
  if (scope === 'link-local' && near.length === 0) return 6
  if (near.some(({ virtual }) => !virtual)) return 1
  if (good) return 2
  if (near.length > 0) return 5
  return scope === 'private' ? 3 : 4
}

function isNamed(addr: string): boolean {
  try {
    return /^dns/.test(multiaddr(addr).getComponents()[0]?.name ?? '')
  } catch {
    return false
  }
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1
}

/** Throws on bytes that are no book; single bad entries are only counted. */
function readBook(bytes: Uint8Array, now: number): { peers: RememberedPeer[]; refused: number } {
  if (bytes.length > MAX_BOOK_BYTES) throw new RangeError('address book too large')
  const book = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as { version?: unknown; peers?: unknown }
  if (book?.version !== VERSION || !Array.isArray(book.peers)) throw new TypeError('not an address book')
  const peers: RememberedPeer[] = []
  let refused = 0
  for (const entry of book.peers.slice(-MAX_BOOK_PEERS) as Partial<RememberedPeer>[]) {
    const { peerId, addrs, lastGoodAt, source } = entry ?? {}
    const valid = typeof peerId === 'string' && Array.isArray(addrs) && Number.isFinite(lastGoodAt)
    const kept = valid
      ? addrs.slice(0, MAX_BOOK_ADDRESSES).flatMap((addr) => (typeof addr === 'string' ? (withPeerId(addr, peerId) ?? []) : []))
      : []
    if (!valid || kept.length === 0) refused++
    else if (now - (lastGoodAt as number) <= MAX_BOOK_AGE_MS) {
      const known = source === 'static' || source === 'mdns' || source === 'peer' || source === 'inbound'
      peers.push({ peerId, addrs: kept, lastGoodAt: Math.min(lastGoodAt as number, now), source: known ? source : 'remembered' })
    }
  }
  return { peers: peers.sort((a, b) => a.lastGoodAt - b.lastGoodAt), refused }
}
