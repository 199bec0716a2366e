/**
 * Keeps us connected to the peers that are known: one dial at a time per peer, dead addresses out of the way quickly,
 * and a reconnect loop of our own (libp2p's gives up after 31 s). A peer that is reached over others alone is not connected: a better way
 * is looked for. Owns no timer: time comes through `schedule`.
 */
import { multiaddr } from '@multiformats/multiaddr'
import { rankAddresses, type AddressBook, type PeerSource, type Schedule } from './address-book.ts'
import { createAvoidedPeers } from './avoided-peers.ts'
import { createDialAttempt } from './dial-attempt.ts'
import { connectionAt, connectionsOf, isDirect, isReachedOverOthers, provenAddress } from './dial-links.ts'
import type { DialerConnection, DialerLibp2p } from './dial-links.ts'
import { BACKOFF_MS, createDialPolicy } from './dial-policy.ts'
import { createDialSlots } from './dial-slots.ts'
import { readDialTargets } from './dial-targets.ts'
import type { DialTarget } from './dial-targets.ts'
import type { InterfaceAddress } from './interfaces.ts'
import { MAX_KNOWN_PEERS, SOURCE_RANK, createKnownPeers } from './known-peers.ts'
import type { DialerPeer, KnownPeer } from './known-peers.ts'

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
  /** Ignores nobody any more, looks for those that were ignored, and tries at once those that refused this node. */
  forgive(): void
  /** How proving on a connection with this peer ended: whether each side took the other. Who was refused tries again less and less often. */
  proved(peerId: string, accepted: boolean): void
  peers(): DialerPeer[]
  counters(): { dials: number; failed: number; refused: number; gaveUp: number; full: number; evicted: number }
  /** Cancels all dials and timers. Idempotent. */
  stop(): void
}

