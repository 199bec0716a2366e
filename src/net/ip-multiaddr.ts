import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'

/** What a host address is good for, widest rule first that fits. */
export type IpScope = 'loopback' | 'link-local' | 'private' | 'public' | 'unspecified' | 'unusable'

/** The parts of a multiaddr that begins with an IP address. */
export interface IpMultiaddr {
  family: 4 | 6
  host: string
  /** Interface of a link-local IPv6 address (`ip6zone`). */
  zone: string | undefined
  /** TCP or UDP port, 0 if there is none. */
  port: number
  /** Last `/p2p/` value, not checked to be a PeerId. */
  peerId: string | undefined
  /** Protocol names after the address, in order. */
  protocols: string[]
  /** The text after the address: `/tcp/4001/p2p/…`. */
  rest: string
}

/** Longest multiaddr text looked at. A webrtc-direct address with two hashes and a PeerId has about 250 characters. */
export const MAX_MULTIADDR_LENGTH = 1_024

/** Takes a multiaddr apart. Returns undefined for anything that does not parse or does not begin with an IP address. Never throws. */
export function parseIpMultiaddr(text: string): IpMultiaddr | undefined {
  if (text.length > MAX_MULTIADDR_LENGTH) return undefined
  try {
    const components = multiaddr(text).getComponents()
    const zone = components[0]?.name === 'ip6zone' ? components.shift()?.value : undefined
    const ip = components.shift()
    if (ip?.value === undefined || (ip.name !== 'ip4' && ip.name !== 'ip6') || (zone !== undefined && ip.name !== 'ip6'))
      return undefined
    const port = components.find(({ name }) => name === 'tcp' || name === 'udp')?.value
    return {
      family: ip.name === 'ip4' ? 4 : 6,
      host: ip.value,
      zone,
      port: port === undefined ? 0 : Number(port),
      peerId: components.findLast(({ name }) => name === 'p2p')?.value,
      protocols: components.map(({ name }) => name),
      rest: components.map(({ name, value }) => `/${name}${value === undefined ? '' : `/${value}`}`).join('')
    }
  } catch {
    return undefined
  }
}

/** The multiaddr with `/p2p/<peerId>` at its end; undefined if it does not parse or belongs to another peer. Never throws. */
export function withPeerId(addr: string, peerId: string): string | undefined {
  if (addr.length > MAX_MULTIADDR_LENGTH) return undefined
  try {
    const id = peerIdFromString(peerId).toString()
    const parsed = multiaddr(addr)
    const last = parsed.getComponents().at(-1)
    if (last === undefined) return undefined
    if (last.name === 'p2p')
      return last.value !== undefined && peerIdFromString(last.value).toString() === id ? parsed.toString() : undefined
    return `${parsed.toString()}/p2p/${id}`
  } catch {
    return undefined
  }
}

/** The 4 or 16 bytes of an IP address (a `%zone` is ignored), undefined if it is none. */
export function ipBytes(host: string): Uint8Array | undefined {
  const bare = host.split('%', 1)[0] ?? ''
  try {
    // One byte of protocol code, then the address: the multiaddr library is the parser.
    return multiaddr(`/${bare.includes(':') ? 'ip6' : 'ip4'}/${bare}`).bytes.subarray(1)
  } catch {
    return undefined
  }
}

/** Scope of an address, by RFC 6890 (IPv4) and RFC 4291, 4193 (IPv6). Carrier-grade NAT space counts as private. */
export function ipScope(host: string): IpScope {
  const bytes = ipBytes(host)
  if (bytes === undefined) return 'unusable'
  if (bytes.length === 4) return ip4Scope(bytes)
  const [a = 0, b = 0] = bytes
  if (a === 0xff) return 'unusable'
  if (a === 0xfe && (b & 0xc0) === 0x80) return 'link-local'
  if ((a & 0xfe) === 0xfc) return 'private'
  if (bytes.subarray(0, 10).some((byte) => byte !== 0)) return 'public'
  if (bytes[10] === 0xff && bytes[11] === 0xff) return ip4Scope(bytes.subarray(12))
  if (bytes.subarray(10, 15).some((byte) => byte !== 0)) return 'unusable'
  return bytes[15] === 0 ? 'unspecified' : bytes[15] === 1 ? 'loopback' : 'unusable'
}

function ip4Scope([a = 0, b = 0, c = 0, d = 0]: Uint8Array): IpScope {
  if (a === 0) return b + c + d === 0 ? 'unspecified' : 'unusable'
  if (a === 127) return 'loopback'
  if (a >= 224) return 'unusable'
  if (a === 169 && b === 254) return 'link-local'
  const isPrivate = a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) || (a === 100 && b >= 64 && b < 128)
  return isPrivate ? 'private' : 'public'
}
