/** What responses that are to be stored leave at this node: in its memory, for a while, and within bounds. */
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { isObject } from './request-fields.ts'

/** Bounds of a {@link ResponsesMemory}. */
export interface MemoryBounds {
  /** Responses. */
  count: number
  /** Characters of them and of their conversations, {@link CHARACTERS_OF_EACH} of each value and each key among them. */
  characters: number
  /** How long one is kept. */
  ms: number
}

/** Bounds of a node. */
export const RESPONSES_KEPT: MemoryBounds = { count: 1_000, characters: 16 * 1024 * 1024, ms: 60 * 60 * 1_000 }

/** What each value and each key counts beside its own, in characters: an empty one takes memory, too. */
export const CHARACTERS_OF_EACH = 16

/** A response that is kept. */
export interface KeptResponse {
  response: JsonObject
  /** The conversation up to its end, as messages of a chat; instructions are no part of it. */
  messages: readonly JsonObject[]
}

/** See {@link createResponsesMemory}. */
export interface ResponsesMemory {
  keep(id: string, kept: KeptResponse): void
  /** A response by its id; undefined if it was never kept, or is no more. */
  find(id: string): KeptResponse | undefined
  /** An item of the output of one of them. */
  item(id: string): JsonObject | undefined
  /** @returns false if there was none. */
  forget(id: string): boolean
  /** Responses now. */
  readonly size: number
}

/** Makes one: what is over its bounds goes, the oldest first, and what is over them alone is not kept. @param now in ms. */
export function createResponsesMemory(now: () => number = Date.now, bounds: MemoryBounds = RESPONSES_KEPT): ResponsesMemory {
  const all = new Map<string, KeptResponse & { characters: number; until: number }>()
  const items = new Map<string, JsonObject>()
  let characters = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  function forget(id: string): boolean {
    const kept = all.get(id)
    if (kept === undefined) return false
    all.delete(id)
    characters -= kept.characters
    for (const item of outputOf(kept)) items.delete(item['id'] as string)
    return true
  }

  function forgetOld(): void {
    for (const [id, { until }] of all) {
      if (all.size <= bounds.count && characters <= bounds.characters && until > now()) return
      forget(id)
    }
  }

  /** Conversations go when their time is over, also where nobody asks any more. */
  function arm(): void {
    const [oldest] = all.values()
    if (timer !== undefined || oldest === undefined) return
    timer = setTimeout(
      () => {
        timer = undefined
        forgetOld()
        arm()
      },
      Math.max(1, oldest.until - now())
    )
    ;(timer as { unref?: () => void }).unref?.()
  }

  return {
    keep(id, kept) {
      const its = charactersOf(kept.messages as JsonObject[]) + charactersOf(kept.response)
      // Else all others would make room for it, and go for nothing.
      if (its > bounds.characters) return
      all.set(id, { ...kept, characters: its, until: now() + bounds.ms })
      characters += its
      for (const item of outputOf(kept)) items.set(item['id'] as string, item)
      forgetOld()
      arm()
    },
    find(id) {
      forgetOld()
      return all.get(id)
    },
    item(id) {
      forgetOld()
      return items.get(id)
    },
    forget,
    get size() {
      return all.size
    }
  }
}

function outputOf({ response: { output } }: KeptResponse): JsonObject[] {
  return Array.isArray(output) ? output.filter(isObject) : []
}

function charactersOf(value: JsonValue): number {
  if (typeof value === 'string') return CHARACTERS_OF_EACH + value.length
  if (typeof value !== 'object' || value === null) return CHARACTERS_OF_EACH
  if (Array.isArray(value)) return value.reduce<number>((sum, one) => sum + charactersOf(one), CHARACTERS_OF_EACH)
  const ofKeys = (key: string): number => CHARACTERS_OF_EACH + key.length
  return Object.entries(value).reduce((sum, [key, one]) => sum + ofKeys(key) + charactersOf(one), CHARACTERS_OF_EACH)
}
