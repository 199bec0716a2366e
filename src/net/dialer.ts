/**
 * Keeps us connected to the peers that are known: one dial at a time per peer, dead addresses out of the way quickly,
 * and a reconnect loop of our own (libp2p's gives up after 31 s). Owns no timer: time comes through `schedule`.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { rankAddresses, withPeerId } from './address-book.ts'
import type { AddressBook, PeerSource, Schedule } from './address-book.ts'
import { createDialAttempt } from './dial-attempt.ts'
import type { DialFunction } from './dial-attempt.ts'
import type { InterfaceAddress } from './interfaces.ts'
import { parseIpMultiaddr } from './ip-multiaddr.ts'

interface PeerIdLike {
  toString(): string
}

/** The part of libp2p that the dialer uses. */
export interface DialerLibp2p {
  peerId: PeerIdLike
  dial: DialFunction
  getConnections(): readonly { remotePeer: PeerIdLike; remoteAddr: Multiaddr; direction: 'inbound' | 'outbound' }[]
  addEventListener(type: 'peer:connect' | 'peer:disconnect', listener: (event: CustomEvent<PeerIdLike>) => void): void
  removeEventListener(type: 'peer:connect' | 'peer:disconnect', listener: (event: CustomEvent<PeerIdLike>) => void): void
}

/** What the dialer needs. */
export interface DialerComponents {
  libp2p: DialerLibp2p
  addressBook: Pick<AddressBook, 'get' | 'good' | 'entries'>
  /** Monotonic ms. */
  now(): number
  /** [0, 1). */
  random(): number
  schedule: Schedule
  /** Addresses of this machine, for ranking. Default: none. */
  interfaces?(): readonly InterfaceAddress[]
}

/** Options; the defaults are the constants of this file. */
export interface DialerInit {
  maxPeers?: number
  maxParallelDials?: number
}

/** A peer as the dialer knows it. */
export interface DialerPeer {
  /** Undefined for a static address whose owner is not known yet. */
  peerId: string | undefined
  source: PeerSource
  connected: boolean
  dialing: boolean
  /** Failed attempts since the last success. */
  failures: number
  addrs: string[]
}

/** The dialer. Nothing here throws or blocks. */
export interface Dialer {
  /** Listens to libp2p and takes up the remembered peers. Idempotent. */
  start(): void
  /**
   * A peer was heard of. `peerId` may be left out for static addresses without one. Bad addresses, addresses of other peers
   * and our own are ignored and counted. Every hearing by mDNS brings the next attempt forward.
   */
  found(peerId: string | undefined, addrs: readonly string[], source: PeerSource): void
  /** The machine's addresses changed: every wanted peer is tried again soon. */
  networkChanged(): void
  /** Forgets a peer and ignores what is found of it for `ms`: for peers that are no members of the mesh. Static ones stay. */
  avoid(peerId: string, ms: number): void
  peers(): DialerPeer[]
  counters(): { dials: number; failed: number; refused: number; evicted: number; gaveUp: number }
  /** Cancels all dials and timers. Idempotent. */
  stop(): void
}

/** Peers known at once; the least wanted gives way to a new one. */
export const MAX_KNOWN_PEERS = 1_024
/** Addresses kept per peer. */
export const MAX_DIAL_ADDRESSES = 16
/** Peers dialled at once. */
export const MAX_PARALLEL_DIALS = 8
/** Peers avoided at once; the oldest goes first. */
export const MAX_AVOIDED_PEERS = 1_024
/** The larger PeerId of a pair waits so long for the smaller one to dial, ms. Two dials at once would make two connections. */
export const LARGER_PEER_WAIT_MS = 1_500
/** Wait after a failure, ms: doubles from the first to the second, jittered by a quarter. */
export const BACKOFF_MS = { min: 250, max: 30_000 } as const
/** A peer heard again is dialled at most this often, ms. */
export const MIN_REDIAL_MS = 500
/** Unreachable peers are dropped after so long, ms; remembered ones go on at {@link REMEMBERED_BACKOFF_MS}, static ones as before. */
export const GIVE_UP_MS = 600_000
/** Wait between attempts at a remembered peer that has been away for {@link GIVE_UP_MS}, ms. */
export const REMEMBERED_BACKOFF_MS = 300_000

const SOURCE_RANK: Record<PeerSource, number> = { static: 0, remembered: 1, mdns: 2, peer: 3, inbound: 4 }

