import type { Command } from 'commander'
import type { AgentAnswer, AgentTaskAnswer, AgentsAnswer } from '../http/agent-routes.ts'
import type { AgentView } from '../agents/agent-views.ts'
import { connectToNode, type NodeClient } from './client.ts'
import { contextOf, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, plainText, showDuration, table, visibleJson, type Cell, type Colors, type Output } from './output.ts'

interface AgentFlags extends NodeOptions {
  suspend?: boolean
  resume?: boolean
  end?: boolean
  reason?: string
}

/** `atmo agents [AGENT [TASK]]`: the agents of this node and of others, what one did last, and its transcript; and their states. */
export function addAgents(program: Command): void {
  withNodeOptions(
    program
      .command('agents')
      .description('list agents, show what one of this node did, or suspend, resume or end it')
      .argument('[agent]', 'one of this node: its last tasks')
      .argument('[task]', 'one of these, with its transcript')
  )
    .option('--suspend', 'the agent takes nothing, and events that it works on go back to their source')
    .option('--resume', 'it goes on; one that has ended begins anew')
    .option('--end', 'it has nothing to do any more, and forgets everything')
    .option('--reason <text>', 'with --suspend or --end: why, for people')
    .action(async (agent: string | undefined, task: string | undefined, flags: AgentFlags) => {
      const state = stateOf(flags)
      if (state !== undefined && (agent === undefined || task !== undefined)) throw usageError('name one agent, and no task')
      const { dataDir, output } = contextOf(flags)
      const client = await connectToNode(dataDir)
      const path = `/mesh/agents${agent === undefined ? '' : `/${encodeURIComponent(agent)}`}`
      if (state !== undefined) return change(client, path, { state, reason: flags.reason }, output)
      if (agent === undefined) return list(client, path, output)
      return task === undefined
        ? showOne(client, path, output)
        : showTask(client, `${path}/tasks/${encodeURIComponent(task)}`, output)
    })
}

function stateOf({ suspend, resume, end, reason }: AgentFlags): string | undefined {
  const asked = [suspend && 'suspended', resume && 'running', end && 'ended'].filter((one) => typeof one === 'string')
  if (asked.length > 1) throw usageError('--suspend, --resume and --end exclude each other')
  if (reason !== undefined && (asked.length === 0 || resume === true)) throw usageError('--reason goes with --suspend or --end')
  return asked[0]
}

async function change(client: NodeClient, path: string, body: object, output: Output): Promise<void> {
  const view = await client.post<AgentView>(path, body)
  if (output.json) return output.out(`${JSON.stringify(view)}\n`)
  await output.out(`${plain(view.id)} is ${view.state} now.\n`)
}

async function list(client: NodeClient, path: string, { json, colors, out }: Output): Promise<void> {
  const answer = await client.get<AgentsAnswer>(path)
  if (json) return out(`${JSON.stringify(answer)}\n`)
  const { agents, elsewhere } = answer
  if (agents.length + elsewhere.length === 0) return out('No agents are known.\n')
  const own = agents.map((agent): Cell[] => {
    const { id, type, state, reason, running, waiting, done, failed } = agent
    const work = `${running} at work, ${waiting} waiting, ${done} done, ${failed} failed`
    const text = `${state}${reason === undefined ? '' : `: ${reason}`}`
    return [{ text: id, style: colors.bold }, type, 'here', { text, style: styleOf(agent, colors) }, work]
  })
  const others = elsewhere.map((agent): Cell[] => {
    const { ref, type, nodeName, status, description = '' } = agent
    return [{ text: ref, style: colors.bold }, type, nodeName, status, description]
  })
  await out(table(['agent', 'type', 'node', 'state', 'work'], [...own, ...others], colors))
}

function styleOf({ state, reason }: AgentView, colors: Colors): (text: string) => string {
  return state === 'running' && reason === undefined ? colors.green : state === 'ended' ? colors.dim : colors.yellow
}

async function showOne(client: NodeClient, path: string, { json, colors, out }: Output): Promise<void> {
  const answer = await client.get<AgentAnswer>(path)
  if (json) return out(`${JSON.stringify(answer)}\n`)
  const { agent, tasks } = answer
  const { steps, timeMs, tokens, toolCalls, depth } = agent.limits
  const lines = [
    `${colors.bold(plain(agent.id))}  ${plain(agent.type)}  ${styleOf(agent, colors)(agent.state)}${agent.reason ? ` ${plain(agent.reason)}` : ''}`,
    ...(agent.description === '' ? [] : [`  ${plain(agent.description)}`]),
    colors.dim(`  up to ${steps} steps, ${showDuration(timeMs)}, ${tokens} tokens, ${toolCalls} calls, depth ${depth}`)
  ]
  await out(`${lines.join('\n')}\n`)
  if (tasks.length === 0) return
  const rows = tasks.map(({ id, kind, state, used, error, text }): Cell[] => {
    const how = `${used.steps} steps, ${used.toolCalls} calls, ${used.tokens} tokens, ${showDuration(used.timeMs)}`
    const what = error === undefined ? text : `${error.code}: ${error.message}`
    return [{ text: id, style: colors.bold }, kind, { text: state, style: state === 'failed' ? colors.red : String }, how, what]
  })
  await out(`\n${table(['task', 'kind', 'state', 'used', 'what'], rows, colors)}`)
}

async function showTask(client: NodeClient, path: string, { json, colors, out }: Output): Promise<void> {
  const task = await client.get<AgentTaskAnswer>(path)
  if (json) return out(`${JSON.stringify(task)}\n`)
  const { conversation, steps, result, error } = task
  const lines = (conversation?.messages ?? []).flatMap((message) => {
    const calls = message.role === 'assistant' ? (message.tool_calls ?? []) : []
    return [
      colors.cyan(message.role),
      ...(message.content === null ? [] : [plainText(message.content)]),
      ...calls.map((call) => plainText(`→ ${call.function.name} ${call.function.arguments}`))
    ]
  })
  // An agent of code has no conversation, but what it has noted.
  if (conversation === undefined) lines.push(...steps.map((step) => visibleJson(step)))
  if (error !== undefined) lines.push(colors.red(`${error.code}: ${plain(error.message)}`))
  else if (result !== undefined) lines.push(colors.green('result'), visibleJson(result, 2))
  await out(`${lines.join('\n')}\n`)
}
