/** The index of what words mean, kept as near to what is offered as it is worth: small changes are taken in one by one, and it is built anew now and then, in pieces. */
import { buildLexicalIndex, type LexicalIndex, type MeaningItem } from './core/meaning/lexical-index.ts'
import { MeshError } from './errors.ts'

/** Longest piece of work on the index without a pause, in ms: a node answers others meanwhile. */
const PIECE_MS = 8
/** Of more items than this share, that have come, gone or changed since it was built, it is built anew before it is asked. */
export const MAX_CHANGED = 0.25
/** Share of the time that may go into building it anew for less. */
export const BUILDING_SHARE = 0.02

/** What may be meant, by key. An item that is the same object says the same. */
export type MeaningItems = ReadonlyMap<string, MeaningItem>

/** What it needs. */
export interface MeaningIndexComponents {
  /** What is there now: the same map as long as nothing has changed. */
  items(): MeaningItems
  now: () => number
  /** Uniform in [0, 1). */
  random: () => number
  build?: typeof buildLexicalIndex
}

/** See the head of this file. */
export interface MeaningIndex {
  /** Of what is there now. Those who ask at once wait for one. Rejects with `cancelled` once it is stopped. */
  current(): Promise<LexicalIndex>
  /** The same, if it is of what is there now. */
  peek(): LexicalIndex | undefined
  stop(): void
}

interface Built {
  index: LexicalIndex
  /** What is in it. */
  items: Map<string, MeaningItem>
  /** All of this is in it. */
  of: MeaningItems | undefined
  /** What was taken in or out since it was built. */
  changed: number
  builtAt: number
  /** Time that it took to build, without pauses, in ms. */
  costMs: number
}

/** See {@link MeaningIndex}. */
export function createMeaningIndex(components: MeaningIndexComponents): MeaningIndex {
  const { items, now, random, build: buildIndex = buildLexicalIndex } = components
  let built: Built | undefined
  let building: Promise<void> | undefined
  let patching: Promise<void> | undefined
  let isStopped = false

  /** @returns what it gives, and how long it has taken. */
  async function inPieces<T>(work: Generator<undefined, T>): Promise<{ result: T; costMs: number }> {
    for (let costMs = 0; ;) {
      const from = now()
      let step = work.next()
      while (step.done !== true && now() - from < PIECE_MS) step = work.next()
      costMs += now() - from
      if (step.done === true) return { result: step.value, costMs }
      await new Promise((resolve) => setTimeout(resolve))
      if (isStopped) throw stopping()
    }
  }

  /** One at a time; what has changed since one was begun is taken into it. */
  function build(): Promise<void> {
    return (building ??= (async () => {
      try {
        const of = items()
        const { result, costMs } = await inPieces(buildIndex([...of.values()], random))
        built = { index: result, items: new Map(of), of, changed: 0, builtAt: now(), costMs }
      } finally {
        building = undefined
      }
    })())
  }

  /** Takes in what is there now. */
  function patch(into: Built): Promise<void> {
    return (patching ??= (async () => {
      try {
        const of = items()
        await inPieces(takeIn(into, changesOf(into.items, of)))
        into.of = of
      } finally {
        patching = undefined
      }
    })())
  }

  const isNear = (one: Built): boolean =>
    one.of === items() || changesOf(one.items, items()).size + one.changed <= one.index.size * MAX_CHANGED

  async function current(): Promise<LexicalIndex> {
    while (built === undefined || !isNear(built)) await build()
    while (built.of !== items()) await patch(built)
    if (isStopped) throw stopping()
    const { changed, builtAt, costMs, index } = built
    // Nobody waits for it; what stops it is the stop of the node.
    if (changed > 0 && now() - builtAt >= costMs / BUILDING_SHARE) build().catch(() => undefined)
    return index
  }

  function peek(): LexicalIndex | undefined {
    if (built === undefined || patching !== undefined) return undefined
    if (built.of !== items() && changesOf(built.items, items()).size > 0) return undefined
    built.of = items()
    return built.index
  }

  return { current, peek, stop: () => void (isStopped = true) }
}

/** What has come or says something else, and what is gone, by key. */
function changesOf(known: MeaningItems, now: MeaningItems): Map<string, MeaningItem | undefined> {
  const changes = new Map<string, MeaningItem | undefined>()
  for (const key of known.keys()) if (!now.has(key)) changes.set(key, undefined)
  for (const [key, item] of now) {
    const before = known.get(key)
    if (before !== item && (before === undefined || JSON.stringify(before) !== JSON.stringify(item))) changes.set(key, item)
  }
  return changes
}

function* takeIn(into: Built, changes: ReadonlyMap<string, MeaningItem | undefined>): Generator<undefined, void> {
  for (const [key, item] of changes) {
    if (item === undefined) {
      into.index.delete(key)
      into.items.delete(key)
    } else {
      into.index.set(item)
      into.items.set(key, item)
    }
    into.changed++
    yield
  }
}

const stopping = (): MeshError => new MeshError('cancelled', 'the node stops')