interface Peer {
  readonly key: string
  readonly peerId: string | undefined
  source: PeerSource
  addrs: Set<string>
  /** Addresses that a person gave. */
  pinned: Set<string>
  /** Pinned addresses given without PeerId: should another peer turn up there, they are followed to it. */
  anonymous: Set<string>
  connected: boolean
  failures: number
  dueAt: number
  lastAttemptAt: number
  heardAt: number
  /** When it was last connected or taken up. */
  wantedSince: number
  attempt: AbortController | undefined
  /** Something changed while the attempt was running: try again when it fails, without a wait. */
  again: boolean
}

/** Creates a dialer; nothing happens before `start`, but `found` may be called. */
export function createDialer(components: DialerComponents, init: DialerInit = {}): Dialer {
  const { libp2p, addressBook, now, random, schedule } = components
  const { maxPeers = MAX_KNOWN_PEERS, maxParallelDials = MAX_PARALLEL_DIALS } = init
  const ownId = libp2p.peerId.toString()
  const peers = new Map<string, Peer>()
  const avoided = new Map<string, number>()
  const counters = { dials: 0, failed: 0, refused: 0, evicted: 0, gaveUp: 0 }
  const attempts = createDialAttempt({ dial: (addrs, options) => libp2p.dial(addrs, options), schedule })
  let running = false
  let dialing = 0
  let wake: { at: number; cancel: () => void } | undefined

  const headStart = (peer: Peer): number => (peer.source === 'static' || peer.peerId === undefined || ownId < peer.peerId ? 0 : LARGER_PEER_WAIT_MS)

  const backoff = (peer: Peer): number => {
    const tired = peer.source === 'remembered' && now() - peer.wantedSince > GIVE_UP_MS
    const wait = tired ? REMEMBERED_BACKOFF_MS : Math.min(BACKOFF_MS.max, BACKOFF_MS.min * 2 ** Math.min(peer.failures, 20))
    return wait * (0.75 + random() / 2)
  }

  const connectionsOf = (peerId: string) => libp2p.getConnections().filter(({ remotePeer }) => remotePeer.toString() === peerId)

  /** Starts what is due and sets the one timer for what is next. */
  const pump = (): void => {
    if (!running) return
    wake?.cancel()
    wake = undefined
    const time = now()
    const waiting = [...peers.values()].filter(({ dueAt, attempt, connected }) => dueAt < Infinity && attempt === undefined && !connected)
    const due = waiting.filter(({ dueAt }) => dueAt <= time)
    // Configured and proven peers first, then those that failed least: a flood of invented peers cannot starve them.
    due.sort((a, b) => SOURCE_RANK[a.source] - SOURCE_RANK[b.source] || a.failures - b.failures || a.dueAt - b.dueAt)
    for (const peer of due) {
      if (dialing >= maxParallelDials) break
      void attempt(peer)
    }
    const next = Math.min(...waiting.filter(({ dueAt }) => dueAt > time).map(({ dueAt }) => dueAt))
    // When all places are taken, the end of a dial calls again.
    if (next < Infinity) wake = { at: next, cancel: schedule(pump, Math.max(1, next - time)) }
  }

  const attempt = async (peer: Peer): Promise<void> => {
    const controller = new AbortController()
    peer.attempt = controller
    peer.again = false
    peer.lastAttemptAt = now()
    peer.dueAt = Infinity
    dialing++
    counters.dials++
    const lastGood = peer.peerId === undefined ? [] : (addressBook.get(peer.peerId)?.addrs ?? [])
    const ranked = rankAddresses([...peer.addrs], components.interfaces?.() ?? [], { lastGood, pinned: peer.pinned, ownPeerId: ownId })
    const reached = await attempts.run(ranked.map((addr) => multiaddr(addr)), controller.signal)
    dialing--
    peer.attempt = undefined
    if (!running || peers.get(peer.key) !== peer) return pump()
    if (reached !== undefined) arrived(peer, reached.remotePeer.toString(), reached.remoteAddr.toString())
    else if (!peer.connected) failed(peer)
    pump()
  }

  const arrived = (peer: Peer, peerId: string, addr: string): void => {
    if (peer.peerId !== undefined) {
      addressBook.good(peer.peerId, addr, peer.source)
      // It may have gone again while the dial returned.
      if (connectionsOf(peer.peerId).length > 0) connected(peer)
      else retry(peer)
      return
    }
    // Now the owner of a static address is known: it becomes a static peer.
    peers.delete(peer.key)
    if (peerId === ownId) return
    const owner = peers.get(peerId) ?? take(peerId, peerId, 'static')
    if (owner === undefined) return
    owner.source = 'static'
    for (const text of peer.addrs) {
      const full = withPeerId(text, peerId)
      if (full === undefined) continue
      addAddress(owner, full)
      owner.pinned.add(full)
      owner.anonymous.add(text)
    }
    arrived(owner, peerId, addr)
  }

  const connected = (peer: Peer): void => {
    peer.connected = true
    peer.failures = 0
    peer.dueAt = Infinity
    peer.wantedSince = now()
  }

  const retry = (peer: Peer): void => {
    peer.connected = false
    peer.dueAt = now() + backoff(peer) + headStart(peer)
  }

  /** Perhaps a reinstalled node with a new key answers at a static address now: the address becomes a peer of its own again. */
  const askAgain = (peer: Peer): void => {
    const texts = [...peer.anonymous]
    peer.anonymous.clear()
    for (const text of texts) {
      const full = withPeerId(text, peer.peerId ?? '') ?? ''
      peer.addrs.delete(full)
      peer.pinned.delete(full)
      found(undefined, [text], 'static', backoff(peer))
    }
    if (peer.pinned.size === 0) peer.source = 'remembered'
  }

  const failed = (peer: Peer): void => {
    peer.failures++
    counters.failed++
    if (peer.anonymous.size > 0) askAgain(peer)
    const away = now() - Math.max(peer.wantedSince, peer.source === 'mdns' ? peer.heardAt : 0)
    if (peer.addrs.size === 0) peers.delete(peer.key)
    else if (away > GIVE_UP_MS && peer.source !== 'static' && peer.source !== 'remembered') {
      peers.delete(peer.key)
      counters.gaveUp++
    } else if (peer.again) {
      peer.failures = 0
      peer.dueAt = now() + headStart(peer)
    } else retry(peer)
  }

  /** Makes room for a peer, if it must be by dropping the least wanted; undefined if all others are wanted more. */
  const take = (key: string, peerId: string | undefined, source: PeerSource): Peer | undefined => {
    if (peers.size >= maxPeers) {
      let victim: Peer | undefined
      for (const peer of peers.values()) {
        if (peer.connected || peer.source === 'static' || (peer.source === 'remembered' && source !== 'static')) continue
        if (victim === undefined || peer.failures > victim.failures || (peer.failures === victim.failures && peer.heardAt < victim.heardAt)) victim = peer
      }
      if (victim === undefined) {
        counters.refused++
        return undefined
      }
      victim.attempt?.abort()
      peers.delete(victim.key)
      counters.evicted++
    }
    const time = now()
    const sets = { addrs: new Set<string>(), pinned: new Set<string>(), anonymous: new Set<string>() }
    const times = { dueAt: Infinity, lastAttemptAt: -Infinity, heardAt: time, wantedSince: time }
    const peer: Peer = { key, peerId, source, ...sets, ...times, connected: false, failures: 0, attempt: undefined, again: false }
    peers.set(key, peer)
    return peer
  }

  /** True if the address is new. */
  const addAddress = (peer: Peer, addr: string): boolean => {
    if (peer.addrs.has(addr)) return false
    if (peer.addrs.size >= MAX_DIAL_ADDRESSES) {
      const oldest = [...peer.addrs].find((known) => !peer.pinned.has(known))
      if (oldest === undefined) return false
      peer.addrs.delete(oldest)
    }
    peer.addrs.add(addr)
    return true
  }

  const found = (givenId: string | undefined, addrs: readonly string[], source: PeerSource, delayMs = 0): void => {
    if (givenId === undefined) {
      if (source !== 'static') return void counters.refused++
      for (const addr of addrs) {
        const owner = ownerOf(addr)
        if (owner === 'bad') counters.refused++
        else if (owner !== undefined) found(owner, [addr], source, delayMs)
        // Several nodes may share one name, never one address: each address is a peer of its own until it answers.
        else if (![...peers.values()].some(({ anonymous }) => anonymous.has(addr))) heard(`address:${addr}`, undefined, [addr], source, delayMs)
      }
      return
    }
    const peerId = canonicalId(givenId)
    if (peerId === undefined || peerId === ownId) return void counters.refused++
    if (source !== 'static' && (avoided.get(peerId) ?? -Infinity) > now()) return
    const full = addrs.slice(0, MAX_DIAL_ADDRESSES).flatMap((addr) => {
      const text = withPeerId(addr, peerId)
      // A dnsaddr is resolved over the internet: only for those who asked for it.
      if (text !== undefined && (source === 'static' || !text.startsWith('/dnsaddr/'))) return [text]
      counters.refused++
      return []
    })
    heard(peerId, peerId, full, source, delayMs)
  }

  const heard = (key: string, peerId: string | undefined, addrs: readonly string[], source: PeerSource, delayMs: number): void => {
    const old = peers.get(key)
    if (old === undefined && addrs.length === 0) return
    const peer = old ?? take(key, peerId, source)
    if (peer === undefined) return
    const time = now()
    peer.heardAt = time
    if (SOURCE_RANK[source] < SOURCE_RANK[peer.source]) peer.source = source
    let fresh = old === undefined
    for (const addr of addrs) {
      if (addAddress(peer, addr)) fresh = true
      if (source === 'static') peer.pinned.add(addr)
    }
    if (old === undefined && peerId !== undefined && connectionsOf(peerId).length > 0) connected(peer)
    if (peer.attempt !== undefined) peer.again ||= fresh
    if (peer.connected || peer.attempt !== undefined) return
    if (fresh) peer.failures = 0
    if (fresh || source === 'mdns' || source === 'static') {
      const soonest = Math.max(time + (source === 'static' ? delayMs : Math.max(delayMs, headStart(peer))), fresh ? 0 : peer.lastAttemptAt + MIN_REDIAL_MS)
      peer.dueAt = Math.min(peer.dueAt, soonest)
    }
    pump()
  }

  const onConnect = ({ detail }: CustomEvent<PeerIdLike>): void => {
    const peerId = detail.toString()
    const peer = peers.get(peerId)
    if (peer === undefined) return
    connected(peer)
    const open = connectionsOf(peerId)
    for (const { direction, remoteAddr } of open) {
      if (direction === 'outbound') addressBook.good(peerId, remoteAddr.toString(), peer.source)
      else {
        // The port of an inbound connection is of no use, but a known address of the same host is confirmed by it.
        const host = parseIpMultiaddr(remoteAddr.toString())?.host
        const proven = [...peer.addrs].find((addr) => host !== undefined && parseIpMultiaddr(addr)?.host === host)
        if (proven !== undefined) addressBook.good(peerId, proven, peer.source)
      }
    }
    // It came to us while we were dialling. Only the larger PeerId stands back: if both did, both connections would be gone.
    if (ownId > peerId && open.length > 0 && open.every(({ direction }) => direction === 'inbound')) peer.attempt?.abort()
  }

  const onDisconnect = ({ detail }: CustomEvent<PeerIdLike>): void => {
    const peer = peers.get(detail.toString())
    if (peer === undefined || connectionsOf(peer.key).length > 0) return
    peer.failures = 0
    peer.wantedSince = now()
    retry(peer)
    pump()
  }

  return {
    start: () => {
      if (running) return
      running = true
      libp2p.addEventListener('peer:connect', onConnect)
      libp2p.addEventListener('peer:disconnect', onDisconnect)
      for (const { peerId, addrs } of addressBook.entries()) found(peerId, addrs, 'remembered')
      pump()
    },
    found: (peerId, addrs, source) => found(peerId, addrs, source),
    networkChanged: () => {
      for (const peer of peers.values()) {
        if (peer.connected) continue
        peer.failures = 0
        peer.again = true
        // Spread, so that a whole room does not dial in the same millisecond after a power cut.
        peer.dueAt = Math.min(peer.dueAt, now() + random() * BACKOFF_MS.min + headStart(peer))
      }
      pump()
    },
    avoid: (peerId, ms) => {
      avoided.delete(peerId)
      avoided.set(peerId, now() + ms)
      if (avoided.size > MAX_AVOIDED_PEERS) avoided.delete(avoided.keys().next().value as string)
      const peer = peers.get(peerId)
      if (peer === undefined || peer.source === 'static') return
      peer.attempt?.abort()
      peers.delete(peerId)
    },
    peers: () =>
      [...peers.values()].map(({ peerId, source, connected, attempt, failures, addrs }) => {
        return { peerId, source, connected, dialing: attempt !== undefined, failures, addrs: [...addrs] }
      }),
    counters: () => ({ ...counters }),
    stop: () => {
      running = false
      wake?.cancel()
      wake = undefined
      libp2p.removeEventListener('peer:connect', onConnect)
      libp2p.removeEventListener('peer:disconnect', onDisconnect)
      for (const peer of peers.values()) peer.attempt?.abort()
      peers.clear()
    }
  }
}

function canonicalId(text: string): string | undefined {
  try {
    return peerIdFromString(text).toString()
  } catch {
    return undefined
  }
}

function ownerOf(addr: string): string | 'bad' | undefined {
  try {
    return multiaddr(addr).getComponents().findLast(({ name }) => name === 'p2p')?.value
  } catch {
    return 'bad'
  }
}
