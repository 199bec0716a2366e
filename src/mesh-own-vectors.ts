/** Vectors of what this node says of its own capabilities: made once, and given to other nodes, so that these need not make them. */
import { bytesToHex } from '@noble/hashes/utils.js'
import { MAX_MODEL_NAME, type EmbeddingItem } from '../protocols/embedding/messages.ts'
import type { CapabilityDeclaration } from '../protocols/capability.ts'
import type { Offer } from './core/candidates.ts'
import { textDigest } from './core/meaning/embedding-cache.ts'
import { meaningItem, textsOf } from './core/meaning/items.ts'
import { toInt8 } from './core/meaning/vectors.ts'
import { untilAborted } from './core/until-aborted.ts'
import type { Embeddings } from './mesh-embeddings.ts'
import type { GiveVectors } from './net/embedding.ts'

/** Most texts of this node of which vectors are given. */
export const MAX_OWN_TEXTS = 16_384

/** While there is nobody to ask, it is looked so often whether there is, at most, in ms: a mesh that meets is a thousand changes. */
export const LOOK_MS = 250

/** So often vectors are made one after the other, of what has changed meanwhile. */
export const MAX_ROUNDS = 3
/** After that, and when the embedder has another model, what is to be made waits so long, in ms: an embedder that flaps between two is asked for little. */
export const REMAKE_MS = 30_000

/** What it needs. */
export interface OwnVectorsComponents {
  embeddings: Embeddings
  /** All that is offered here; the same list as long as nothing has changed. */
  offers(): Offer[]
  /** Another model is to be announced. */
  onAnnounce(): void
  /** Default: {@link REMAKE_MS}. */
  remakeMs?: number
}

/** See the head of this file. */
export interface OwnVectors {
  /** The model to announce: all that this node says has been made with it. */
  readonly announced: string | undefined
  /** Something that is offered may have changed: makes what is missing, and tries again while it cannot. @param here what this node says. */
  changed(here: boolean): void
  give: GiveVectors
  stop(): void
}

/** See {@link OwnVectors}. */
export function createOwnVectors({ embeddings, offers, onAnnounce, remakeMs = REMAKE_MS }: OwnVectorsComponents): OwnVectors {
  const { stopping } = embeddings
  let announced: string | undefined
  /** Digests of what was made with the model of now. */
  let done = new Set<string>()
  let making = false
  let waits = false
  let again = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let known: { of: Offer[]; texts: Map<string, string> } | undefined

  /** By their digests, in hex. */
  function texts(): Map<string, string> {
    const of = offers()
    if (known?.of === of) return known.texts
    const own = of.filter(({ local }) => local).flatMap(({ capability }) => saidBy(capability))
    known = { of, texts: new Map(own.slice(0, MAX_OWN_TEXTS)) }
    return known.texts
  }

  async function make(): Promise<void> {
    for (let round = 0; again && round < MAX_ROUNDS; round++) {
      again = false
      const all = [...texts()]
      const due = all.filter(([digest]) => !done.has(digest)).map(([, text]) => text)
      if ((await embeddings.fill(due)) > 0) embeddings.works()
      done = new Set(all.filter(([, text]) => embeddings.made.modelOf(text) === embeddings.model()).map(([digest]) => digest))
    }
    announce(texts().size === 0 ? undefined : embeddings.model())
  }

  function announce(model: string | undefined): void {
    const next = model !== undefined && model.length <= MAX_MODEL_NAME ? model : undefined
    if (next === announced) return
    announced = next
    onAnnounce()
  }

  function begin(): void {
    again = true
    if (making || timer !== undefined || stopping.aborted) return
    // What embeds is not here yet: it is tried when something changes.
    if ((waits = !embeddings.ready())) return
    if (embeddings.resting() !== undefined) return later(embeddings.restMs())
    making = true
    make()
      .catch((error: unknown) => {
        if (stopping.aborted) return
        embeddings.failed(error)
        later(embeddings.restMs())
      })
      .finally(() => {
        making = false
        if (again) later(remakeMs)
      })
  }

  function later(ms: number): void {
    if (stopping.aborted) return
    timer ??= setTimeout(() => {
      timer = undefined
      begin()
    }, ms)
    timer.unref?.()
  }

  embeddings.onModel(() => {
    done = new Set()
    if (making) again = true
    else later(remakeMs)
  })

  return {
    get announced() {
      return announced
    },
    changed(here) {
      if (here) begin()
      else if (waits) later(LOOK_MS)
    },
    async *give({ model, digests }, signal): AsyncGenerator<EmbeddingItem, string | undefined> {
      const asked = digests.map((digest) => texts().get(bytesToHex(digest)))
      const isMade = (text: string): boolean => embeddings.made.modelOf(text) === model
      const given = new Set<number>()
      const due = function* (): Generator<EmbeddingItem> {
        for (const [index, text] of asked.entries()) {
          const vector = text === undefined || given.has(index) || !isMade(text) ? undefined : embeddings.made.get(text)
          if (vector === undefined) continue
          given.add(index)
          yield { index, values: toInt8(vector.values).values }
        }
      }
      yield* due()
      const missing = asked.filter((text) => text !== undefined).filter((text) => !isMade(text))
      if (missing.length > 0 && embeddings.model() === model && embeddings.resting() === undefined) {
        // What cannot be made, the other side makes.
        await untilAborted(embeddings.fill(missing), signal).catch((error: unknown) => {
          if (!signal.aborted && !stopping.aborted) embeddings.failed(error)
        })
        yield* due()
      }
      return announced
    },
    stop() {
      clearTimeout(timer)
      timer = undefined
    }
  }
}

const said = new WeakMap<CapabilityDeclaration, [digest: string, text: string][]>()

/** Reckoned once as long as the declaration is held. */
function saidBy(capability: CapabilityDeclaration): [digest: string, text: string][] {
  let own = said.get(capability)
  if (own === undefined) {
    own = textsOf(meaningItem('', capability)).map((text) => [bytesToHex(textDigest(text)), text])
    said.set(capability, own)
  }
  return own
}
