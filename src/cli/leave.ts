import type { Command } from 'commander'
import { contextOf, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, showPath } from './output.ts'

/** `atmo leave`: this node is of no mesh any more. */
export function addLeave(program: Command): void {
  withNodeOptions(program.command('leave').description('leave the mesh that this node is of'))
    .option('--force', 'also if this node is its only owner: the mesh then ends')
    .action(async (options: NodeOptions & { force?: boolean }) => {
      const { dataDir, output } = contextOf(options)
      const { leaveMesh } = await import('../node-join.ts')
      const left = await leaveMesh(dataDir, options.force)
      await output.out(
        output.json
          ? `${JSON.stringify(left)}\n`
          : `left the mesh ${output.colors.bold(plain(left.name))}\n` +
              output.colors.dim(
                `  Its keys are kept in ${showPath(left.kept)}; moved back to mesh.json, they bring this node back.\n`
              )
      )
    })
}
