/**
 * The DNS records of libp2p peer discovery: pure, no sockets, no clock.
 * Spec: https://github.com/libp2p/specs/blob/master/discovery/mdns.md, RFC 6762 (mDNS), RFC 6763 (TXT strings).
 * Everything decoded here comes from strangers: nothing throws, everything is bounded, what does not fit is dropped and counted.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import type { InterfaceAddress } from './interfaces.ts'
import { ipScope, parseIpMultiaddr } from './ip-multiaddr.ts'

/** The DNS-SD service name of all libp2p peers. */
export const MDNS_SERVICE = '_p2p._udp.local'
/** Longest TXT character string, prefix included (RFC 1035: one length byte). */
export const MAX_TXT_BYTES = 255
/** Size of our answers: stays below one Ethernet or IPv6 minimum packet, so it is never fragmented. */
export const MAX_ANSWER_BYTES = 1_200
/** Addresses kept per peer. */
export const MAX_PEER_ADDRESSES = 16
/** Different peers read out of one packet; an honest one carries one. */
export const MAX_PEERS_PER_PACKET = 16
/** TXT strings and records looked at in one packet. */
export const MAX_STRINGS_PER_PACKET = 128
/** Life of our records in seconds; peers unheard for as long are forgotten. */
export const RECORD_TTL_S = 120

const TXT_PREFIX = 'dnsaddr='
const ALLOWED_PROTOCOLS = new Set([
  'tcp',
  'udp',
  'ws',
  'wss',
  'tls',
  'quic-v1',
  'webtransport',
  'webrtc-direct',
  'certhash',
  'p2p'
])

/** A DNS record as `dns-packet` gives and takes it. Fields of decoded ones are hostile: look before use. */
export interface DnsRecord {
  type: string
  name: string
  class?: string
  ttl?: number
  data?: unknown
}

/** The lists of a DNS message that matter here. */
export interface DnsMessage {
  questions?: readonly unknown[]
  answers?: readonly unknown[]
  additionals?: readonly unknown[]
}

/** A peer as one packet describes it; multiaddrs are complete, with `/p2p/<peerId>`. */
export interface HeardPeer {
  peerId: string
  /** The random DNS name under which it answers. */
  instance: string
  multiaddrs: string[]
}

/** What a packet said. */
export interface HeardAnswer {
  peers: HeardPeer[]
  /** DNS names whose owners said goodbye (TTL 0). */
  goodbyes: string[]
  /** TXT strings and records refused. */
  dropped: number
}

/** A new DNS name for this run: 40 characters, random, so that it says nothing about the node (spec: 32 to 63). `random` gives [0, 1). */
export function createInstanceName(random: () => number): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789'
  return Array.from({ length: 40 }, () => alphabet[Math.floor(random() * alphabet.length) % alphabet.length]).join('')
}

/** The question for all peers. */
export function encodeQuery(): { questions: { name: string; type: 'PTR' }[] } {
  return { questions: [{ name: MDNS_SERVICE, type: 'PTR' }] }
}

/** True if the message asks for all peers. */
export function isPeerQuery(message: DnsMessage): boolean {
  return records(message.questions).some(({ name, type }) => lower(name) === MDNS_SERVICE && (type === 'PTR' || type === 'ANY'))
}

/**
 * Our answer: PTR in the answers, one TXT of many strings in the additionals (as the spec says; js, go and rust read it).
 * Addresses come best first; those that are too long or beyond {@link MAX_ANSWER_BYTES} are left off.
 */
export function encodeAnswer(
  instance: string,
  multiaddrs: readonly string[]
): { answers: DnsRecord[]; additionals: DnsRecord[] } {
  const name = `${instance}.${MDNS_SERVICE}`
  const strings: string[] = []
  // Header, then two records of uncompressed names and 10 bytes of type, class, TTL and length each.
  let size = 12 + (MDNS_SERVICE.length + 2 + 10 + name.length + 2) + (name.length + 2 + 10)
  for (const address of multiaddrs) {
    const text = TXT_PREFIX + address
    if (text.length > MAX_TXT_BYTES || size + text.length + 1 > MAX_ANSWER_BYTES || strings.length === MAX_PEER_ADDRESSES)
      continue
    size += text.length + 1
    strings.push(text)
  }
  const record = { class: 'IN', ttl: RECORD_TTL_S }
  return {
    answers: [{ ...record, name: MDNS_SERVICE, type: 'PTR', data: name }],
    additionals: [{ ...record, name, type: 'TXT', data: strings }]
  }
}

/** Our farewell: the PTR with TTL 0 and no TXT, because `@libp2p/mdns` ignores TTLs and would take a TXT for a discovery. */
export function encodeGoodbye(instance: string): { answers: DnsRecord[] } {
  return { answers: [{ name: MDNS_SERVICE, type: 'PTR', class: 'IN', ttl: 0, data: `${instance}.${MDNS_SERVICE}` }] }
}

/**
 * Reads an answer. `zone` is the interface that it came in by: a link-local IPv6 address means nothing without it,
 * and whatever zone the sender wrote is a name of its own machine. Never throws.
 */
