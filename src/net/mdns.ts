/** Peer discovery by multicast DNS on every interface, IPv4 and IPv6. Node only. */
import type { RemoteInfo } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { isSameSubnet, readInterfaces } from './interfaces.ts'
import type { InterfaceAddress, InterfaceFilter, SystemInterfaces } from './interfaces.ts'
import { openOutlet } from './mdns-outlet.ts'
import type { Outlet, OutletPlace, OutletShared } from './mdns-outlet.ts'
import type { HeardMessage } from './mdns-socket.ts'
import type { HeardAnswer } from './mdns-records.ts'
import { MAX_REMEMBERED_PEERS, createQueryPace } from './mdns-pace.ts'
import { announcedAddresses, createInstanceName, decodeAnswer, encodeAnswer, isPeerQuery } from './mdns-records.ts'

/** `ok`: packets are heard. `no-network`: no usable interface. `no-multicast`: interfaces, but not even our own packets come back. */
export type MdnsState = 'ok' | 'no-network' | 'no-multicast'

/** What discovery needs and whom it tells. */
export interface MdnsComponents {
  /** Our own PeerId; answers that carry it are ignored. */
  peerId: string
  /** Our multiaddrs with `/p2p/<peerId>`, asked for at every answer. `0.0.0.0` and `::` stand for all addresses of an interface. */
  getMultiaddrs(): string[]
  /** Every time an answer with a peer is heard, known or not. Multiaddrs are checked, IP only, and end in `/p2p/<peerId>`. */
  onPeer(peerId: string, multiaddrs: string[]): void
  /** When the state or its reason changes. */
  onState(state: MdnsState, message: string): void
  /** When the addresses of this machine change, and once at start. */
  onInterfaces?(addresses: InterfaceAddress[]): void
  /** One line at a time, at most one per kind and 10 s. */
  log?(line: string): void
  /** Monotonic ms. */
  now?(): number
  /** [0, 1). */
  random?(): number
  /** Instead of `os.networkInterfaces`, for tests. */
  systemInterfaces?(): SystemInterfaces
}

/** Options. */
export interface MdnsInit {
  interfaces?: InterfaceFilter
  /** UDP port, 5353 unless a test wants another. */
  port?: number
}

/** Counters since start; what was refused is counted, never silently lost. */
export interface MdnsCounters {
  packets: number
  /** Over the packet rate or the size limit. */
  limited: number
  malformed: number
  /** Addresses and records of answers that were refused. */
  dropped: number
  /** Sockets given up and rebuilt. */
  rebuilt: number
}

/** Running discovery. */
export interface Mdns {
  /** Begins. Idempotent, never throws: trouble is a state. */
  start(): void
  /** Says goodbye and closes everything; no timer and no socket is left. Idempotent. */
  stop(): Promise<void>
  counters(): MdnsCounters
}

/** How often the interfaces are looked at, ms. */
export const INTERFACE_POLL_MS = 1_000
/** Packets taken per second, all sockets together. */
export const MAX_PACKETS_PER_SECOND = 400
/** Packets taken of one sender, all sockets together: one that floods must not use up what all share. */
export const SENDER_RATE = { perSecond: 50, burst: 150 } as const
/** Larger packets are not decoded; honest ones stay below 1,500 bytes. */
export const MAX_PACKET_BYTES = 4_096
/** Interface-family pairs served at once. */
export const MAX_SOCKETS = 64
/** The farewell is given so long, ms. */
export const GOODBYE_MS = 200

const LOG_GAP_MS = 10_000
const MAX_LOG_KINDS = 64

