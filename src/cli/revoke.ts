import type { Command } from 'commander'
import { MAX_REASON } from '../../protocols/member/revocation.ts'
import { shortId } from '../../protocols/short-id.ts'
import { readAuditLog } from '../data-dir-audit.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { RevocationView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain } from './output.ts'

/** Least characters of the end of a PeerId that name a node. */
const SHORT_ID = 6

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
      const { reason = '' } = options
      if (reason.length > MAX_REASON) throw usageError(`--reason: at most ${MAX_REASON} characters`)
      const client = await connectToNode(dataDir)
      const revoked = await client.post<RevocationView>('/mesh/revocations', { node, reason }).catch(async (error: unknown) => {
        if (!isMeshError(error, 'invalid_argument')) throw error
        const at = await revokedBefore(dataDir, node).catch(() => undefined)
        if (at === undefined) throw error
        throw new MeshError(error.code, `"${node}" was revoked already, on ${at.slice(0, 16).replace('T', ' at ')} UTC`, { at })
      })
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

/** When a node that is no member any more was revoked here, as far as the audit log of this node goes: names of such nodes are kept nowhere else. */
async function revokedBefore(dataDir: string, node: string): Promise<string | undefined> {
  const { lines } = await readAuditLog(dataDir)
  const end = node.replace(/^…/, '')
  const ended = new Map<string, string>()
  const names = new Map<string, string>()
  for (const { event, peer, name, at } of lines as { event: string; at: string; peer?: string; name?: string }[]) {
    if (peer === undefined) continue
    if (event === 'join') {
      names.set(peer, name ?? '')
      ended.delete(peer)
    } else if (event === 'revoke') ended.set(peer, at)
  }
  return [...ended].reverse().find(([peer]) => names.get(peer) === node || (end.length >= SHORT_ID && peer.endsWith(end)))?.[1]
}
