/** Addresses as people write them: what is wrong with one, in words. Undefined where nothing is. */
import { multiaddr } from '@multiformats/multiaddr'

/** What a node can listen on, in words. */
export const LISTENABLE = 'only TCP, WebSocket and WebRTC (webrtc-direct) addresses can be listened on'

/** Of a multiaddr, such as that of a peer. */
export function multiaddrProblem(text: string): string | undefined {
  return componentsOf(text) === undefined
    ? `"${text}" is no multiaddr; write it like /ip4/192.168.1.20/tcp/4001 (https://multiformats.io/multiaddr/)`
    : undefined
}

/** Of a multiaddr to listen on: an IP address and a TCP port, with `/ws` for WebSocket, or a UDP port and `/webrtc-direct`. */
export function listenProblem(text: string): string | undefined {
  const names = componentsOf(text)
  if (names === undefined) return multiaddrProblem(text)
  return /^((ip6zone )?ip6|ip4) tcp( ws)?( p2p)?$|^ip[46] udp webrtc-direct( p2p)?$/.test(names.join(' '))
    ? undefined
    : `cannot listen on ${text}: ${LISTENABLE}, like /ip4/0.0.0.0/tcp/4001, /ip4/0.0.0.0/tcp/4002/ws or /ip4/0.0.0.0/udp/4003/webrtc-direct`
}

/** Of all multiaddrs to listen on together. WebRTC's native part has one socket: of an address for IPv4 and one for IPv6, only one would answer. */
export function listenTogetherProblem(listen: readonly string[]): string | undefined {
  const webRtc = listen.filter((text) => componentsOf(text)?.includes('webrtc-direct'))
  return webRtc.length > 1 ? `cannot listen on ${webRtc.join(' and ')}: WebRTC takes one address; keep one of them` : undefined
}

function componentsOf(text: string): string[] | undefined {
  try {
    const names = multiaddr(text)
      .getComponents()
      .map(({ name }) => name)
    return names.length > 0 ? names : undefined
  } catch {
    return undefined
  }
}
