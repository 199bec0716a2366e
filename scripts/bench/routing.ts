/** Routing by meaning over a set of capabilities and requests: how often the right one is found, how well it says that there is none, and what it costs. Beside MiniSearch, a search library. */
import { readFileSync } from 'node:fs'
import MiniSearch from 'minisearch'
import { buildLexicalIndex, type LexicalIndex, type MeaningItem } from '../../src/core/meaning/lexical-index.ts'
import { createRandom } from '../simulate/random.ts'
import { VECTOR_OPTIONS, measureVectors } from './routing-vectors.ts'
import { quantile, round } from './statistics.ts'
import type { Suite, SuiteContext } from './suite.ts'

/** What a file of `--dataset` holds. */
interface Dataset {
  source?: string
  split?: string
  capabilities: { id: string; type: string; description: string; examples?: string[] }[]
  /** `expect`: the id of a capability, or null where none fits. */
  queries: { text: string; expect: string | null }[]
}

/** Shares from 0 to 1, times in ms. */
export interface RoutingFigures {
  /** Shares of the requests that something fits, where that is first, among the first three, among the first five; whether it would have been answered or not. */
  top1: number
  top3: number
  top5: number
  /** Share of the requests that nothing fits, that are answered with nothing. Null if there are none. */
  abstainRecall: number | null
  /** Share of the requests that something fits, that are answered with nothing all the same. */
  falseReject: number
  p50Ms: number
  p99Ms: number
}

/** What finds: keys, the best first. `isNone`: the answer is that nothing fits. */
export type Finder = (text: string) => { keys: string[]; isNone: boolean }

const LIMIT = 5
const SEED = 1

/** See the head of this file. */
export const routing: Suite = {
  name: 'routing',
  about:
    'routing by meaning: --dataset FILE [--capabilities N: grown to so many by mixing words of the file] ' +
    '[--vectors lsa, or with vectors of --embeddings URL [--model NAME] or --transformers FOLDER]',
  entries: [],
  options: ['dataset', 'capabilities', ...VECTOR_OPTIONS],
  async run(context) {
    const { data, name } = readDataset(context)
    const wanted = Number(context.option('capabilities') ?? data.capabilities.length)
    const items = grown(data.capabilities.map(itemOf), wanted)
    context.log(`${name}: ${items.length} capabilities, ${data.queries.length} requests`)
    const [index, buildMs] = timed(() => build(items))
    const ours = measure(data, finderOf(index))
    const [rival, rivalBuildMs] = timed(() => miniSearch(items))
    const theirs = measure(data, rival)
    const ratios = { top1: round(ours.top1 / theirs.top1, 2), p50: round(ours.p50Ms / theirs.p50Ms, 2) }
    const results = {
      dataset: { source: data.source, split: data.split, capabilities: items.length, queries: data.queries.length },
      ...ours,
      buildMs: round(buildMs, 0),
      miniSearch: { ...theirs, abstainRecall: null, falseReject: null, buildMs: round(rivalBuildMs, 0) },
      ratios
    }
    const table = tableOf(ours, theirs, buildMs, rivalBuildMs, ratios)
    const vectors = await measureVectors(context, items, data.queries, (find) => measure(data, find))
    return vectors === undefined
      ? { results, table }
      : { results: { ...results, vectors: vectors.results }, table: `${table}\n\n${vectors.table}` }
  }
}

function readDataset({ option }: SuiteContext): { data: Dataset; name: string } {
  const name = option('dataset')
  if (name === undefined)
    throw new Error(
      'routing needs --dataset FILE: { capabilities: [{ id, type, description, examples? }], queries: [{ text, expect }] }'
    )
  const data = JSON.parse(readFileSync(name, 'utf8')) as Partial<Dataset>
  if (!Array.isArray(data.capabilities) || !Array.isArray(data.queries) || data.capabilities.length === 0)
    throw new Error(`${name} has no capabilities and queries`)
  return { data: data as Dataset, name }
}

const itemOf = ({ id, type, description, examples = [] }: Dataset['capabilities'][number]): MeaningItem => ({
  key: id,
  description: `${id} ${type} ${description}`,
  examples
})

