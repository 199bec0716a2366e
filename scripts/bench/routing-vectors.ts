/**
 * Vectors beside words in the benchmark of routing by meaning: by words alone, by vectors alone, and by both, in each form that vectors are kept in, of the same vectors.
 * They come from an endpoint of embeddings, from a model of `@huggingface/transformers`, or from latent semantic analysis of what the capabilities say: no model of
 * today, but real vectors, learned of nothing that is asked.
 */
import { FUSED_DEPTH } from '../../src/core/meaning/dense-calibration.ts'
import { buildDenseIndex } from '../../src/core/meaning/dense-index.ts'
import { bySpace, vectorOfItem } from '../../src/core/meaning/dense-item.ts'
import { MAX_EMBED_BATCH, checkEmbedded, type Embedded, type Embedder } from '../../src/core/meaning/embedder.ts'
import { buildLexicalIndex, type MeaningItem, type MeaningMatch } from '../../src/core/meaning/lexical-index.ts'
import { VECTOR_FORMS, createVectorTable, type VectorForm, type VectorTable } from '../../src/core/meaning/vector-table.ts'
import { normalised } from '../../src/core/meaning/vectors.ts'
import { createTransformersEmbedder } from '../../src/node-transformers.ts'
import { learnWordVectors, vectorOfText } from '../embeddings/lsa.ts'
import { installedTransformers } from '../embeddings/transformers.ts'
import { createRandom } from '../simulate/random.ts'
import type { Finder, RoutingFigures } from './routing.ts'
import { round } from './statistics.ts'
import type { SuiteContext } from './suite.ts'

/** Options of the suite that are about vectors. */
export const VECTOR_OPTIONS = ['vectors', 'embeddings', 'model', 'transformers']
/** Numbers of a vector of latent semantic analysis. */
const WIDTH = 256
const EMBED_MS = 60_000
const LIMIT = 5
const SEED = 1

interface FormFigures {
  form: VectorForm
  /** The nearest vector, without words: `top1`, `top3`, `top5`, `p50Ms`. */
  alone: RoutingFigures
  /** With words, as a node does it; times are without those of making the vector of the request. */
  both: RoutingFigures
  /** Part of vectors where there are examples, as learned; 0: words alone answer. */
  share: number
  bytes: number
  buildMs: number
}

/** Undefined if no vectors are asked for. @param measure figures of a finder. */
export async function measureVectors(
  context: SuiteContext,
  items: readonly MeaningItem[],
  queries: readonly { text: string }[],
  measure: (find: Finder) => RoutingFigures
): Promise<{ results: object; table: string } | undefined> {
  const embedder = embedderOf(context, items)
  if (embedder === undefined) return undefined
  const texts = [
    ...new Set([...items.flatMap(({ description, examples }) => [description, ...examples]), ...queries.map(({ text }) => text)])
  ]
  context.log(`vectors of ${texts.length} texts, from ${embedder.name}`)
  const vectors = await embedAll(embedder, texts)
  const words = finished(buildLexicalIndex(items, createRandom(SEED), FUSED_DEPTH))
  const vectorOf = (text: string): Embedded => vectors.get(text)!
  const [[, own = []] = []] = finished(bySpace(items, vectorOf))
  const keys = own.map(({ key }) => key)
  const averages = own.map((item) => vectorOfItem(item))
  const byWords = measure((text) => keysOf(words.find(text, LIMIT).matches))
  const forms: FormFigures[] = VECTOR_FORMS.map((form) => {
    const table = createVectorTable(averages, form)
    const from = performance.now()
    const index = finished(buildDenseIndex({ items, vectorOf, form, heldOut: words.heldOut }))
    const buildMs = round(performance.now() - from, 0)
    const share = index.share(vectorOf(texts[0]!))
    const byBoth = (text: string): MeaningMatch[] =>
      share === 0
        ? words.find(text, LIMIT).matches
        : index.find(vectorOf(text), words.find(text, FUSED_DEPTH).matches, LIMIT).matches
    return {
      form,
      buildMs,
      bytes: index.bytes,
      alone: measure(nearestOf(table, keys, vectorOf)),
      share,
      both: measure((text) => keysOf(byBoth(text)))
    }
  })
  return { results: { from: embedder.name, byWords, forms }, table: tableOf(embedder.name, byWords, forms) }
}

