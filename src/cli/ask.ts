import { text as readAll } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { AgentStep } from '../agents/intent.ts'
import type { CallLine } from '../http/call-routes.ts'
import { MeshError, isErrorCode } from '../errors.ts'
import type { Understanding } from '../mesh-api.ts'
import { passOn } from './call.ts'
import { connectToNode, type NodeClient, type StreamRequest } from './client.ts'
import { confirming } from './confirm-meant.ts'
import { EXIT, contextOf, interruptSignal, parseDuration, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { meantText } from './meant-text.ts'
import { plain, showDuration, showJson, type Colors, type Output } from './output.ts'
import { withNames } from './peer-names.ts'

const MAX_LINE = 160
interface AskFlags extends NodeOptions {
  timeout?: number
  confirm?: boolean
}

/** The tool of agents that takes words. */
const ASK_TOOL = 'ask'

/** `atmo ask [AGENT] "…"`. Without an agent: the one that is meant by what is asked. Its steps as it does them on stderr, its answer on stdout. Exit code 0 if it has one, else 1. Ctrl-C ends its work. */
export function addAsk(program: Command): void {
  withNodeOptions(
    program
      .command('ask')
      .description('ask an agent to do something, wherever it is')
      .argument('<agent>', 'id or type; ID@NODE for the one of a certain node; left out: the one that the text is meant for')
      .argument('[text]', 'what it is to do; - reads stdin')
  )
    .option(
      '--timeout <duration>',
      'time for it: 500ms, 30s, 5m; a bare number is seconds. Default: as its limits say',
      parseDuration
    )
    .option('--confirm', 'say that the agent is the one that is meant, so that the node learns it (meaning.learn)')
    .addHelpText(
      'after',
      `
Examples:
  $ atmo ask "Is it warm enough in the bath?"
  $ atmo ask keeper "Is it warm enough in the bath?"
  $ atmo ask keeper@attic - < task.txt`
    )
    .action(async (first: string, second: string | undefined, flags: AskFlags) => {
      const { dataDir, output } = contextOf(flags)
      const given = second ?? first
      const text = given === '-' ? await readAll(process.stdin) : given
      if (text.trim() === '') throw usageError('say what the agent is to do')
      const client = await connectToNode(dataDir)
      // Who names an agent is not asked whether it was meant.
      const confirmed = await confirming(client, flags.confirm === true, output.json || second !== undefined)
      const agent = second === undefined ? await meantAgent(client, text) : first
      const { signal, off } = interruptSignal()
      try {
        const path = `/capabilities/${encodeURIComponent(agent)}/tools/${ASK_TOOL}`
        const request: StreamRequest = { method: 'POST', path, body: { input: { text }, timeoutMs: flags.timeout }, signal }
        await (output.json ? passOn(client, request, output) : show(client, request, output))
        if (process.exitCode !== EXIT.failure) await confirmed.done(text, agent)
      } finally {
        off()
      }
    })
}

/** The agent that the text is meant for. @throws MeshError `unknown_capability` or `ambiguous`, naming who is near. */
async function meantAgent(client: NodeClient, text: string): Promise<string> {
  const query = new URLSearchParams({ text: meantText(text), tool: ASK_TOOL })
  const { outcome, matches } = await client.get<Understanding>(`/mesh/meaning?${query.toString()}`)
  const names = matches.map(({ capability }) => capability)
  const [nearest] = names
  if (nearest !== undefined && outcome === 'one') return nearest
  const [code, message] =
    nearest === undefined
      ? (['unknown_capability', 'there is no agent in the mesh that this is meant for; see atmo agents'] as const)
      : outcome === 'none'
        ? (['unknown_capability', `no agent says that it does this; the nearest is ${nearest}`] as const)
        : (['ambiguous', `this may be meant for ${names.join(' or ')}`] as const)
  throw new MeshError(code, message, { matches, hint: `Name one: atmo ask ${nearest ?? 'AGENT'} "…"` })
}

async function show(client: NodeClient, request: StreamRequest, output: Output): Promise<void> {
  const { errorColors: colors } = output
  try {
    for await (const json of client.lines(request)) {
      const line = JSON.parse(json) as CallLine
      if (!('status' in line)) {
        if (line.kind === 'json') await output.err(stepText(line.value as unknown as AgentStep, colors))
        continue
      }
      if (line.status === 'error') {
        const { code, message, details } = line.error
        throw new MeshError(isErrorCode(code) ? code : 'internal', message, details)
      }
      await output.out(`${answerText(line.result)}\n`)
      return await output.err(
        `${colors.green('✓')} ${colors.dim(`${plain(line.providerName)}, ${showDuration(line.durationMs)}`)}\n`
      )
    }
  } catch (error) {
    throw await withNames(client, error)
  }
  throw new MeshError('unavailable', 'the node went away before the agent had an answer')
}

/** A declared agent answers in words; what one of code gives back may be anything. */
function answerText(result: unknown): string {
  const text = typeof result === 'object' && result !== null && 'text' in result ? result.text : result
  return showJson(typeof text === 'string' ? text : result)
}

/** One step, in one line. */
function stepText(step: AgentStep, colors: Colors): string {
  const short = (text: string): string => {
    const line = plain(text.replaceAll(/\s+/g, ' ').trim())
    return line.length > MAX_LINE ? `${line.slice(0, MAX_LINE - 1)}…` : line
  }
  switch (step.step) {
    case 'model':
      // Its last words are the answer, which is printed as such.
      return step.text === '' || step.calls === 0 ? '' : `${colors.dim(`· ${short(step.text)}`)}\n`
    case 'call':
      return `${colors.cyan('→')} ${step.target === '' ? short(step.name) : short(`${step.target} ${step.tool}`)} ${colors.dim(short(step.input))}\n`
    case 'result':
      return step.code === undefined
        ? `${colors.green('←')} ${colors.dim(showDuration(step.durationMs))}\n`
        : `${colors.red('←')} ${short(step.code)}: ${short(step.message ?? '')}\n`
    case 'fire':
      return `${colors.yellow('!')} ${short(step.event)}\n`
    case 'note':
      return `${colors.dim(`· ${short(step.text)}`)}\n`
    default:
      // Of a newer node.
      return ''
  }
}
