import type { Command } from 'commander'
import type { ApprovalView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, parseDuration, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, shortId, showDuration, table } from './output.ts'

/** `atmo approvals`, `atmo approve ID`, `atmo ignore ID`: calls that wait for a yes. */
export function addApprovals(program: Command): void {
  withNodeOptions(program.command('approvals').description('list the calls that wait for your yes')).action(
    async (options: NodeOptions) => {
      const { dataDir, output } = contextOf(options)
      const answer = await (await connectToNode(dataDir)).get<{ approvals: ApprovalView[] }>('/mesh/approvals')
      if (output.json) return output.out(`${JSON.stringify(answer)}\n`)
      if (answer.approvals.length === 0) return output.out('Nothing waits.\n')
      const { colors } = output
      const rows = answer.approvals.map(({ id, capability, tool, caller, waitingMs, input }) => [
        { text: id, style: colors.bold },
        `${capability} ${tool}`,
        shortId(caller),
        showDuration(waitingMs),
        JSON.stringify(input)
      ])
      return output.out(table(['id', 'tool', 'caller', 'waits', 'input'], rows, colors))
    }
  )
  addAnswer(program, 'approve', true, 'let a call run that waits for your yes').option(
    '--for <duration>',
    'let the same node call the same tool for this time without asking, up to 24h',
    parseDuration
  )
  addAnswer(program, 'ignore', false, 'refuse a call that waits for your yes')
}

function addAnswer(program: Command, name: string, allow: boolean, about: string): Command {
  const command = withNodeOptions(program.command(name).description(about).argument('<id>', 'as in atmo approvals'))
  return command.action(async (id: string, options: NodeOptions & { for?: number }) => {
    const { dataDir, output } = contextOf(options)
    const body = options.for === undefined ? { allow } : { allow, forMs: options.for }
    const client = await connectToNode(dataDir)
    const answered = await client.post<ApprovalView>(`/mesh/approvals/${encodeURIComponent(id)}`, body)
    const what = plain(`${answered.capability} ${answered.tool}`)
    await output.out(output.json ? `${JSON.stringify(answered)}\n` : `${allow ? 'runs' : 'refused'}: ${what}\n`)
  })
}
