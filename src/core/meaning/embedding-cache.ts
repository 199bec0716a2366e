import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { Embedded } from './embedder.ts'
import { fromInt8, toInt8, type Int8Vector } from './vectors.ts'
import type { VectorForm } from './vector-table.ts'

/** Most texts whose vectors are kept. */
export const MAX_CACHED_TEXTS = 65_536

/** SHA-256 of the UTF-8 of a text: what a text is called where it is not sent. */
export function textDigest(text: string): Uint8Array {
  return sha256(utf8ToBytes(text))
}

/** Vectors of texts, by a digest of the text: each text is embedded once. */
export interface EmbeddingCache {
  readonly size: number
  get(text: string): Embedded | undefined
  /** The model of its vector. */
  modelOf(text: string): string | undefined
  /** Of its text the newest counts, whichever model it is of. */
  put(text: string, embedded: Embedded): void
  clear(): void
}

interface Kept {
  model: string
  values: Float32Array | Int8Vector
}

/** @param form float keeps floats; the others keep whole numbers, a quarter of the size. @param most texts that are kept. */
export function createEmbeddingCache(form: VectorForm, most = MAX_CACHED_TEXTS): EmbeddingCache {
  const kept = new Map<string, Kept>()
  return {
    get size() {
      return kept.size
    },
    get(text) {
      const one = kept.get(digest(text))
      if (one === undefined) return undefined
      return { model: one.model, values: one.values instanceof Float32Array ? one.values : fromInt8(one.values) }
    },
    modelOf: (text) => kept.get(digest(text))?.model,
    clear: () => kept.clear(),
    put(text, { model, values }) {
      const key = digest(text)
      kept.delete(key)
      kept.set(key, { model, values: form === 'float' ? values : toInt8(values) })
      for (const oldest of kept.keys()) {
        if (kept.size <= most) break
        kept.delete(oldest)
      }
    }
  }
}

const digest = (text: string): string => bytesToHex(textDigest(text))
