import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** libp2p's own protocols, of all versions that are in use. */
const LIBP2P_PROTOCOLS = [
  '/ipfs/id/1.0.0',
  '/ipfs/id/push/1.0.0',
  '/ipfs/ping/1.0.0',
  '/meshsub/1.0.0',
  '/meshsub/1.1.0',
  '/meshsub/1.2.0',
  '/meshsub/1.3.0',
  '/floodsub/1.0.0',
  '/ipfs/kad/1.0.0',
  '/ipfs/lan/kad/1.0.0',
  '/libp2p/autonat/1.0.0',
  '/libp2p/autonat/2/dial-request',
  '/libp2p/autonat/2/dial-back',
  '/libp2p/circuit/relay/0.1.0',
  '/libp2p/circuit/relay/0.2.0/hop',
  '/libp2p/circuit/relay/0.2.0/stop',
  '/libp2p/dcutr',
  '/libp2p/fetch/0.0.1',
  '/libp2p/perf/1.0.0',
  '/rendezvous/1.0.0',
  '/webrtc-signaling/0.0.1',
  '/http/1.1'
]

/** Every id and every topic that the contracts of the mesh name, read from them, and those of libp2p. */
export async function knownProtocols(mesh: string): Promise<{ protocols: string[]; topics: string[] }> {
  const folder = new URL('../../../protocols/', import.meta.url)
  const files = readdirSync(fileURLToPath(folder), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  const own = new Set<string>()
  const topics = new Set<string>()
  for (const file of files) {
    for (const [name, value] of Object.entries((await import(new URL(file, folder).href)) as Record<string, unknown>)) {
      if (name.endsWith('_PROTOCOL') && typeof value === 'string') own.add(value)
      if (name.endsWith('Topic') && typeof value === 'function') topics.add((value as (mesh: string) => string)(mesh))
    }
  }
  return { protocols: [...own, ...LIBP2P_PROTOCOLS], topics: [...topics] }
}
