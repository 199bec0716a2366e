import type { Command } from 'commander'
import type { ApprovalView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, parseDuration, withNodeOptions, type NodeOptions } from './command-line.ts'
import { spaced } from './join-nearby.ts'
import { plain, shortId, showDuration, table } from './output.ts'

/** `atmo approvals`, `atmo approve ID`, `atmo ignore ID`: calls and nodes nearby that wait for a yes. */
export function addApprovals(program: Command): void {
  withNodeOptions(program.command('approvals').description('list the calls and the nodes that wait for your yes')).action(
    async (options: NodeOptions) => {
      const { dataDir, output } = contextOf(options)
      const answer = await (await connectToNode(dataDir)).get<{ approvals: ApprovalView[] }>('/mesh/approvals')
      if (output.json) return output.out(`${JSON.stringify(answer)}\n`)
      if (answer.approvals.length === 0) return output.out('Nothing waits.\n')
      const { colors } = output
      const rows = answer.approvals.map((view) => [
        { text: view.id, style: colors.bold },
        subjectOf(view),
        whoAsks(view),
        showDuration(view.waitingMs),
        view.kind === 'call' ? JSON.stringify(view.input) : `shows ${spaced(view.code)}`
      ])
      await output.out(table(['id', 'what', 'who', 'waits', 'with'], rows, colors))
      if (answer.approvals.some(({ kind }) => kind === 'join'))
        await output.err(output.errorColors.dim('Let a node in only if its screen shows the same digits.\n'))
    }
  )
  addAnswer(program, 'approve', true, 'let a call run, or a node in, that waits for your yes').option(
    '--for <duration>',
    'let the same node call the same tool for this time without asking, up to 24h',
    parseDuration
  )
  addAnswer(program, 'ignore', false, 'refuse what waits for your yes')
}

function addAnswer(program: Command, name: string, allow: boolean, about: string): Command {
  const command = withNodeOptions(program.command(name).description(about).argument('<id>', 'as in atmo approvals'))
  return command.action(async (id: string, options: NodeOptions & { for?: number }) => {
    const { dataDir, output } = contextOf(options)
    const body = options.for === undefined ? { allow } : { allow, forMs: options.for }
    const client = await connectToNode(dataDir)
    const answered = await client.post<ApprovalView>(`/mesh/approvals/${encodeURIComponent(id)}`, body)
    const yes = answered.kind === 'join' ? 'let in' : 'runs'
    await output.out(output.json ? `${JSON.stringify(answered)}\n` : `${allow ? yes : 'refused'}: ${subjectOf(answered)}\n`)
  })
}

function whoAsks(view: ApprovalView): string {
  if (view.kind === 'join') return shortId(view.caller)
  const { callerName, caller, callerRole, mesh } = view
  return `${callerName} ${shortId(caller)}, ${mesh === undefined ? callerRole : `of ${mesh}`}`
}

function subjectOf(view: ApprovalView): string {
  return plain(view.kind === 'call' ? `${view.capability} ${view.tool}` : `"${view.name}" joins as ${view.role}`)
}
