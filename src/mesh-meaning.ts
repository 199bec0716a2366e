/** What requests in words mean: the index of the core over what is offered now, made when it is asked for. */
import type { CapabilityDeclaration } from '../protocols/capability.ts'
import { matchGlob } from '../protocols/glob.ts'
import type { Offer } from './core/candidates.ts'
import { CHOICES, decideMeaning } from './core/meaning/decision.ts'
import { saidByOthers } from './core/meaning/said-texts.ts'
import { isAlone, meaningItem, meantCapabilities, meantKey, type MeantCapability } from './core/meaning/items.ts'
import { FUSED_DEPTH } from './core/meaning/dense-calibration.ts'
import type { LexicalIndex, MeaningItem } from './core/meaning/lexical-index.ts'
import { MAX_TEXT_CHARS } from './core/meaning/text-features.ts'
import { cutText } from './core/cut-text.ts'
import { untilAborted } from './core/until-aborted.ts'
import type { EventHandler } from './core/triggers/trigger-routes.ts'
import { toolOf } from './core/query.ts'
import { MeshError } from './errors.ts'
import type { EventMeaning } from './mesh-meant-handlers.ts'
import { createMeaningIndex } from './mesh-meaning-index.ts'
import type { MeantView, MeshMeaning, UnderstandOptions, Understanding } from './mesh-api-meaning.ts'
import { createMeshExamples, type ExampleStore } from './mesh-meaning-examples.ts'
import type { ExampleWriter } from './mesh-meaning-writer.ts'
import { findByWords, type MeaningVectors } from './mesh-meaning-vectors.ts'

/** Matches that are looked at: those of one type may be many. */
const MAX_MATCHES = 32
/** Most characters of a request that its answer says again. */
export const MAX_ECHO_CHARS = 256
const NO_VECTORS = 'no embeddings are set up'
const AT_ONCE = 'vectors were not waited for'

/** What it needs. */
export interface MeshMeaningComponents {
  /** The same list as long as nothing has changed. */
  offers(): Offer[]
  now: () => number
  /** Uniform in [0, 1). */
  random: () => number
  /** Vectors beside words. Default: none. */
  vectors?: MeaningVectors | undefined
  /** Default: nothing is learned. */
  examples?: ExampleStore | undefined
  /** Default: nothing is written. */
  writer?: ExampleWriter | undefined
  /** Something was learned or forgotten: words may mean something else. Default: nobody is told. */
  onLearned?: () => void
}

/** What is offered, as long as the list of it is the same, and nothing is learned. */
interface Known {
  of: Offer[]
  learned: number
  meant: Map<string, MeantCapability>
  items: Map<string, MeaningItem>
}

