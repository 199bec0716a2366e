import type { Command } from 'commander'
import type { MeshEvent } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, interruptSignal, isCancelled, withNodeOptions, type NodeOptions } from './command-line.ts'
import { readPeerNames } from './peer-names.ts'
import { showEvent } from './show-event.ts'

/** `atmo watch [PATTERN]`: events as they happen, until Ctrl-C or until the node stops; both are exit code 0. */
export function addWatch(program: Command): void {
  withNodeOptions(
    program
      .command('watch')
      .description('show what happens in the mesh, as it happens')
      .argument('[pattern]', 'glob over event names, such as "peer:*"')
  ).action(async (pattern: string | undefined, options: NodeOptions) => {
    const { dataDir, output } = contextOf(options)
    const client = await connectToNode(dataDir)
    const query = new URLSearchParams(pattern === undefined ? {} : { filter: pattern })
    const { signal, off } = interruptSignal()
    try {
      if (!output.json) await output.err(`${output.errorColors.dim('watching what happens in the mesh (Ctrl-C ends)')}\n`)
      const names = output.json ? undefined : await readPeerNames(client)
      for await (const line of client.lines({ method: 'GET', path: `/mesh/events?${query.toString()}`, signal })) {
        if (names === undefined) {
          await output.out(`${line}\n`)
          continue
        }
        const event = JSON.parse(line) as MeshEvent
        names.learn(event)
        await output.out(showEvent(event, output.colors, names.nameOf))
      }
    } catch (error) {
      if (!isCancelled(error)) throw error
    } finally {
      off()
    }
  })
}
