import { Help, type Command } from 'commander'
import { shortId } from '../../protocols/short-id.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { RouteAnswer } from '../http/route-routes.ts'
import type { ExplainedCandidate, PeerView, Understanding } from '../mesh-api.ts'
import { connectToNode, type NodeClient } from './client.ts'
import { EXIT, contextOf, usageError, withNodeOptions, type NodeOptions } from './command-line.ts'
import { confirmMeant } from './confirm-meant.ts'
import { meantText } from './meant-text.ts'
import { plain, table, type Colors } from './output.ts'
import { preferenceOf, withPreference, type PreferenceFlags } from './preference.ts'
import { createNaming, showMs, showWay } from './show-way.ts'

interface RouteFlags extends NodeOptions, PreferenceFlags {
  tool?: string
  explain?: boolean
  confirm?: boolean
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
        .argument('<target>', 'id, type or ID@NODE as of atmo call, or what is wanted, in words')
    )
      .option('--tool <name>', 'tool that the numbers are for (default: the first one)')
      .option('--explain', 'show every candidate, its numbers, and why it would be called or not')
      .option('--confirm', 'say that the first is what is meant by the words, so that the node learns it (meaning.learn)')
  )
    .addHelpText(
      'after',
      `
Examples:
  $ atmo route llm/chat
  $ atmo route llm/chat --tool complete --explain --prefer cheap
  $ atmo route "how warm is the living room" --explain

Numbers of --explain:
  eta    expected time until the answer is here: rtt, wait and work; guess: it has not run there yet
  cost   what battery, metered links and price add, if they do
  score  eta and cost: the lowest goes first
  rtt    the way there and back
  wait   how long it waits there behind other calls, if it does
  work   how long the tool runs there
  load   calls that run or wait there, of those that it runs at once
  heard  age of what it last said of its load`
    )
    .action(async (target: string, flags: RouteFlags) => {
      const { dataDir, output } = contextOf(flags)
      if (target.trim() === '') throw usageError('name a capability, or say what is wanted: atmo route llm/chat')
      const { notNode = [], ...preference } = preferenceOf(flags)
      const query = new URLSearchParams({ target: meantText(target) })
      for (const [key, value] of Object.entries({ tool: flags.tool, ...preference }))
        if (value !== undefined) query.set(key, String(value))
      for (const node of notNode) query.append('notNode', node)
      const client = await connectToNode(dataDir)
      const explanation = await client.get<RouteAnswer>(`/mesh/route?${query.toString()}`).catch(async (error: unknown) => {
        throw flags.explain === true ? await withUnderstanding(client, target, flags.tool, error) : error
      })
      const first = firstOf(explanation)
      if (flags.confirm === true && explanation.meaning !== undefined)
        await confirmMeant(client, target, explanation.meaning.matches[0]!.capability)
      if (first === undefined) process.exitCode = EXIT.failure
      if (output.json) return output.out(`${JSON.stringify(explanation)}\n`)
      // Those on the way need not be candidates.
      const { nodes: peers } = await client.get<{ nodes: PeerView[] }>('/mesh/nodes')
      const named = [...peers.map(({ peerId, name }) => ({ node: peerId, name })), ...namesIn(explanation)]
      const nameOf = createNaming(named)
      if (flags.explain === true) return output.out(showExplanation(explanation, nameOf, output.colors))
      if (first === undefined) throw nobody(explanation)
      return output.out(`${showFirst(explanation, first, nameOf, output.colors)}\n`)
    })
}

/** A line on who would be called, then the numbers of each candidate, and below them its way and the reason in words. */
export function showExplanation(
  explanation: RouteAnswer,
  nameOf: (node: string) => string,
  colors: Colors,
  width: number = process.stdout.columns ?? Infinity
): string {
  const { candidates } = explanation
  const first = firstOf(explanation)
  const summary =
    first === undefined ? `${plain(asked(explanation))} → ${colors.red('nobody')}` : showFirst(explanation, first, nameOf, colors)
  // Most cost nothing and make nobody wait: then these say nothing.
  const [hasCost, hasWait] = [candidates.some(({ costMs }) => costMs > 0), candidates.some(({ waitMs }) => waitMs! > 0)]
  const rows = candidates.map(({ place, node, etaMs, costMs, score, rttMs, waitMs, serviceMs, running, slots, heardMs }) => [
    { text: place === null ? '-' : String(place), style: place === 1 ? colors.green : String },
    { text: nameOf(node), style: colors.bold },
    showGuess(etaMs),
    ...(hasCost ? [showMs(costMs)] : []),
    showMs(score),
    showMs(rttMs),
    ...(hasWait ? [showGuess(waitMs)] : []),
    showGuess(serviceMs),
    `${Number(running.toFixed(1))}/${slots}`,
    heardMs === null ? 'never' : showMs(heardMs)
  ])
  const header = ['', 'node', 'eta', ...(hasCost ? ['cost'] : []), 'score', 'rtt', ...(hasWait ? ['wait'] : [])]
  const shown = table([...header, 'work', 'load', 'heard'], rows, colors, width, { cut: ['node'] })
  const [head = '', ...lines] = shown.trimEnd().split('\n')
  const severalIds = candidates.some(({ capability }) => capability !== candidates[0]?.capability)
  const severalTools = candidates.some(({ tool }) => tool !== candidates[0]?.tool)
  const help = new Help()
  const explained = candidates.flatMap((candidate, at) => {
    const id = `${candidate.capability}${severalTools ? ` ${candidate.tool}` : ''}`
    const words = wordsOn(candidate, severalIds ? [id] : [], nameOf, colors)
    return [
      lines[at],
      ...help
        .boxWrap(words, width - INDENT.length)
        .split('\n')
        .map((line) => INDENT + line)
    ]
  })
  return `${[summary, ...understoodBy(explanation, colors), '', head, ...explained].join('\n')}\n`
}

