import { Option, type Command } from 'commander'
import { MAX_TAGS, ROLES } from '../../protocols/member/messages.ts'
import { tagProblem } from '../config-formats.ts'
import type { DoorView, InviteView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, gather, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { qrCode } from './qr-code.ts'

/** `atmo invite`: a code that lets one node into the mesh; `--nearby`: opens the door to one that asks. */
export function addInvite(program: Command): void {
  withNodeOptions(
    program.command('invite').description('let one node into the mesh, within ten minutes: print a code, or open the door')
  )
    .addOption(new Option('--role <role>', 'what the node becomes (default: member)').choices(ROLES))
    .option('--tag <tag>', 'what the node is besides, for policies; may be given several times', gather)
    .option('--no-forward', 'the node may not pass on what others send to each other (guests never may)')
    .option('--nearby', 'no code: open the door for ten minutes, to one node on this network that you approve')
    .option('--no-qr', 'leave the QR code out')
    .action(async (options: NodeOptions & { role?: string; tag?: string[]; forward: boolean; nearby?: boolean; qr: boolean }) => {
      const { dataDir, output } = contextOf(options)
      const problem = options.tag?.map(tagProblem).find(Boolean)
      if (problem !== undefined) throw usageError(`--tag: ${problem}`)
      if ((options.tag?.length ?? 0) > MAX_TAGS) throw usageError(`--tag: a node has at most ${MAX_TAGS} tags`)
      const body = {
        ...(options.role !== undefined && { role: options.role }),
        ...(options.tag !== undefined && { tags: options.tag }),
        ...(!options.forward && { forward: false })
      }
      if (options.nearby === true) {
        const door = await (await connectToNode(dataDir)).post<DoorView>('/mesh/door', body)
        if (output.json) return output.out(`${JSON.stringify(door)}\n`)
        return output.out(
          `The door is open to one node on this network, until ${new Date(door.expiresAt).toLocaleTimeString()}.\n` +
            `There: ${output.colors.bold('atmo join --nearby')}    Then here: ${output.colors.bold('atmo approvals')}\n`
        )
      }
      const invite = await (await connectToNode(dataDir)).post<InviteView>('/mesh/invites', body)
      if (output.json) return output.out(`${JSON.stringify(invite)}\n`)
      const { colors, errorColors } = output
      // The code alone on standard output, so that it can be piped; the rest is for who looks.
      if (options.qr && process.stderr.isTTY) await output.err(`${qrCode(invite.code)}\n`)
      await output.err(errorColors.dim(`On the other machine, until ${new Date(invite.expiresAt).toLocaleTimeString()}, once:\n`))
      await output.out(process.stdout.isTTY ? `atmo join ${colors.bold(invite.code)}\n` : `${invite.code}\n`)
    })
}
