import { Option, type Command } from 'commander'
import { hostname } from 'node:os'
import { isMeshError } from '../errors.ts'
import { contextOf, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain } from './output.ts'

/** `atmo init`: makes a private mesh, with this node as its owner. */
export function addInit(program: Command): void {
  withNodeOptions(program.command('init').description('make a private mesh; this node becomes its owner'))
    .addOption(new Option('--name <name>', "name of the mesh, for people (default: that of the host, 's mesh')"))
    .action(async (options: NodeOptions & { name?: string }) => {
      const { dataDir, output } = contextOf(options)
      const { initMesh } = await import('../node-join.ts')
      const mesh = await initMesh(dataDir, options.name ?? `${hostname().split('.')[0] ?? 'node'}'s mesh`).catch(
        (error: unknown) => {
          throw isMeshError(error, 'invalid_argument') ? usageError(error.message) : error
        }
      )
      await output.out(
        output.json
          ? `${JSON.stringify(mesh)}\n`
          : `${output.colors.green('●')} made the mesh ${output.colors.bold(plain(mesh.name))}; this node is its owner\n` +
              output.colors.dim('  Start the node with: atmo start. Then let others in with: atmo invite\n')
      )
    })
}
