import type { Command } from 'commander'
import type { Mesh } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, withNodeOptions, type NodeOptions } from './command-line.ts'

/** `atmo rotate`: makes another key for the mesh. */
export function addRotate(program: Command): void {
  withNodeOptions(
    program.command('rotate').description('replace the key of the mesh, if somebody else may have it; members stay')
  ).action(async (options: NodeOptions) => {
    const { dataDir, output } = contextOf(options)
    const client = await connectToNode(dataDir)
    const made = await client.post<Awaited<ReturnType<Mesh['rotate']>>>('/mesh/rotations', {})
    const { colors } = output
    await output.out(
      output.json
        ? `${JSON.stringify(made)}\n`
        : `the mesh has ${colors.bold(`key ${made.generation + 1}`)} now; members that are known here stay: ${made.kept}, this node included\n` +
            colors.dim('  Others that the old key let in need a new invite. Owners get the new key when they connect.\n')
    )
  })
}
