import { Option, type Command } from 'commander'
import { ROLES } from '../../protocols/member/messages.ts'
import type { InviteView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, withNodeOptions, type NodeOptions } from './command-line.ts'
import { qrCode } from './qr-code.ts'

/** `atmo invite`: a code that lets one node into the mesh. */
export function addInvite(program: Command): void {
  withNodeOptions(program.command('invite').description('print a code that lets one node into the mesh, within ten minutes'))
    .addOption(new Option('--role <role>', 'what the node becomes (default: member)').choices(ROLES))
    .option('--no-qr', 'leave the QR code out')
    .action(async (options: NodeOptions & { role?: string; qr: boolean }) => {
      const { dataDir, output } = contextOf(options)
      const body = options.role === undefined ? {} : { role: options.role }
      const invite = await (await connectToNode(dataDir)).post<InviteView>('/mesh/invites', body)
      if (output.json) return output.out(`${JSON.stringify(invite)}\n`)
      const { colors, errorColors } = output
      // The code alone on standard output, so that it can be piped; the rest is for who looks.
      if (options.qr && process.stderr.isTTY) await output.err(`${qrCode(invite.code)}\n`)
      await output.err(errorColors.dim(`On the other machine, until ${new Date(invite.expiresAt).toLocaleTimeString()}, once:\n`))
      await output.out(process.stdout.isTTY ? `atmo join ${colors.bold(invite.code)}\n` : `${invite.code}\n`)
    })
}