/** Creates a dialer; nothing happens before `start`, but `found` may be called. */
export function createDialer(components: DialerComponents, init: DialerInit = {}): Dialer {
  const { libp2p, addressBook, now, random, schedule } = components
  const { maxPeers = MAX_KNOWN_PEERS, maxParallelDials } = init
  const table = createKnownPeers({ maxPeers, now })
  const { peers, take, addAddress } = table
  const ownId = libp2p.peerId.toString()
  const policy = createDialPolicy({ ownId, now, random })
  const avoided = createAvoidedPeers(now)
  const counters = { dials: 0, failed: 0, refused: 0, gaveUp: 0 }
  const attempts = createDialAttempt({ dial: (addrs, options) => libp2p.dial(addrs, options), schedule })
  const slots = createDialSlots({ now, schedule, onFree: () => pump(), max: maxParallelDials })
  let running = false
  let cancelWake: (() => void) | undefined

  /** Starts what is due and sets the one timer for what is next. */
  const pump = (): void => {
    if (!running) return
    const time = now()
    const waiting = [...peers.values()].filter(
      ({ dueAt, attempt, connected }) => dueAt < Infinity && attempt === undefined && !connected
    )
    const due = waiting.filter(({ dueAt }) => dueAt <= time)
    due.sort(policy.compare)
    if (due.length > 0 && slots.wait() === 0) void attempt(due.shift()!)
    const later = waiting.filter(({ dueAt }) => dueAt > time).map(({ dueAt }) => dueAt - time)
    const wait = Math.min(...later, due.length > 0 ? slots.wait() : Infinity)
    // Last, as an attempt may come back here at once. When all places are taken, what frees one calls again.
    cancelWake?.()
    cancelWake = wait < Infinity ? schedule(pump, Math.max(1, wait)) : undefined
  }

  const attempt = async (peer: KnownPeer): Promise<void> => {
    const controller = new AbortController()
    peer.attempt = controller
    peer.again = false
    peer.lastAttemptAt = now()
    peer.dueAt = Infinity
    const slot = slots.begin()
    counters.dials++
    const lastGood = peer.peerId === undefined ? [] : (addressBook.get(peer.peerId)?.addrs ?? [])
    const ranked = rankAddresses([...peer.addrs], components.interfaces?.() ?? [], {
      lastGood,
      pinned: peer.pinned,
      ownPeerId: ownId
    })
    const reached =
      connectionAt(libp2p, peer) ??
      (await attempts.run(
        ranked.map((addr) => multiaddr(addr)),
        controller.signal,
        slot.handshake
      ))
    slot.end()
    peer.attempt = undefined
    if (!running || peers.get(peer.key) !== peer) return pump()
    // A list of addresses that all nodes share has our own among them.
    if (reached === 'self') peers.delete(peer.key)
    else if (reached !== undefined) arrived(peer, reached.remotePeer.toString(), reached.remoteAddr.toString())
    else if (!peer.connected) failed(peer)
    pump()
  }

  const arrived = (peer: KnownPeer, peerId: string, addr: string): void => {
    if (peer.peerId !== undefined) {
      addressBook.good(peer.peerId, addr, peer.source)
      // It may have gone again while the dial returned.
      if (connectionsOf(libp2p, peer.peerId).length > 0) connected(peer)
      else retry(peer)
      return
    }
    // Now the owner of a static address is known: it becomes a static peer.
    peers.delete(peer.key)
    if (peerId === ownId) return
    const owner = peers.get(peerId) ?? take(peerId, peerId, 'static')
    if (owner === undefined) return
    owner.source = 'static'
    owner.refusals = Math.max(owner.refusals, peer.refusals)
    table.adopt(owner, peer.addrs)
    arrived(owner, peerId, addr)
  }

  const connected = (peer: KnownPeer): void => {
    peer.connected = true
    peer.failures = 0
    peer.dueAt = Infinity
    peer.wantedSince = now()
  }

  const retry = (peer: KnownPeer): void => {
    peer.connected = false
    peer.dueAt = now() + policy.backoff(peer) + policy.headStart(peer)
  }

  /** Perhaps a reinstalled node with a new key answers at a static address now: the address becomes a peer of its own again. */
  const askAgain = (peer: KnownPeer): void => {
    for (const text of table.release(peer)) {
      found(undefined, [text], 'static', policy.backoff(peer))
      const address = peers.get(`address:${text}`)
      if (address !== undefined) address.refusals = peer.refusals
    }
    if (peer.pinned.size === 0) peer.source = 'remembered'
  }

  const failed = (peer: KnownPeer): void => {
    peer.failures++
    counters.failed++
    if (peer.anonymous.size > 0) askAgain(peer)
    if (peer.addrs.size === 0) peers.delete(peer.key)
    else if (policy.isHopeless(peer) && !isReachedOverOthers(libp2p, peer.key)) {
      peers.delete(peer.key)
      counters.gaveUp++
    } else if (peer.again) {
      peer.failures = 0
      peer.dueAt = now() + policy.headStart(peer)
    } else retry(peer)
  }

  const found = (givenId: string | undefined, addrs: readonly string[], source: PeerSource, delayMs = 0): void => {
    const { targets, refused } = readDialTargets(givenId, addrs, source, peers.get(givenId ?? '')?.addrs)
    counters.refused += refused
    for (const target of targets) {
      const { peerId } = target
      if (peerId === ownId) counters.refused++
      else if (peerId !== undefined && source !== 'static' && avoided.heard(peerId, target.addrs)) continue
      // Several nodes may share one name, never one address: an address is a peer of its own until it answers.
      else if (peerId !== undefined || ![...peers.values()].some(({ anonymous }) => anonymous.has(target.addrs[0] ?? '')))
        heard(target, source, delayMs)
    }
  }

  const heard = ({ key, peerId, addrs }: DialTarget, source: PeerSource, delayMs: number): void => {
    const old = peers.get(key)
    if (old === undefined && addrs.length === 0) return
    const peer = old ?? take(key, peerId, source)
    if (peer === undefined) return
    peer.heardAt = now()
    if (SOURCE_RANK[source] < SOURCE_RANK[peer.source]) peer.source = source
    let fresh = old === undefined
    for (const addr of addrs) {
      if (addAddress(peer, addr)) fresh = true
      if (source === 'static') peer.pinned.add(addr)
    }
    if (old === undefined && peerId !== undefined && connectionsOf(libp2p, peerId).length > 0) connected(peer)
    // Who came to us says where it is when the connection is there already.
    if (fresh && peer.connected) remember(peer, connectionsOf(libp2p, key))
    if (peer.attempt !== undefined) peer.again ||= fresh
    if (peer.connected || peer.attempt !== undefined) return
    if (fresh) peer.failures = peer.refusals = 0
    if (fresh || source === 'mdns' || source === 'static') {
      peer.dueAt = Math.min(peer.dueAt, policy.heardDueAt(peer, source, { fresh, known: peers.size - 1, delayMs }))
    }
    pump()
  }

  /** Something changed that may help. */
  const tryAnew = (peer: KnownPeer): void => {
    peer.refusals = 0
    if (peer.connected) return
    peer.failures = 0
    peer.again = true
    // Spread, so that a whole room does not dial in the same millisecond after a power cut.
    peer.dueAt = Math.min(peer.dueAt, now() + random() * BACKOFF_MS.min + policy.headStart(peer))
  }

  /** Notes what its connections prove, for the next start. */
  const remember = (peer: KnownPeer, open: readonly DialerConnection[]): void => {
    for (const connection of open) {
      const proven = provenAddress(peer, connection)
      if (proven !== undefined) addressBook.good(peer.key, proven, peer.source)
    }
  }

  const onOpen = ({ detail }: CustomEvent<DialerConnection>): void => {
    const peerId = detail.remotePeer.toString()
    const peer = peers.get(peerId)
    if (peer === undefined || !isDirect(detail)) return
    connected(peer)
    const open = connectionsOf(libp2p, peerId)
    remember(peer, open)
    // It came to us while we were dialling. Only the larger PeerId stands back: if both did, both connections would be gone.
    if (ownId > peerId && open.length > 0 && open.every(({ direction }) => direction === 'inbound')) peer.attempt?.abort()
  }

  const onClose = ({ detail }: CustomEvent<DialerConnection>): void => {
    const peer = peers.get(detail.remotePeer.toString())
    if (peer === undefined || !isDirect(detail) || connectionsOf(libp2p, peer.key).length > 0) return
    peer.failures = 0
    peer.wantedSince = peer.lostAt = now()
    retry(peer)
    pump()
  }

  return {
    start: () => {
      if (running) return
      running = true
      libp2p.addEventListener('connection:open', onOpen)
      libp2p.addEventListener('connection:close', onClose)
      for (const { peerId, addrs } of addressBook.entries()) found(peerId, addrs, 'remembered')
      pump()
    },
    found: (peerId, addrs, source) => found(peerId, addrs, source),
    networkChanged: () => {
      for (const peer of peers.values()) tryAnew(peer)
      pump()
    },
    forgive: () => {
      for (const { peerId, addrs } of avoided.clear()) found(peerId, addrs, 'mdns')
      for (const peer of peers.values()) if (peer.refusals > 0) tryAnew(peer)
      pump()
    },
    proved: (peerId, accepted) => {
      const peer = peers.get(peerId)
      if (peer === undefined) return
      peer.refusals = accepted ? 0 : peer.refusals + 1
      // Its connection may have ended before this was known.
      if (accepted || peer.attempt !== undefined || connectionsOf(libp2p, peerId).length > 0) return
      retry(peer)
      pump()
    },
    avoid: (peerId, ms) => {
      const peer = peers.get(peerId)
      avoided.add(peerId, ms, peer?.addrs)
      if (peer === undefined || peer.source === 'static') return
      peer.attempt?.abort()
      peers.delete(peerId)
    },
    peers: table.views,
    counters: () => ({ ...counters, ...table.counters() }),
    stop: () => {
      running = false
      cancelWake?.()
      libp2p.removeEventListener('connection:open', onOpen)
      libp2p.removeEventListener('connection:close', onClose)
      for (const peer of peers.values()) peer.attempt?.abort()
      peers.clear()
    }
  }
}
