/** What requests in words mean: the index of the core over what is offered now, built when it is asked for, in pieces. */
import { matchGlob } from '../protocols/glob.ts'
import type { Offer } from './core/candidates.ts'
import { CHOICES, decideMeaning } from './core/meaning/decision.ts'
import { isAlone, meaningItem, meantCapabilities, type MeantCapability } from './core/meaning/items.ts'
import { buildLexicalIndex, type LexicalIndex } from './core/meaning/lexical-index.ts'
import { untilAborted } from './core/until-aborted.ts'
import { toolOf } from './core/query.ts'
import { MeshError } from './errors.ts'
import type { MeantView, MeshMeaning, UnderstandOptions, Understanding } from './mesh-api-meaning.ts'

/** Longest piece of building the index without a pause, in ms: a node answers others meanwhile. */
const PIECE_MS = 8
/** Matches that are looked at: those of one type may be many. */
const MAX_MATCHES = 32

/** What it needs. */
export interface MeshMeaningComponents {
  /** The same list as long as nothing has changed. */
  offers(): Offer[]
  now: () => number
  /** Uniform in [0, 1). */
  random: () => number
}

/** What is offered, as long as the list of it is the same. */
interface Known {
  of: Offer[]
  meant: Map<string, MeantCapability>
  /** All words that the index is made of. */
  said: string
}

interface Built {
  /** Of what was said; the index is good as long as it is the same. */
  said: string
  index: LexicalIndex
}

/** See {@link MeshMeaning}. */
export function createMeshMeaning({ offers, now, random }: MeshMeaningComponents): MeshMeaning & { stop(): void } {
  let built: Built | undefined
  let building: { said: string; done: Promise<Built> } | undefined
  let known: Known | undefined
  let isStopped = false

  /** What is offered now. */
  function offered(): Known {
    const of = offers()
    if (known?.of === of) return known
    const meant = meantCapabilities(of)
    return (known = { of, meant, said: saidOf(meant) })
  }

  async function build(said: string, meant: ReadonlyMap<string, MeantCapability>): Promise<Built> {
    const items = [...meant].map(([key, { capability }]) => meaningItem(key, capability))
    const work = buildLexicalIndex(items, random)
    for (;;) {
      const until = now() + PIECE_MS
      let step = work.next()
      while (step.done !== true && now() < until) step = work.next()
      if (step.done === true) return { said, index: step.value }
      await new Promise((resolve) => setTimeout(resolve))
      if (isStopped) throw new MeshError('cancelled', 'the node stops')
    }
  }

  /** Of what is offered now. Those who ask at once wait for one. */
  async function indexOf({ said, meant }: Known): Promise<LexicalIndex> {
    if (built?.said === said) return built.index
    if (building?.said !== said) building = { said, done: build(said, meant) }
    const { done } = building
    try {
      built = await done
      return built.index
    } finally {
      if (building?.done === done) building = undefined
    }
  }

  async function understand(text: string, { tool, type, signal }: UnderstandOptions = {}): Promise<Understanding> {
    if (text.trim() === '') throw new MeshError('invalid_argument', 'say what is wanted, in words', { key: 'text' })
    const all = offered()
    const { meant } = all
    const index = await (signal === undefined ? indexOf(all) : untilAborted(indexOf(all), signal))
    const among = (key: string): boolean => {
      const capability = meant.get(key)?.capability
      if (capability === undefined || (tool !== undefined && toolOf(capability, tool) === undefined)) return false
      return type === undefined || matchGlob(type, capability.type)
    }
    const of = (key: string): MeantCapability => meant.get(key)!
    const found = index.find(text, MAX_MATCHES, among)
    const { outcome, matches, likelihood } = decideMeaning(
      found,
      (key) => of(key).type,
      (key) => isAlone(of(key))
    )
    const shown = outcome === 'one' ? matches : matches.slice(0, CHOICES)
    return {
      text,
      outcome,
      likelihood: rounded(likelihood),
      matches: shown.map(({ key, score }) => viewOf(of(key), score))
    }
  }

  return { understand, stop: () => void (isStopped = true) }
}

/** All words that the index is made of. State and load change often, these seldom. */
function saidOf(meant: ReadonlyMap<string, MeantCapability>): string {
  return JSON.stringify([...meant].map(([key, { capability }]) => meaningItem(key, capability)))
}

function viewOf({ id, type, capability, offers }: MeantCapability, score: number): MeantView {
  const { name = id, description = null } = capability
  return {
    capability: id,
    type,
    name,
    description,
    score: rounded(score),
    nodes: [...new Set(offers.map(({ nodeName }) => nodeName))]
  }
}

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000