/** See {@link MeshMeaning}. */
export function createMeshMeaning({
  offers,
  now,
  random,
  vectors,
  examples: store,
  writer,
  onLearned = () => undefined
}: MeshMeaningComponents): MeshMeaning & { events: EventMeaning; stop(): void } {
  const itemOf = createItems()
  const examples = createMeshExamples(store, writer, offers, onLearned)
  let known: Known | undefined

  /** What is offered now. */
  function offered(): Known {
    const of = offers()
    if (known?.of === of && known.learned === examples.revision) return known
    const meant = meantCapabilities(of)
    const items = new Map(
      [...meant].map(([key, { capability }]) => [key, itemOf(key, capability, examples.moreOf(key, capability))])
    )
    return (known = { of, learned: examples.revision, meant, items })
  }
  const index = createMeaningIndex({
    items: () => offered().items,
    now,
    random,
    depth: vectors === undefined ? 0 : FUSED_DEPTH
  })

  function readyIndex(): LexicalIndex {
    const ready = index.peek()
    if (ready !== undefined) return ready
    // For whoever asks next; what stops it is the stop of the node.
    index.current().catch(() => undefined)
    throw new MeshError('unavailable', 'what words mean is being learned')
  }

  async function understand(
    text: string,
    { tool, type, ids, atOnce = false, signal }: UnderstandOptions = {}
  ): Promise<Understanding> {
    // Words read no more of it either, and a vector of more says less of what is wanted.
    const said = cutText(text, MAX_TEXT_CHARS)
    if (said.trim() === '') throw new MeshError('invalid_argument', 'say what is wanted, in words', { key: 'text' })
    const lexical = atOnce ? readyIndex() : await (signal === undefined ? index.current() : untilAborted(index.current(), signal))
    const { meant, items } = offered()
    writer?.begin(meant)
    const among = (key: string): boolean => {
      const capability = meant.get(key)?.capability
      if (capability === undefined || (tool !== undefined && toolOf(capability, tool) === undefined)) return false
      return (type === undefined || matchGlob(type, capability.type)) && (ids?.includes(capability.id) ?? true)
    }
    const question = { text: said, limit: MAX_MATCHES, among, signal }
    const words = { revision: String(index.revision), lexical, items: () => [...items.values()], said: () => saidByOthers(meant) }
    const { found, by, onShown } =
      (atOnce ? undefined : await vectors?.find(question, words)) ?? findByWords(question, lexical, atOnce ? AT_ONCE : NO_VECTORS)
    const of = (key: string): MeantCapability => meant.get(key)!
    const { outcome, matches, likelihood } = decideMeaning(
      found,
      (key) => of(key).type,
      (key) => isAlone(of(key))
    )
    const shown = outcome === 'one' ? matches : matches.slice(0, CHOICES)
    onShown?.(shown.map(({ key }) => key))
    return {
      text: cutText(text, MAX_ECHO_CHARS),
      characters: text.length,
      outcome,
      likelihood: rounded(likelihood),
      by,
      matches: shown.map(({ key, score }) => viewOf(of(key), score, examples.isWritten(key, of(key).capability)))
    }
  }

  /** By the same index and the same decision as a request; who may be meant, and nothing else, is looked at. */
  function meantAmong(text: string, among: readonly EventHandler[]): EventHandler[] | undefined {
    const lexical = index.peek()
    if (lexical === undefined) return undefined
    const byKey = new Map<string, EventHandler[]>()
    for (const handler of among) {
      const key = meantKey(handler.type, handler.capability)
      const all = byKey.get(key)
      if (all === undefined) byKey.set(key, [handler])
      else all.push(handler)
    }
    const found = lexical.find(text, MAX_MATCHES, (key) => byKey.has(key))
    const { outcome, matches } = decideMeaning(found, (key) => byKey.get(key)![0]!.type)
    return outcome === 'one' ? matches.flatMap(({ key }) => byKey.get(key)!) : []
  }
  const revision = (): number | undefined => (index.peek() === undefined ? undefined : index.revision)
  const events = { among: meantAmong, ready: index.current, revision }

  const stop = (): void => {
    index.stop()
    writer?.stop()
  }
  return { understand, examples, events, stop }
}

/** Items by what they are made of: a declaration is the same object as long as it says the same, or rather more often than not. */
function createItems(): (key: string, capability: CapabilityDeclaration, more: readonly string[]) => MeaningItem {
  const items = new WeakMap<CapabilityDeclaration, { item: MeaningItem; more: readonly string[] }>()
  return (key, capability, more) => {
    const before = items.get(capability)
    if (before?.item.key === key && before.more === more) return before.item
    const item = meaningItem(key, capability, more)
    items.set(capability, { item, more })
    return item
  }
}

function viewOf({ id, type, capability, offers }: MeantCapability, score: number, isWritten: boolean): MeantView {
  const { name = id, description = null } = capability
  return {
    capability: id,
    type,
    name,
    description,
    score: rounded(score),
    nodes: [...new Set(offers.map(({ nodeName }) => nodeName))],
    ...(isWritten && { examplesBy: 'model' })
  }
}

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000
