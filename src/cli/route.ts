import { Help, type Command } from 'commander'
import { MeshError } from '../errors.ts'
import type { ExplainedCandidate, Explanation, PeerView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { EXIT, contextOf, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, shortId, table, type Colors } from './output.ts'
import { preferenceOf, withPreference, type PreferenceFlags } from './preference.ts'
import { createNaming, showMs, showWay } from './show-way.ts'

interface RouteFlags extends NodeOptions, PreferenceFlags {
  tool?: string
  explain?: boolean
}

/** Candidates that an error names. */
const MAX_REASONS = 3
/** Before the words on a candidate: below its name. */
const INDENT = '   '

/** `atmo route TARGET`: who would be called, and with `--explain` why. Nothing is called. Exit code 1 if it would be nobody. */
export function addRoute(program: Command): void {
  withPreference(
    withNodeOptions(
      program
        .command('route')
        .description('say where a call would go, and why; nothing is called')
        .argument('<target>', 'id, type or ID@NODE as of atmo call, or words that the capability mentions')
    )
      .option('--tool <name>', 'tool that the numbers are for (default: the first one)')
      .option('--explain', 'show every candidate, its numbers, and why it would be called or not')
  )
    .addHelpText(
      'after',
      `
Examples:
  $ atmo route llm/chat
  $ atmo route llm/chat --tool complete --explain --prefer cheap
  $ atmo route "living room temperature" --explain

Numbers of --explain:
  eta    expected time until the answer is here
  score  eta, and what battery, metered links and price add: the lowest goes first
  rtt    the way there and back
  work   how long the tool runs there
  load   calls that run or wait there, of those that it runs at once
  heard  age of what it last said of its load`
    )
    .action(async (target: string, flags: RouteFlags) => {
      const { dataDir, output } = contextOf(flags)
      if (target.trim() === '') throw usageError('name a capability, or words that it mentions: atmo route llm/chat')
      const { notNode = [], ...preference } = preferenceOf(flags)
      const query = new URLSearchParams({ target })
      for (const [key, value] of Object.entries({ tool: flags.tool, ...preference }))
        if (value !== undefined) query.set(key, String(value))
      for (const node of notNode) query.append('notNode', node)
      const client = await connectToNode(dataDir)
      const explanation = await client.get<Explanation>(`/mesh/route?${query.toString()}`)
      const first = firstOf(explanation)
      if (first === undefined) process.exitCode = EXIT.failure
      if (output.json) return output.out(`${JSON.stringify(explanation)}\n`)
      // Those on the way need not be candidates.
      const { peers } = await client.get<{ peers: PeerView[] }>('/mesh/peers')
      const named = [...peers.map(({ peerId, name }) => ({ node: peerId, name })), ...namesIn(explanation)]
      const nameOf = createNaming(named)
      if (flags.explain === true) return output.out(showExplanation(explanation, nameOf, output.colors))
      if (first === undefined) throw nobody(explanation)
      return output.out(`${showFirst(explanation.tool, first, nameOf, output.colors)}\n`)
    })
}

/** A line on who would be called, then the numbers of each candidate, and below them its way and the reason in words. */
export function showExplanation(
  { target, tool, candidates }: Explanation,
  nameOf: (node: string) => string,
  colors: Colors,
  width: number = process.stdout.columns ?? Infinity
): string {
  const first = firstOf({ candidates })
  const summary =
    first === undefined ? `${plain(`${target} ${tool}`)} → ${colors.red('nobody')}` : showFirst(tool, first, nameOf, colors)
  const rows = candidates.map(({ place, node, etaMs, score, rttMs, serviceMs, running, slots, heardMs }) => [
    { text: place === null ? '-' : String(place), style: place === 1 ? colors.green : String },
    { text: nameOf(node), style: colors.bold },
    showMs(etaMs),
    showMs(score),
    showMs(rttMs),
    showMs(serviceMs),
    `${Number(running.toFixed(1))}/${slots}`,
    heardMs === null ? 'never' : showMs(heardMs)
  ])
  const header = ['', 'node', 'eta', 'score', 'rtt', 'work', 'load', 'heard']
  const [head = '', ...lines] = table(header, rows, colors, width).trimEnd().split('\n')
  const severalIds = candidates.some(({ capability }) => capability !== candidates[0]?.capability)
  const help = new Help()
  const explained = candidates.flatMap((candidate, at) => {
    const words = wordsOn(candidate, severalIds, nameOf, colors)
    return [
      lines[at],
      ...help
        .boxWrap(words, width - INDENT.length)
        .split('\n')
        .map((line) => INDENT + line)
    ]
  })
  return `${[summary, '', head, ...explained].join('\n')}\n`
}

function firstOf({ candidates }: Pick<Explanation, 'candidates'>): ExplainedCandidate | undefined {
  return candidates.find(({ place }) => place === 1)
}

function namesIn({ candidates }: Explanation): { node: string; name: string }[] {
  return candidates.map(({ node, nodeName }) => ({ node, name: nodeName }))
}

function showFirst(tool: string, first: ExplainedCandidate, nameOf: (node: string) => string, colors: Colors): string {
  const { capability, nodeName, node, etaMs } = first
  return `${plain(`${capability} ${tool}`)} → ${colors.bold(plain(nodeName))} ${colors.dim(plain(shortId(node)))}, ${showWay(first, nameOf)}, done in about ${showMs(etaMs)}`
}

function wordsOn(
  candidate: ExplainedCandidate,
  withId: boolean,
  nameOf: (node: string) => string,
  { dim, green, yellow }: Colors
): string {
  const { capability, status, outstanding, reason, place } = candidate
  const facts = [
    ...(withId ? [capability] : []),
    showWay(candidate, nameOf),
    ...(status === 'online' ? [] : [status]),
    ...(outstanding > 0 ? [`${outstanding} of our calls there`] : [])
  ]
  const style = place === 1 ? green : place === null ? yellow : String
  return `${dim(`${plain(facts.join(', '))}:`)} ${style(plain(reason))}`
}

function nobody({ target, tool, candidates }: Explanation): MeshError {
  const reasons = candidates.slice(0, MAX_REASONS).map(({ nodeName, reason }) => `${nodeName}: ${reason}`)
  if (candidates.length > reasons.length) reasons.push(`${candidates.length - reasons.length} more`)
  return new MeshError('unavailable', `nobody would be called for ${target} ${tool} (${reasons.join('; ')})`, {
    hint: 'All of them, with their numbers: --explain'
  })
}
