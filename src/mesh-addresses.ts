import { multiaddr } from '@multiformats/multiaddr'
import { multiaddrProblem } from './config-addresses.ts'
import { MeshError } from './errors.ts'
import type { Discovery, MeshComponents } from './mesh-components.ts'

/** How long {@link addPeer} tries, in ms. */
export const ADD_PEER_TIMEOUT_MS = 10_000

/** Dials a multiaddr and keeps the peer as a static one. @throws MeshError `invalid_argument`, `unavailable`. */
export async function addPeer(
  { libp2p, discovery }: Pick<MeshComponents, 'libp2p'> & { discovery: Discovery },
  address: string,
  { signal }: { signal?: AbortSignal } = {}
): Promise<void> {
  const problem = multiaddrProblem(address)
  if (problem !== undefined) throw new MeshError('invalid_argument', problem, { multiaddr: address })
  discovery.add(address)
  try {
    await libp2p.dial(multiaddr(address), { signal: signal ?? AbortSignal.timeout(ADD_PEER_TIMEOUT_MS) })
  } catch (error) {
    const message = `${address} does not answer (${(error as Error).message}); this node keeps trying`
    throw new MeshError('unavailable', message, { multiaddr: address }, { cause: error })
  }
}

/** Addresses of this node that others may try: those of loopback only where there are no others. */
export function announcedAddresses(libp2p: Pick<MeshComponents['libp2p'], 'getMultiaddrs'>): string[] {
  const all = libp2p.getMultiaddrs().map((address) => address.toString())
  const beyond = all.filter((address) => !/^\/(ip4\/127\.|ip6\/::1\/)/.test(address))
  return beyond.length > 0 ? beyond : all
}
