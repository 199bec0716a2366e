import type { Command } from 'commander'
import type { DeadLetterView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, refuseUnknownCommand, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, table } from './output.ts'

/** `atmo dead-letters`, `atmo dead-letters replay ID`, `atmo dead-letters discard ID`: events that nobody did. */
export function addDeadLetters(program: Command): void {
  const letters = program
    .command('dead-letters')
    .description('list the events of this node that nobody did')
    .allowExcessArguments()
  withNodeOptions(letters).action(async (options: NodeOptions, self: Command) => {
    refuseUnknownCommand(self)
    const { dataDir, output } = contextOf(options)
    const client = await connectToNode(dataDir)
    const answer = await client.get<{ letters: DeadLetterView[] }>('/mesh/dead-letters')
    if (output.json) return output.out(`${JSON.stringify(answer)}\n`)
    if (answer.letters.length === 0) return output.out('None.\n')
    const { colors } = output
    const rows = answer.letters.map((letter) => [
      { text: letter.id, style: colors.bold },
      plain(`${letter.capability} ${letter.event}`),
      plain(letter.subject ?? ''),
      plain(letter.code ?? letter.reason),
      plain(letter.message ?? ''),
      plain(letter.intent)
    ])
    await output.out(table(['id', 'event', 'about', 'why', 'said', 'intent'], rows, colors))
  })
  addAct(letters, 'replay', 'send one anew, to those who have not done it', 'goes out anew')
  addAct(letters, 'discard', 'forget one', 'is forgotten')
}

function addAct(letters: Command, name: 'replay' | 'discard', about: string, done: string): void {
  const command = withNodeOptions(letters.command(name).description(about).argument('<id>', 'as in atmo dead-letters'))
  command.action(async (id: string, _options: NodeOptions, self: Command) => {
    // Options that stand before the name belong to `dead-letters`; the command sees both.
    const { dataDir, output } = contextOf(self.optsWithGlobals<NodeOptions>())
    const client = await connectToNode(dataDir)
    const path = `/mesh/dead-letters/${encodeURIComponent(id)}`
    const answer = await (name === 'replay' ? client.post(`${path}/replay`) : client.delete(path))
    await output.out(output.json ? `${JSON.stringify(answer)}\n` : `${plain(id)} ${done}\n`)
  })
}
