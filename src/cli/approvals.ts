import type { Command } from 'commander'
import { shortId } from '../../protocols/short-id.ts'
import type { ApprovalView, CallApproval } from '../mesh-api.ts'
import { connectToNode, type NodeClient } from './client.ts'
import { contextOf, parseDuration, withNodeOptions, type CommandContext, type NodeOptions } from './command-line.ts'
import { spaced } from './join-nearby.ts'
import { readPeerNames } from './peer-names.ts'
import { plain, showBytes, showDuration, table, visibleJson } from './output.ts'

/** Longest input that the table shows, in characters: a longer one says how long it is first, which no narrow terminal cuts off. */
const MAX_CELL = 40

/** `atmo approvals [ID]`, `atmo approve ID`, `atmo ignore ID`: calls and nodes nearby that wait for a yes. */
export function addApprovals(program: Command): void {
  withNodeOptions(
    program
      .command('approvals')
      .description('list the calls and the nodes that wait for your yes, or show one with its whole input')
      .argument('[id]', 'as in the list')
  ).action(async (id: string | undefined, options: NodeOptions) => {
    const context = contextOf(options)
    const client = await connectToNode(context.dataDir)
    await (id === undefined ? list(client, context) : showOne(client, context, id))
  })
  addAnswer(program, 'approve', true, 'let a call run, or a node in, that waits for your yes').option(
    '--for <duration>',
    'let the same node call the same tool for this time without asking, up to 24h',
    parseDuration
  )
  addAnswer(program, 'ignore', false, 'refuse what waits for your yes')
}

async function list(client: NodeClient, { output }: CommandContext): Promise<void> {
  const answer = await client.get<{ approvals: ApprovalView[] }>('/mesh/approvals')
  const { approvals } = answer
  if (output.json) return output.out(`${JSON.stringify(answer)}\n`)
  if (approvals.length === 0) return output.out('Nothing waits.\n')
  const { colors, errorColors } = output
  const { nameOf } = await readPeerNames(client)
  const rows = approvals.map((view) => [
    { text: view.id, style: colors.bold },
    subjectOf(view),
    `${whoAsks(view)}${onBehalfOf(view, nameOf)}`,
    showDuration(view.waitingMs),
    view.kind === 'call' ? beginningOf(view) : `shows ${spaced(view.code)}`
  ])
  await output.out(table(['id', 'what', 'who', 'waits', 'with'], rows, colors))
  if (approvals.some(({ kind }) => kind === 'call'))
    await output.err(errorColors.dim('All of an input, also where it is cut here: atmo approvals ID\n'))
  if (approvals.some(({ kind }) => kind === 'join'))
    await output.err(errorColors.dim('Let a node in only if its screen shows the same digits.\n'))
}

/** The beginning of an input, and before that how much it is if that is not all. */
function beginningOf({ input, inputCut, inputBytes }: CallApproval): string {
  const text = inputCut === true && typeof input === 'string' ? input : visibleJson(input)
  return inputCut === true || text.length > MAX_CELL ? `CUT, ${showBytes(inputBytes)}: ${text.slice(0, MAX_CELL)}…` : text
}

async function showOne(client: NodeClient, { output }: CommandContext, id: string): Promise<void> {
  const view = await client.get<ApprovalView>(`/mesh/approvals/${encodeURIComponent(id)}`)
  if (output.json) return output.out(`${JSON.stringify(view)}\n`)
  const { bold, dim } = output.colors
  const lines = [`${bold(subjectOf(view))}  ${plain(whoAsks(view))}`, `  peer ${plain(view.caller)}`]
  if (view.kind === 'join') lines.push(`  shows ${spaced(view.code)}`)
  else {
    if (view.causes !== undefined) lines.push(`  on behalf of ${plain(view.causes.join(', '))}`)
    lines.push(dim(`  input: ${showBytes(view.inputBytes)}, SHA-256 ${plain(view.inputSha256)}`), visibleJson(view.input, 2))
  }
  await output.out(`${lines.join('\n')}\n`)
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
  const { callerName, caller, callerRole, mesh, agent } = view
  if (agent !== undefined) return `agent ${agent} of this node`
  return `${callerName} ${shortId(caller)}, ${mesh === undefined ? callerRole : `of ${mesh}`}`
}

/** Who began what the caller asks for, if it is not the caller. */
function onBehalfOf(view: ApprovalView, nameOf: (node: string) => string): string {
  const first = view.kind === 'call' ? view.causes?.[0] : undefined
  return first === undefined || first === view.caller ? '' : ` for ${nameOf(first)}`
}

function subjectOf(view: ApprovalView): string {
  return plain(view.kind === 'call' ? `${view.capability} ${view.tool}` : `"${view.name}" joins as ${view.role}`)
}