export function decodeAnswer(message: DnsMessage, zone: string): HeardAnswer {
  const heard: HeardAnswer = { peers: [], goodbyes: [], dropped: 0 }
  const all = [...records(message.answers), ...records(message.additionals)].slice(0, MAX_STRINGS_PER_PACKET)
  const instances = new Set<string>()
  for (const { type, name, ttl, data } of all) {
    if (type !== 'PTR' || lower(name) !== MDNS_SERVICE || typeof data !== 'string') continue
    const instance = lower(data)
    if (!instance.endsWith(`.${MDNS_SERVICE}`)) heard.dropped++
    else if (ttl === 0) heard.goodbyes.push(instance)
    else instances.add(instance)
  }
  const peers = new Map<string, HeardPeer>()
  let strings = 0
  for (const { type, name, data } of all) {
    const instance = lower(name)
    if (type !== 'TXT' || !instances.has(instance)) continue
    for (const item of Array.isArray(data) ? data : [data]) {
      if (++strings > MAX_STRINGS_PER_PACKET) return finish(heard, peers)
      const text = txtString(item)
      if (text === undefined || !text.startsWith(TXT_PREFIX)) continue
      const found = readAddress(text.slice(TXT_PREFIX.length), zone)
      if (found === 'loopback') continue
      if (found === undefined) heard.dropped++
      else addAddress(heard, peers, instance, found)
    }
  }
  return finish(heard, peers)
}

/**
 * The addresses to announce over one socket, best first: those of its interface, then those of other real interfaces and
 * configured ones. Never loopback, never a link-local or virtual address of another link (two machines may both own
 * 172.17.0.1). An unspecified address (`0.0.0.0`, `::`) stands for every address of the interface.
 * Link-local IPv6 goes out over IPv6 only, without zone: `@libp2p/mdns` hears IPv4 alone and could not dial it.
 */
export function announcedAddresses(
  multiaddrs: readonly string[],
  socket: { name: string; family: 4 | 6 },
  locals: readonly InterfaceAddress[]
): string[] {
  const own = locals.filter(({ name }) => name === socket.name)
  const best = new Set<string>()
  const near = new Set<string>()
  const far = new Set<string>()
  for (const text of multiaddrs) {
    const parts = parseIpMultiaddr(text)
    if (parts === undefined || parts.port === 0 || parts.protocols.includes('p2p-circuit')) continue
    const { family, host, rest } = parts
    const scope = ipScope(host)
    const hosts = scope === 'unspecified' ? own.filter((local) => local.family === family).map(({ address }) => address) : [host]
    for (const address of hosts) {
      const line = `/ip${family}/${address}${rest}`
      const local = own.find((candidate) => candidate.address === address)
      if (local !== undefined) {
        if (family === 4 || !local.linkLocal || socket.family === 6) (family === socket.family ? best : near).add(line)
      } else if (scope === 'private' || scope === 'public') {
        if (!locals.some((other) => other.address === address && other.virtual)) far.add(line)
      }
    }
  }
  return [...new Set([...best, ...near, ...far])].slice(0, MAX_PEER_ADDRESSES)
}

function readAddress(text: string, zone: string): { peerId: string; multiaddr: string } | 'loopback' | undefined {
  const parts = parseIpMultiaddr(text)
  // The PeerId stands once and last, a port is there, and no protocol makes us resolve a name or open a path (`/unix/…`).
  if (parts?.peerId === undefined || parts.port === 0 || parts.protocols.at(-1) !== 'p2p') return undefined
  if (parts.protocols.indexOf('p2p') !== parts.protocols.length - 1) return undefined
  if (!parts.protocols.every((name) => ALLOWED_PROTOCOLS.has(name))) return undefined
  const scope = ipScope(parts.host)
  if (scope === 'loopback') return 'loopback'
  if (scope === 'unusable' || scope === 'unspecified') return undefined
  try {
    const peerId = peerIdFromString(parts.peerId).toString()
    const rest = parts.rest.slice(0, parts.rest.lastIndexOf('/p2p/'))
    const prefix = parts.family === 6 && scope === 'link-local' ? `/ip6zone/${zone}` : ''
    return { peerId, multiaddr: `${prefix}/ip${parts.family}/${parts.host}${rest}/p2p/${peerId}` }
  } catch {
    return undefined
  }
}

function addAddress(
  heard: HeardAnswer,
  peers: Map<string, HeardPeer>,
  instance: string,
  found: { peerId: string; multiaddr: string }
): void {
  let peer = peers.get(found.peerId)
  if (peer === undefined) {
    if (peers.size === MAX_PEERS_PER_PACKET) {
      heard.dropped++
      return
    }
    peer = { peerId: found.peerId, instance, multiaddrs: [] }
    peers.set(found.peerId, peer)
  }
  if (peer.multiaddrs.includes(found.multiaddr)) return
  if (peer.multiaddrs.length === MAX_PEER_ADDRESSES) heard.dropped++
  else peer.multiaddrs.push(found.multiaddr)
}

function finish(heard: HeardAnswer, peers: Map<string, HeardPeer>): HeardAnswer {
  heard.peers.push(...peers.values())
  return heard
}

function records(list: readonly unknown[] | undefined): DnsRecord[] {
  if (!Array.isArray(list)) return []
  return list.slice(0, MAX_STRINGS_PER_PACKET).filter((record): record is DnsRecord => {
    const { type, name } = (record ?? {}) as Partial<DnsRecord>
    return typeof type === 'string' && typeof name === 'string'
  })
}

function txtString(item: unknown): string | undefined {
  if (typeof item === 'string') return item.length <= MAX_TXT_BYTES ? item : undefined
  if (!(item instanceof Uint8Array) || item.length > MAX_TXT_BYTES) return undefined
  return new TextDecoder().decode(item)
}

function lower(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}
