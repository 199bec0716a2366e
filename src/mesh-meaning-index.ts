/** The index of what words mean, kept as near to what is offered as it is worth: small changes are taken in one by one, and it is built anew now and then, in pieces. */
import { buildLexicalIndex, type LexicalIndex, type MeaningItem } from './core/meaning/lexical-index.ts'
import { MeshError, abortError } from './errors.ts'
import { inPieces } from './mesh-meaning-pieces.ts'

/** Of more items than this share, that have come, gone or changed since it was built, it is built anew before it is asked. */
export const MAX_CHANGED = 0.25
/** So often it is built anew for whoever waits: the one under way, and one of all that was there when it was asked. What has changed by then is taken in, however much it is. */
export const MAX_BUILDS_WAITED = 2
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
  /** See {@link buildLexicalIndex}. Default: 0. */
  depth?: number
  build?: typeof buildLexicalIndex
}

/** See the head of this file. */
export interface MeaningIndex {
  /** Of what is there now. Those who ask at once wait for one. Rejects with `cancelled` once it is stopped. */
  current(): Promise<LexicalIndex>
  /** The same, if it is of what is there now. */
  peek(): LexicalIndex | undefined
  /** Another number where it says something else than before. */
  readonly revision: number
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
  /** Time that it took to build, in ms. */
  costMs: number
}

/** See {@link MeaningIndex}. */
export function createMeaningIndex(components: MeaningIndexComponents): MeaningIndex {
  const { items, now, random, depth = 0, build: buildIndex = buildLexicalIndex } = components
  let built: Built | undefined
  let building: Promise<void> | undefined
  let patching: Promise<void> | undefined
  /** What is there says something else than the index, as was seen when it was asked for last. */
  let unlike: { of: MeaningItems; index: LexicalIndex } | undefined
  let revision = 0
  const stopping = new AbortController()

  /** One at a time; what has changed since one was begun is taken into it. */
  function build(): Promise<void> {
    return (building ??= (async () => {
      try {
        const of = items()
        const from = now()
        const index = await inPieces(buildIndex([...of.values()], random, depth), now, stopping.signal)
        built = { index, items: new Map(of), of, changed: 0, builtAt: now(), costMs: now() - from }
        revision++
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
        const changes = changesOf(into.items, of)
        await inPieces(takeIn(into, changes), now, stopping.signal)
        into.of = of
        if (changes.size > 0) revision++
      } finally {
        patching = undefined
      }
    })())
  }

  const isNear = (one: Built): boolean =>
    one.of === items() || changesOf(one.items, items()).size + one.changed <= one.index.size * MAX_CHANGED

  async function current(): Promise<LexicalIndex> {
    for (let waited = 0; built === undefined || (waited < MAX_BUILDS_WAITED && !isNear(built)); waited++) await build()
    // What is being taken in may be for the one of before, and `peek` says nothing meanwhile.
    while (patching !== undefined || built.of !== items()) await (patching ?? patch(built))
    if (stopping.signal.aborted) throw abortError(stopping.signal)
    const { changed, builtAt, costMs, index } = built
    // Nobody waits for it; what stops it is the stop of the node.
    if (changed > 0 && now() - builtAt >= costMs / BUILDING_SHARE) build().catch(() => undefined)
    return index
  }

  function peek(): LexicalIndex | undefined {
    if (built === undefined || patching !== undefined) return undefined
    const [of, { index }] = [items(), built]
    if (built.of === of) return index
    // Each of a thousand events asks.
    if (unlike?.of === of && unlike.index === index) return undefined
    if (changesOf(built.items, of).size > 0) {
      unlike = { of, index }
      return undefined
    }
    built.of = of
    return index
  }

  return {
    current,
    peek,
    get revision() {
      return revision
    },
    stop: () => stopping.abort(new MeshError('cancelled', 'the node stops'))
  }
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
