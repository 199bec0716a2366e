import type { Command } from 'commander'
import type { AcceptedDescriptor } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain } from './output.ts'
import { showChanges } from './show-change.ts'

/** `atmo accept NODE CAPABILITY`: what it says of itself now is as it should be. */
export function addAccept(program: Command): void {
  withNodeOptions(
    program
      .command('accept')
      .description('accept what a capability of another node says of itself now, where it is shown as changed')
      .argument('<node>', 'its name in atmo peers, or its peer id')
      .argument('<capability>', 'its id')
  )
    .option('--hash <hash>', 'only the version with this hash, as atmo capabilities shows it')
    .action(async (node: string, capability: string, options: NodeOptions & { hash?: string }) => {
      const { dataDir, output } = contextOf(options)
      const client = await connectToNode(dataDir)
      const { hash } = options
      const body = { node, capability, ...(hash !== undefined && { hash }) }
      const accepted = await client.post<AcceptedDescriptor>('/mesh/descriptors/accept', body)
      const { colors } = output
      await output.out(
        output.json
          ? `${JSON.stringify(accepted)}\n`
          : [
              `accepted ${colors.bold(plain(accepted.capability))} on ${plain(accepted.nodeName)}`,
              ...showChanges(accepted.changed, colors).map((line) => `  ${line}`),
              ''
            ].join('\n')
      )
    })
}
