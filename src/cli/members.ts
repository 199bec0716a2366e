import type { Command } from 'commander'
import { shortId } from '../../protocols/short-id.ts'
import type { MemberView, MeshStatus } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, withNodeOptions, type NodeOptions } from './command-line.ts'
import { table } from './output.ts'
import { showRevoked } from './show-mesh.ts'

/** `atmo members`: who belongs to the mesh, as far as the node here knows. */
export function addMembers(program: Command): void {
  withNodeOptions(program.command('members').description('list the members of the mesh that this node knows')).action(
    async (options: NodeOptions) => {
      const { dataDir, output } = contextOf(options)
      const client = await connectToNode(dataDir)
      const answer = await client.get<{ mesh: MeshStatus['mesh']; members: MemberView[] }>('/mesh/members')
      if (output.json) return output.out(`${JSON.stringify(answer)}\n`)
      const { colors } = output
      const { revoked } = answer.mesh
      const rows = answer.members.map(({ name, peerId, role, tags, certifiedUntil, connected }) => [
        { text: name, style: colors.bold },
        shortId(peerId),
        [role, ...tags].join(' '),
        revoked !== undefined && peerId === client.node.peerId
          ? { text: 'revoked', style: colors.red }
          : connected
            ? { text: 'here', style: colors.green }
            : { text: 'away', style: colors.dim },
        certifiedUntil === null ? '-' : certifiedUntil.slice(0, 10)
      ])
      await output.out(table(['name', 'peer', 'role', 'now', 'certified until'], rows, colors))
      if (revoked !== undefined) await output.err(`${showRevoked(revoked, output.errorColors)}\n`)
    }
  )
}
