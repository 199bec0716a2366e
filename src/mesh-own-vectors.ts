/** Vectors of what this node says of its own capabilities: made once, and given to other nodes, so that these need not make them. */
import { bytesToHex } from '@noble/hashes/utils.js'
import { isModelName, type EmbeddingItem } from '../protocols/embedding/messages.ts'
import type { Offer } from './core/candidates.ts'
import { MAX_EMBED_BATCH } from './core/meaning/embedder.ts'
import { saidTexts } from './core/meaning/said-texts.ts'
import { toInt8 } from './core/meaning/vectors.ts'
import { untilAborted } from './core/until-aborted.ts'
import type { Embeddings } from './mesh-embeddings.ts'
import type { GiveVectors } from './net/embedding.ts'

/** Most texts of this node of which vectors are given. */
export const MAX_OWN_TEXTS = 16_384
/** While there is nobody to ask, it is looked so often whether there is, in ms. */
export const LOOK_MS = 1_000
/** So often vectors are made one after the other, of what has changed meanwhile. */
export const MAX_REMAKES = 3
/** After that, and when the embedder has another model, what is to be made waits so long, in ms: an embedder that flaps between two is asked for little. */
export const REMAKE_MS = 30_000

/** What it needs. */
export interface OwnVectorsComponents {
  embeddings: Embeddings
  /** All that is offered here; the same list as long as nothing has changed. */
  offers(): Offer[]
  /** Another model is to be announced. */
  onAnnounce(): void
  /** Default: {@link REMAKE_MS}, {@link LOOK_MS}. */
  times?: { remakeMs: number; lookMs: number }
}

/** See the head of this file. */
export interface OwnVectors {
  /** The model to announce: all that this node says has been made with it. */
  readonly announced: string | undefined
  /** What this node says may have changed: makes what is missing, and tries again while it cannot. */
  changed(): void
  give: GiveVectors
  stop(): void
}

/** See {@link OwnVectors}. */
export function createOwnVectors(components: OwnVectorsComponents): OwnVectors {
  const { embeddings, offers, onAnnounce } = components
  const { remakeMs, lookMs } = components.times ?? { remakeMs: REMAKE_MS, lookMs: LOOK_MS }
  const { stopping, made, now } = embeddings
  /** By digest, all of one model. Not those of the cache, in which what others say takes the place of what was made long ago. */
  let kept: { model: string | undefined; vectors: Map<string, Int8Array> } = { model: undefined, vectors: new Map() }
  let known: { of: Offer[]; texts: Map<string, string> } | undefined
  let announced: string | undefined
  let making = false
  let again = false
  /** Not before, on the clock of the embedder: see {@link REMAKE_MS}. */
  let notBefore = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  /** What this node says, by digest. */
  function texts(): Map<string, string> {
    const of = offers()
    if (known?.of === of) return known.texts
    const own = of.filter(({ local }) => local).flatMap(({ capability }) => saidTexts(capability))
    known = { of, texts: new Map(own.slice(0, MAX_OWN_TEXTS)) }
    return known.texts
  }

  /** Makes some of them, and keeps them. */
  async function keep(digests: readonly string[]): Promise<void> {
    for (let from = 0; from < digests.length; from += MAX_EMBED_BATCH) {
      const batch = digests.slice(from, from + MAX_EMBED_BATCH).map((digest) => [digest, texts().get(digest)] as const)
      const count = await embeddings.fill(
        batch.flatMap(([, text]) => text ?? []),
        { first: true }
      )
      if (count > 0) embeddings.works()
      const model = embeddings.model()
      if (kept.model !== model) kept = { model, vectors: new Map() }
      for (const [digest, text] of batch) {
        const vector = text === undefined ? undefined : made.get(text)
        if (vector?.model === model && vector !== undefined) kept.vectors.set(digest, toInt8(vector.values).values)
      }
    }
  }

  async function make(): Promise<void> {
    for (let round = 0; again && round < MAX_REMAKES; round++) {
      again = false
      if (kept.model !== embeddings.model()) {
        kept = { model: embeddings.model(), vectors: new Map() }
        announce(undefined)
      }
      for (const digest of kept.vectors.keys()) if (!texts().has(digest)) kept.vectors.delete(digest)
      await keep([...texts().keys()].filter((digest) => !kept.vectors.has(digest)))
    }
    announce(texts().size === 0 || again ? undefined : kept.model)
  }

  function announce(model: string | undefined): void {
    const next = isModelName(model) ? model : undefined
    if (next === announced) return
    announced = next
    onAnnounce()
  }

  function begin(): void {
    again = true
    if (making || stopping.aborted) return
    clearTimeout(timer)
    timer = undefined
    if (texts().size === 0 && announced === undefined) return
    if (!embeddings.ready()) return later(lookMs)
    const waitMs = Math.max(embeddings.restMs(), notBefore - now())
    if (waitMs > 0) return later(waitMs)
    making = true
    make()
      .catch((error: unknown) => {
        again = true
        if (!stopping.aborted) embeddings.failed(error)
      })
      .finally(() => {
        making = false
        if (!again) return
        if (embeddings.restMs() === 0) notBefore = now() + remakeMs
        begin()
      })
  }

  function later(ms: number): void {
    timer = setTimeout(begin, ms)
    timer.unref?.()
  }

  embeddings.onModel((before) => {
    if (before !== undefined) notBefore = now() + remakeMs
    // Perhaps of the same name.
    if (before === embeddings.model()) kept = { model: undefined, vectors: new Map() }
    begin()
  })

  return {
    get announced() {
      return announced
    },
    changed: begin,
    async *give({ model, digests }, signal): AsyncGenerator<EmbeddingItem, string | undefined> {
      const asked = digests.map((digest) => bytesToHex(digest))
      const given = new Set<number>()
      const due = function* (): Generator<EmbeddingItem> {
        for (const [index, digest] of asked.entries()) {
          const values = kept.model !== model || given.has(index) ? undefined : kept.vectors.get(digest)
          if (values === undefined) continue
          given.add(index)
          yield { index, values }
        }
      }
      yield* due()
      const missing = asked.filter((digest) => texts().has(digest) && !kept.vectors.has(digest))
      for (let from = 0; from < missing.length; from += MAX_EMBED_BATCH) {
        if (kept.model !== model || embeddings.resting() !== undefined) break
        try {
          await untilAborted(keep(missing.slice(from, from + MAX_EMBED_BATCH)), signal)
        } catch (error) {
          // What cannot be made, the other side makes.
          if (!signal.aborted && !stopping.aborted) embeddings.failed(error)
          break
        }
        yield* due()
      }
      return kept.model
    },
    stop() {
      clearTimeout(timer)
    }
  }
}