const keysOf = (matches: readonly { key: string; score: number }[]): ReturnType<Finder> => ({
  keys: matches.map(({ key }) => key),
  isNone: !(matches[0] !== undefined && matches[0].score >= 1)
})

const nearestOf =
  (table: VectorTable, keys: readonly string[], vectorOf: (text: string) => Embedded): Finder =>
  (text) => ({
    keys: table.nearest(normalised(vectorOf(text).values), LIMIT).map(({ at }) => keys[at]!),
    isNone: false
  })

function embedderOf({ option }: SuiteContext, items: readonly MeaningItem[]): Embedder | undefined {
  const [url, folder, kind] = [option('embeddings'), option('transformers'), option('vectors')]
  if (url !== undefined) return endpoint(url, option('model') ?? 'default')
  if (folder !== undefined) return createTransformersEmbedder(folder, installedTransformers())
  if (kind === undefined) return undefined
  if (kind !== 'lsa') throw new Error('--vectors is lsa; other vectors come from --embeddings URL or --transformers FOLDER')
  const learned = learnWordVectors(
    items.flatMap(({ description, examples }) => [description, ...examples]),
    WIDTH,
    createRandom(SEED)
  )
  const places = new Map<string, number>()
  const embed = (text: string): Embedded => ({ model: 'lsa', values: vectorOfText(learned, places, text) })
  return { name: 'latent semantic analysis', embed: (texts) => Promise.resolve(texts.map(embed)) }
}

/** @param url up to `/embeddings`. */
function endpoint(url: string, model: string): Embedder {
  return {
    name: url,
    async embed(texts, { signal }) {
      const response = await fetch(`${url.replace(/\/+$/, '')}/embeddings`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, input: texts }),
        signal
      })
      if (!response.ok) throw new Error(`${url} answers with ${response.status}`)
      const { data } = (await response.json()) as { data: { embedding: number[] }[] }
      return data.map(({ embedding }) => ({ model, values: Float32Array.from(embedding) }))
    }
  }
}

async function embedAll(embedder: Embedder, texts: readonly string[]): Promise<Map<string, Embedded>> {
  const vectors = new Map<string, Embedded>()
  for (let from = 0; from < texts.length; from += MAX_EMBED_BATCH) {
    const batch = texts.slice(from, from + MAX_EMBED_BATCH)
    const made = checkEmbedded(await embedder.embed(batch, { signal: AbortSignal.timeout(EMBED_MS) }), batch.length)
    batch.forEach((text, n) => vectors.set(text, made[n]!))
  }
  return vectors
}

function finished<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

function tableOf(name: string, byWords: RoutingFigures, forms: readonly FormFigures[]): string {
  const percent = (share: number | null): string => (share === null ? '-' : `${(share * 100).toFixed(2)} %`)
  const row = (...cells: string[]): string => cells.map((cell, n) => (n === 0 ? cell.padEnd(28) : cell.padStart(12))).join('')
  const line = (
    title: string,
    { top1, top3, top5, abstainRecall, falseReject, p50Ms }: RoutingFigures,
    canAbstain = true
  ): string =>
    row(
      title,
      ...[top1, top3, top5, canAbstain ? abstainRecall : null, canAbstain ? falseReject : null].map(percent),
      `${p50Ms} ms`
    )
  return [
    `vectors from ${name}`,
    row('', 'top1', 'top3', 'top5', 'says none', 'wrongly', 'p50'),
    line('words', byWords),
    ...forms.flatMap(({ form, alone, both }) => [line(`${form} alone`, alone, false), line(`${form} and words`, both)]),
    ...forms.map(
      ({ form, share, bytes, buildMs }) => `${form}: part ${share}, ${(bytes / 1_024).toFixed(0)} KiB, index in ${buildMs} ms`
    )
  ].join('\n')
}
