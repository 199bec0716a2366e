/** Addresses as people write them: what is wrong with one, in words. Undefined where nothing is. */
import { multiaddr } from '@multiformats/multiaddr'

/** Of a multiaddr, such as that of a peer. */
export function multiaddrProblem(text: string): string | undefined {
  return componentsOf(text) === undefined
    ? `"${text}" is no multiaddr; write it like /ip4/192.168.1.20/tcp/4001 (https://multiformats.io/multiaddr/)`
    : undefined
}

/** Of a multiaddr to listen on: an IP address and a TCP port. */
export function listenProblem(text: string): string | undefined {
  const names = componentsOf(text)
  if (names === undefined) return multiaddrProblem(text)
  return /^((ip6zone )?ip6|ip4) tcp( p2p)?$/.test(names.join(' '))
    ? undefined
    : `cannot listen on ${text}: only TCP addresses can be listened on, like /ip4/0.0.0.0/tcp/4001`
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
