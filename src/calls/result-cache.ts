import type { CapabilityDeclaration, ToolDeclaration } from '../../protocols/capability.ts'
import type { JsonValue } from '../core/invoke.ts'
import type { CallOptions } from '../mesh-api.ts'

/** Results kept at most. */
export const MAX_CACHED_RESULTS = 256
/** Largest result that is kept, in characters of JSON. */
export const MAX_CACHED_CHARACTERS = 64 * 1024

/** Results of tools that declare `cache`, least recently used out first. */
export interface ResultCache {
  get(key: string): { value: JsonValue; provider: string } | undefined
  set(key: string, value: JsonValue, provider: string, ttlMs: number): void
}

/** @param now monotonic ms. */
export function createResultCache(now: () => number): ResultCache {
  const entries = new Map<string, { json: string; provider: string; until: number }>()
  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      if (now() >= entry.until) return undefined
      entries.set(key, entry)
      // A copy each time: what a caller does to its result must not reach the next one.
      return { value: JSON.parse(entry.json) as JsonValue, provider: entry.provider }
    },
    set(key, value, provider, ttlMs) {
      const json = JSON.stringify(value)
      if (json.length > MAX_CACHED_CHARACTERS || ttlMs <= 0) return
      entries.delete(key)
      entries.set(key, { json, provider, until: now() + ttlMs })
      if (entries.size > MAX_CACHED_RESULTS) entries.delete(entries.keys().next().value!)
    }
  }
}

/** What a provider gave to this node, it may refuse to those who cause this call. */
export function mayCache({ cache }: ToolDeclaration, { stream, causes, agent }: CallOptions): boolean {
  return cache !== undefined && stream === undefined && causes === undefined && agent === undefined
}

/** What the result of a call goes by: what is called, whoever provides it, and with what. */
export function cacheKey({ id, type, version }: CapabilityDeclaration, tool: ToolDeclaration, input: JsonValue): string {
  return `${id}\n${type}\n${version ?? ''}\n${tool.name}\n${canonicalJson(input)}`
}

/** The same text for the same JSON value, whatever the order of its keys. */
export function canonicalJson(value: JsonValue): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key]!)}`)
  return `{${members.join(',')}}`
}
