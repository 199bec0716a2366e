/** How a node joins a mesh that it sees on its network, while it does not run. Node only. */
import type { Connection, Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { originId } from './core/document.ts'
import { MeshError } from './errors.ts'
import { createMdns } from './net/mdns.ts'
import { askNearby, lookNearby, type NearbyAsk } from './net/nearby.ts'
import { enterMesh, type HandOver, type MeshSummary, type Obtained } from './node-enter.ts'

/** How long nodes nearby are looked for after the first was seen, in ms: others may be seen, too. */
export const GATHER_MS = 2_000
/** How long nodes nearby are looked for, in ms. */
export const SEARCH_MS = 20_000
/** A node that is found is dialled for so long, in ms. */
const DIAL_MS = 3_000
/** Nodes that are looked at; on a network with more, name one with its address. */
const MAX_LOOKED_AT = 256

/** A mesh whose door is open, and the node that said so. */
export interface NearbyMesh {
  /** PeerId of the mesh key. */
  mesh: string
  /** What it calls itself: nobody has checked that. */
  meshName: string
  nodeName: string
  /** PeerId of the node. */
  node: string
}

/** Options of {@link joinNearby}. */
export interface NearbyOptions {
  /** What the node calls itself. */
  name: string
  /** Look for nodes by multicast DNS. */
  mdns: boolean
  /** Multiaddrs to look at beside, for networks without multicast. */
  peers: string[]
  signal: AbortSignal
  /** Which of those that were seen; called once, with at least one. */
  choose(seen: NearbyMesh[]): Promise<NearbyMesh>
  /** See {@link NearbyAsk.confirm}. */
  confirm(code: string, chosen: NearbyMesh, signal: AbortSignal): Promise<boolean>
}

/**
 * Looks for meshes nearby whose door is open, and joins one when people at both sides have compared what their screens show.
 * @throws MeshError `unavailable` if there is none, `permission_denied`, `busy`, `cancelled`, `conflict` if the node is of another mesh, or runs and there is no `handOver`.
 */
export async function joinNearby(dataDir: string, options: NearbyOptions, handOver?: HandOver): Promise<MeshSummary> {
  const { name, signal, choose, confirm } = options
  const obtain = async (libp2p: Libp2p): Promise<Obtained> => {
    const seen = await search(libp2p, options)
    const chosen = await choose(seen.map(({ view }) => view))
    const found = seen.find(({ view }) => view.node === chosen.node && view.mesh === chosen.mesh)
    if (found === undefined) throw new MeshError('invalid_argument', 'that mesh is not among those that were seen')
    const ask: NearbyAsk = {
      connection: await dialAnew(libp2p, found),
      self: libp2p.peerId.toString(),
      name,
      mesh: found.mesh,
      now: () => performance.now(),
      signal,
      confirm: (code, ended) => confirm(code, chosen, ended)
    }
    const welcome = await askNearby(ask)
    // Both people have compared a string of that mesh.
    if (originId(welcome.mesh) !== chosen.mesh)
      throw new MeshError('permission_denied', 'the node let this one into another mesh than it had named', {
        reason: 'wrong_mesh'
      })
    return { welcome, connection: ask.connection }
  }
  return enterMesh(dataDir, obtain, handOver)
}

interface Seen {
  view: NearbyMesh
  mesh: Uint8Array
  addresses: string[]
}

/** A node keeps nobody for long who says nothing: the connection of the look is over. @throws MeshError `unavailable`. */
async function dialAnew(libp2p: Libp2p, { view, addresses }: Seen): Promise<Connection> {
  try {
    const connection = await dial(libp2p, addresses)
    if (connection.remotePeer.toString() === view.node) return connection
    throw new Error('another node is at its address')
  } catch (error) {
    const why = (error as Error).message.split('\n', 1)[0]
    throw new MeshError('unavailable', `${view.nodeName} does not answer any more: ${why}`, { peer: view.node }, { cause: error })
  }
}

function dial(libp2p: Libp2p, addresses: string[]): Promise<Connection> {
  return libp2p.dial(
    addresses.map((address) => multiaddr(address)),
    { signal: AbortSignal.timeout(DIAL_MS) }
  )
}

/** Those whose door is open, by the name of the mesh. @throws MeshError `unavailable`, `cancelled`. */
async function search(libp2p: Libp2p, { mdns, peers, signal }: NearbyOptions): Promise<Seen[]> {
  const seen = new Map<string, Seen>()
  const looked = new Set<string>()
  const now = (): number => performance.now()
  let found!: () => void
  const first = new Promise<void>((resolve) => (found = resolve))

  async function look(key: string, addresses: string[]): Promise<void> {
    if (looked.has(key) || looked.size >= MAX_LOOKED_AT) return
    looked.add(key)
    try {
      const connection = await dial(libp2p, addresses)
      const sight = await lookNearby(connection, now)
      await connection.close()
      if (sight === undefined) return
      const { mesh, meshName, nodeName } = sight
      const node = connection.remotePeer.toString()
      seen.set(node, { view: { mesh: originId(mesh), meshName, nodeName, node }, mesh, addresses })
      found()
    } catch {
      // Not there, or no node of ours. It may be on its way.
      setTimeout(() => looked.delete(key), DIAL_MS).unref()
    }
  }

  const discovery = mdns
    ? createMdns({
        peerId: libp2p.peerId.toString(),
        getMultiaddrs: () => [],
        onPeer: (peer, addresses) => void look(peer, addresses),
        onState: () => undefined
      })
    : undefined
  discovery?.start()
  try {
    const looks = peers.map((address) => look(address, [address]))
    await within(mdns ? first : Promise.race([first, Promise.all(looks)]), SEARCH_MS, signal)
    if (seen.size > 0 && mdns) await within(new Promise(() => undefined), GATHER_MS, signal)
  } finally {
    await discovery?.stop()
  }
  if (seen.size === 0)
    throw new MeshError('unavailable', 'no mesh nearby has its door open; on one of its nodes, run: atmo invite --nearby', {
      lookedAt: looked.size
    })
  return [...seen.values()].sort((a, b) => a.view.meshName.localeCompare(b.view.meshName))
}

/** Waits for it, or for the time. @throws what the signal stands for. */
async function within(what: Promise<unknown>, ms: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  let onAbort!: () => void
  try {
    await Promise.race([
      what,
      new Promise<void>((resolve) => (timer = setTimeout(resolve, ms))),
      new Promise<never>((_, reject) => {
        onAbort = () => reject(new MeshError('cancelled', 'the search was ended'))
        if (signal.aborted) onAbort()
        else signal.addEventListener('abort', onAbort, { once: true })
      })
    ])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}