/** Words that mean nothing, or several things, are an error: what else `--explain` says of words goes with it. */
async function withUnderstanding(client: NodeClient, target: string, tool: string | undefined, error: unknown): Promise<unknown> {
  if (!isMeshError(error) || error.details['matches'] === undefined) return error
  const query = new URLSearchParams({ text: meantText(target), ...(tool !== undefined && { tool }) })
  const meaning = await client.get<Understanding>(`/mesh/meaning?${query.toString()}`)
  const details = { ...error.details, by: meaning.by, hint: understoodText(meaning) }
  return new MeshError(error.code, error.message, details, { cause: error })
}

function understoodBy({ meaning }: RouteAnswer, { dim }: Colors): string[] {
  return meaning === undefined ? [] : [dim(plain(understoodText(meaning)))]
}

/** By what words were understood, and why. */
function understoodText({ by: { path, reason }, matches }: Understanding): string {
  const written = matches.flatMap(({ capability, examplesBy }) => (examplesBy === 'model' ? [capability] : []))
  const from = written.length === 0 ? '' : `; the examples of ${written.join(' and ')} were written by a model`
  return `understood by ${path === 'both' ? 'words and vectors' : 'words alone'}: ${reason}${from}`
}

function firstOf({ candidates }: Pick<RouteAnswer, 'candidates'>): ExplainedCandidate | undefined {
  // One to whom no way is known is tried all the same, but a call cannot count on it.
  return candidates.find(({ place, why }) => place === 1 && why !== 'unreachable')
}

function namesIn({ candidates }: RouteAnswer): { node: string; name: string }[] {
  return candidates.map(({ node, nodeName }) => ({ node, name: nodeName }))
}

/** Of words, what they mean goes before. */
function showFirst(
  { meaning, candidates }: RouteAnswer,
  first: ExplainedCandidate,
  nameOf: (node: string) => string,
  colors: Colors
): string {
  const { capability, tool, nodeName, node, etaMs, avoided } = first
  const before = meaning === undefined ? '' : `${quoted(meaning)} means ${meantIn(candidates)}, ${likely(meaning.likelihood)}: `
  const way = `${showWay(first, nameOf)}${avoided ? ', avoided' : ''}`
  const time = etaMs === null ? 'not known yet how long it takes' : `done in about ${showMs(etaMs)}`
  return `${plain(`${before}${capability} ${tool}`)} → ${colors.bold(plain(nodeName))} ${colors.dim(plain(shortId(node)))}, ${way}, ${time}`
}

function meantIn(candidates: readonly ExplainedCandidate[]): string {
  return [...new Set(candidates.map(({ capability }) => capability))].join(' or ')
}

const likely = (likelihood: number): string => `${Math.round(likelihood * 100)} % sure`

/** What was asked for. */
function asked({ target, meaning, tool }: RouteAnswer): string {
  return meaning === undefined ? `${target} ${tool}` : `"${target}"`
}

/** Words, as far as the node says them again. */
function quoted({ text, characters }: NonNullable<RouteAnswer['meaning']>): string {
  return `"${text}${characters > text.length ? '…' : ''}"`
}

function showGuess(ms: number | null): string {
  return ms === null ? 'guess' : showMs(ms)
}

function wordsOn(
  candidate: ExplainedCandidate,
  ids: string[],
  nameOf: (node: string) => string,
  { dim, green, yellow }: Colors
): string {
  const { status, outstanding, reason, place, avoided } = candidate
  const facts = [
    ...ids,
    showWay(candidate, nameOf),
    ...(avoided ? ['avoided'] : []),
    ...(status === 'online' ? [] : [status]),
    ...(outstanding > 0 ? [`${outstanding} of our calls there`] : [])
  ]
  const style = place === 1 ? green : place === null ? yellow : String
  return `${dim(`${plain(facts.join(', '))}:`)} ${style(plain(reason))}`
}

function nobody(explanation: RouteAnswer): MeshError {
  const { candidates } = explanation
  const reasons = candidates.slice(0, MAX_REASONS).map(({ nodeName, reason }) => `${nodeName}: ${reason}`)
  if (candidates.length > reasons.length) reasons.push(`${candidates.length - reasons.length} more`)
  return new MeshError('unavailable', `nobody would be called for ${asked(explanation)} (${reasons.join('; ')})`, {
    hint: 'All of them, with their numbers: --explain'
  })
}
