import type { Command } from 'commander'
import type { RevocationView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, shortId } from './output.ts'

/** `atmo revoke NODE`: ends the membership of a node. */
export function addRevoke(program: Command): void {
  withNodeOptions(
    program
      .command('revoke')
      .description('end the membership of a node: everywhere, at once')
      .argument('<node>', 'its name in atmo members, or its peer id')
  )
    .option('--reason <text>', 'for people')
    .action(async (node: string, options: NodeOptions & { reason?: string }) => {
      const { dataDir, output } = contextOf(options)
      const client = await connectToNode(dataDir)
      const { reason = '' } = options
      const revoked = await client.post<RevocationView>('/mesh/revocations', { node, reason })
      const { colors } = output
      await output.out(
        output.json
          ? `${JSON.stringify(revoked)}\n`
          : `revoked ${colors.bold(plain(revoked.name) || shortId(revoked.peerId))}; it is no member any more${revoked.name === '' ? ' (nobody of that id was known here)' : ''}\n` +
              (revoked.rotated
                ? colors.dim('  It had the key of the mesh, or may have had it: there is another one now.\n')
                : '') +
              colors.dim('  Those that are not here now learn it before they talk to anyone.\n')
      )
    })
}
