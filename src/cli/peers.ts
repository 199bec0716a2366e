import type { Command } from 'commander'
import { shortId } from '../../protocols/short-id.ts'
import type { MeshStatus, PeerView, RouteView, RoutesView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { isMeshError } from '../errors.ts'
import { contextOf, refuseUnknownCommand, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, showDuration, table, type Colors } from './output.ts'
import { showRevoked } from './show-mesh.ts'
import { createNaming, wayCell } from './show-way.ts'

/** Nodes that a line names. */
const MAX_NAMED = 5

/** The table, at most `width` columns wide if that is possible; a narrow one does not say how nodes were found. */
export function showPeers(peers: readonly PeerView[], colors: Colors, width?: number): string {
  const nameOf = createNaming(peers.map(({ peerId, name }) => ({ node: peerId, name })))
  const rows = peers.map((peer) => [
    { text: peer.mesh === undefined ? peer.name : `${peer.name} (of ${peer.mesh})`, style: colors.bold },
    shortId(peer.peerId),
    peer.rttMs === null ? '-' : showDuration(peer.rttMs),
    wayCell(peer, nameOf, colors),
    peer.source,
    peer.capabilities.join(', ')
  ])
  const header = ['name', 'peer', 'rtt', 'route', 'found by', 'capabilities']
  return table(header, rows, colors, width, { drop: 'found by', cut: ['route', 'name'] })
}

/** Where nobody can be reached: whether somebody could be, before. */
function showNobody(known: readonly RouteView[]): string {
  if (known.length === 0) return 'No peers yet. Start a node on another machine, or add one with: atmo peers add MULTIADDR'
  const names = known.slice(0, MAX_NAMED).map(({ nodeName }) => plain(nodeName))
  if (known.length > names.length) names.push(`${known.length - names.length} more`)
  return `No peers now: no way is known to ${names.join(', ')}. What is left of them: atmo routes`
}

/** `atmo peers` and `atmo peers add MULTIADDR`. */
export function addPeers(program: Command): void {
  const parent = withNodeOptions(
    program.command('peers').description('list the nodes that this one knows').allowExcessArguments()
  ).action(async (options: NodeOptions, command: Command) => {
    refuseUnknownCommand(command)
    const { dataDir, output } = contextOf(options)
    const client = await connectToNode(dataDir)
    const { nodes: peers } = await client.get<{ nodes: PeerView[] }>('/mesh/nodes')
    if (output.json) return output.out(`${JSON.stringify({ peers })}\n`)
    const { colors } = output
    if (peers.length === 0) {
      const { mesh } = await client.get<MeshStatus>('/mesh/status')
      if (mesh.revoked !== undefined) return output.out(`No peers: ${showRevoked(mesh.revoked, colors)}\n`)
      const { nodes } = await client.get<RoutesView>('/mesh/routes')
      return output.out(`${showNobody(nodes)}\n`)
    }
    return output.out(showPeers(peers, colors))
  })

  withNodeOptions(
    parent
      .command('add')
      .description('connect to a node by its multiaddr and stay connected')
      .argument('<multiaddr>', 'such as /ip4/192.168.1.5/tcp/4001')
  ).action(
    // Options that stand before `add` belong to `peers`; the command sees both.
    async (multiaddr: string, _own: NodeOptions, command: Command) => {
      const { dataDir, output } = contextOf(command.optsWithGlobals<NodeOptions>())
      const client = await connectToNode(dataDir)
      const answer = await client.post<{ added: string }>('/mesh/nodes', { multiaddr }).catch((error: unknown) => {
        throw isMeshError(error, 'invalid_argument') ? usageError(error.message) : error
      })
      return output.out(output.json ? `${JSON.stringify(answer)}\n` : `connected to ${plain(answer.added)}\n`)
    }
  )
}
