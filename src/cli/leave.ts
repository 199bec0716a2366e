import type { Command } from 'commander'
import type { NodeClient } from './client.ts'
import { contextOf, withNodeOptions, type CommandContext, type NodeOptions } from './command-line.ts'
import { plain, showPath } from './output.ts'
import { changingMesh, runningNode, untilInMesh } from './running-node.ts'

/** `atmo leave`: this node is of no mesh any more. */
export function addLeave(program: Command): void {
  withNodeOptions(program.command('leave').description('leave the mesh that this node is of'))
    .option('--force', 'also if this node is its only owner: the mesh then ends')
    .action(async (options: NodeOptions & { force?: boolean }) => {
      const context = contextOf(options)
      await changingMesh(context.dataDir, 'atmo leave', async () => {
        const running = await runningNode(context.dataDir)
        return running === undefined ? leaveStopped(options, context) : leaveRunning(running, options, context)
      })
    })
}

async function leaveStopped({ force }: { force?: boolean }, { dataDir, output }: CommandContext): Promise<void> {
  const { leaveMesh } = await import('../node-join.ts')
  const left = await leaveMesh(dataDir, force)
  await output.out(
    output.json
      ? `${JSON.stringify(left)}\n`
      : `left the mesh ${output.colors.bold(plain(left.name))}\n` +
          output.colors.dim(
            `  Its keys are kept in ${showPath(left.kept)}; moved back to mesh.json, they bring this node back.\n`
          )
  )
}

/** The node goes on in a mesh of its own. */
async function leaveRunning(
  running: NodeClient,
  { force = false }: { force?: boolean },
  { dataDir, output }: CommandContext
): Promise<void> {
  const left = await running.post<{ id: string; name: string }>('/mesh/leave', { force })
  await untilInMesh(dataDir, running, (id) => id !== left.id)
  await output.out(
    output.json
      ? `${JSON.stringify(left)}\n`
      : `left the mesh ${output.colors.bold(plain(left.name))}\n` +
          output.colors.dim(
            '  The node that runs here is in a new one of its own. The keys of the old one are kept beside mesh.json.\n'
          )
  )
}