/** More of the same kind: descriptions and examples of words that are in the file, in other company. */
function grown(items: MeaningItem[], count: number): MeaningItem[] {
  const random = createRandom(SEED)
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!
  const words = items.flatMap(({ description, examples }) => [description, ...examples]).flatMap((text) => text.split(/\s+/))
  const sentence = (): string => Array.from({ length: 10 }, () => pick(words)).join(' ')
  const more = Array.from({ length: Math.max(0, count - items.length) }, (_, n) => ({
    key: `mixed-${n}`,
    description: sentence(),
    examples: pick(items).examples.slice(0, 5).map(sentence)
  }))
  return [...items, ...more]
}

function build(items: MeaningItem[]): LexicalIndex {
  const work = buildLexicalIndex(items, createRandom(SEED))
  let step = work.next()
  while (step.done !== true) step = work.next()
  return step.value
}

const finderOf =
  (index: LexicalIndex): Finder =>
  (text) => {
    const { matches } = index.find(text, LIMIT)
    return { keys: matches.map(({ key }) => key), isNone: !(matches[0] !== undefined && matches[0].score >= 1) }
  }

/** The same texts in fields of their own, with what its manual recommends for search by people: prefixes and typing errors. It has no way to say that nothing fits. */
function miniSearch(items: MeaningItem[]): Finder {
  const search = new MiniSearch<{ id: string; description: string; examples: string }>({ fields: ['description', 'examples'] })
  search.addAll(items.map(({ key, description, examples }) => ({ id: key, description, examples: examples.join('\n') })))
  return (text) => {
    const found = search.search(text, { prefix: true, fuzzy: 0.2 }).slice(0, LIMIT)
    return { keys: found.map(({ id }) => String(id)), isNone: found.length === 0 }
  }
}

function measure({ queries }: Dataset, find: Finder): RoutingFigures {
  const times: number[] = []
  const ranks: number[] = []
  let [rejected, unanswerable, abstained] = [0, 0, 0]
  for (const { text, expect } of queries) {
    const [{ keys, isNone }, ms] = timed(() => find(text))
    times.push(ms)
    if (expect === null) {
      unanswerable++
      if (isNone) abstained++
      continue
    }
    ranks.push(keys.indexOf(expect))
    if (isNone) rejected++
  }
  const within = (places: number): number => round(ranks.filter((rank) => rank !== -1 && rank < places).length / ranks.length, 4)
  return {
    top1: within(1),
    top3: within(3),
    top5: within(5),
    abstainRecall: unanswerable === 0 ? null : round(abstained / unanswerable, 4),
    falseReject: round(rejected / ranks.length, 4),
    p50Ms: round(quantile(times, 0.5)),
    p99Ms: round(quantile(times, 0.99))
  }
}

function timed<T>(work: () => T): [T, number] {
  const from = performance.now()
  const result = work()
  return [result, performance.now() - from]
}

function tableOf(
  ours: RoutingFigures,
  theirs: RoutingFigures,
  buildMs: number,
  rivalBuildMs: number,
  ratios: { top1: number; p50: number }
): string {
  const percent = (share: number | null): string => (share === null ? '-' : `${(share * 100).toFixed(1)} %`)
  const row = (name: string, a: string, b: string): string => `${name.padEnd(28)}${a.padStart(12)}${b.padStart(14)}`
  return [
    row('', 'Atmosphere', 'MiniSearch'),
    ...(['top1', 'top3', 'top5'] as const).map((key) => row(key, percent(ours[key]), percent(theirs[key]))),
    row('nothing fits, and it says so', percent(ours.abstainRecall), '-'),
    row('something fits, it says none', percent(ours.falseReject), '-'),
    row('p50', `${ours.p50Ms} ms`, `${theirs.p50Ms} ms`),
    row('p99', `${ours.p99Ms} ms`, `${theirs.p99Ms} ms`),
    row('build', `${buildMs.toFixed(0)} ms`, `${rivalBuildMs.toFixed(0)} ms`),
    `top1 ${ratios.top1} times, p50 ${ratios.p50} times that of MiniSearch`
  ].join('\n')
}