/** Creates discovery; nothing happens before `start`. */
export function createMdns(components: MdnsComponents, init: MdnsInit = {}): Mdns {
  const { peerId, getMultiaddrs, onPeer, onState, onInterfaces, log } = components
  const now = components.now ?? (() => performance.now())
  const random = components.random ?? Math.random
  const systemInterfaces = components.systemInterfaces ?? networkInterfaces
  const instance = createInstanceName(random)
  const outlets = new Map<string, Outlet>()
  const pace = createQueryPace({ now, random })
  const logged = new Map<string, number>()
  const counters: MdnsCounters = { packets: 0, limited: 0, malformed: 0, dropped: 0, rebuilt: 0 }
  let locals: InterfaceAddress[] = []
  /** Names of the interfaces in whose networks a sender is. */
  const linksOf = new Map<string, Set<string>>()
  /** What messages say that are repeated; each comes through one outlet. */
  const answers = new WeakMap<HeardMessage, HeardAnswer>()
  let localSignature: string | undefined
  let budget = { second: -1, left: 0 }
  const senders = createTokenBuckets(SENDER_RATE, now)
  let poll: NodeJS.Timeout | undefined
  let shown = ''
  let closing: Promise<void> | undefined

  const report = (kind: string, line: string): void => {
    if (now() < (logged.get(kind) ?? -Infinity) + LOG_GAP_MS) return
    if (logged.size >= MAX_LOG_KINDS) logged.clear()
    logged.set(kind, now())
    log?.(line)
  }

  const showState = (): void => {
    const all = [...outlets.values()]
    const silent = all.filter((outlet) => outlet.isSilent())
    const heard = all.filter((outlet) => outlet.heard && !outlet.isSilent())
    let state: MdnsState | undefined
    let message = ''
    if (all.length === 0) [state, message] = ['no-network', 'no usable network interface']
    else if (heard.length > 0) [state, message] = ['ok', `multicast works on ${names(heard)}`]
    else if (silent.length === all.length) {
      const reasons = [...new Set(silent.map(({ trouble }) => trouble ?? 'nothing heard, not even our own packets'))].join(', ')
      ;[state, message] = ['no-multicast', `no multicast on ${names(silent)}: ${reasons}`]
    }
    if (state === undefined || shown === state + message) return
    shown = state + message
    onState(state, message)
  }

  const admit = (bytes: number, from: string): boolean => {
    const second = Math.floor(now() / 1000)
    if (budget.second !== second) budget = { second, left: MAX_PACKETS_PER_SECOND }
    if (bytes > MAX_PACKET_BYTES || !senders.take(from) || budget.left-- <= 0) {
      counters.limited++
      return false
    }
    counters.packets++
    return true
  }

  /**
   * Linux hands a multicast packet to every socket of the port, whatever interface it came in by (IP_MULTICAST_ALL), so the
   * sender's address decides. A sender of no known subnet is on some link of ours all the same (RFC 6762 §11): all take it.
   */
  const belongs = (place: OutletPlace, from: RemoteInfo): boolean => {
    const zone = from.address.split('%')[1]
    if (zone !== undefined) return zone === place.name || place.signature.includes(`#${zone} `)
    let links = linksOf.get(from.address)
    if (links === undefined) {
      if (linksOf.size >= MAX_REMEMBERED_PEERS) linksOf.clear()
      links = new Set(locals.filter((local) => isSameSubnet(from.address, local)).map(({ name }) => name))
      linksOf.set(from.address, links)
    }
    return links.size === 0 || links.has(place.name)
  }

  const receive = (outlet: Outlet, message: HeardMessage, from: RemoteInfo): void => {
    if (message.type === 'query') {
      if (!isPeerQuery(message)) return
      if (!locals.some(({ address }) => address === from.address.split('%')[0])) outlet.noteForeignQuery()
      // Our own query is answered as well, so that neighbours learn of us by listening (spec, Request).
      return outlet.answer()
    }
    let heard = answers.get(message)
    if (heard === undefined) answers.set(message, (heard = decodeAnswer(message, outlet.name)))
    counters.dropped += heard.dropped
    if (heard.goodbyes.length > 0) pace.gone(heard.goodbyes)
    for (const peer of heard.peers) {
      if (peer.peerId === peerId) continue
      pace.heard(peer.peerId, peer.instance)
      onPeer(peer.peerId, peer.multiaddrs)
    }
  }

  const shared: OutletShared = {
    instance,
    port: init.port ?? 5353,
    now,
    random,
    nextQueryMs: () => pace.nextMs(),
    admit,
    belongs,
    onMessage: receive,
    onMalformed: () => counters.malformed++,
    onTrouble: ({ key, name, family }, reason) => {
      counters.rebuilt++
      report(`${key} ${reason}`, `mdns: ${name} IPv${family}: ${reason}, trying again`)
    },
    onHearing: showState,
    answer: (place) => {
      const addresses = announcedAddresses(getMultiaddrs(), place, locals)
      return addresses.length === 0 ? undefined : encodeAnswer(instance, addresses)
    }
  }

  const refresh = (): void => {
    locals = readInterfaces(systemInterfaces(), init.interfaces)
    linksOf.clear()
    const wanted = wantedPlaces(locals)
    for (const [key, outlet] of outlets) {
      if (wanted.get(key)?.signature === outlet.signature) continue
      void outlet.close()
      outlets.delete(key)
    }
    for (const [key, place] of wanted) {
      if (outlets.has(key)) continue
      pace.restart()
      outlets.set(key, openOutlet(place, shared))
    }
    const signature = [...wanted.values()].map((place) => place.signature).join()
    if (signature !== localSignature) onInterfaces?.([...locals])
    localSignature = signature
    showState()
  }

  return {
    start: () => {
      if (poll !== undefined || closing !== undefined) return
      poll = setInterval(refresh, INTERFACE_POLL_MS)
      refresh()
    },
    stop: () =>
      (closing ??= (async () => {
        clearInterval(poll)
        const all = [...outlets.values()]
        outlets.clear()
        let limit: NodeJS.Timeout | undefined
        const goodbyes = Promise.all(all.map((outlet) => outlet.goodbye()))
        await Promise.race([goodbyes, new Promise((resolve) => (limit = setTimeout(resolve, GOODBYE_MS)))])
        clearTimeout(limit)
        await Promise.all(all.map((outlet) => outlet.close()))
      })()),
    counters: () => ({ ...counters })
  }
}

function wantedPlaces(locals: readonly InterfaceAddress[]): Map<string, OutletPlace> {
  const wanted = new Map<string, OutletPlace>()
  for (const { name, family, address } of locals) {
    const key = `${name}/${family}`
    if (wanted.has(key) || wanted.size === MAX_SOCKETS) continue
    const own = locals.filter((local) => local.name === name && local.family === family)
    const signature = own.map((local) => `${local.address}/${local.prefix} ${local.identity} `).join()
    wanted.set(key, { key, name, family, address, signature })
  }
  return wanted
}

function names(outlets: readonly Outlet[]): string {
  return [...new Set(outlets.map(({ name }) => name))].join(', ')
}
