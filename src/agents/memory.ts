import type { JsonObject, JsonValue } from '../core/invoke.ts'
import { MeshError } from '../errors.ts'

/** Longest memory of an agent, in characters of JSON, keys included. */
export const MAX_MEMORY_CHARACTERS = 256 * 1024
/** Most keys in it. */
export const MAX_MEMORY_KEYS = 1_024
/** Longest key, in characters. */
export const MAX_MEMORY_KEY = 128

/** What an agent remembers, over all its intents and over restarts. */
export interface AgentMemory {
  /** A copy of what was set last. */
  get(key: string): JsonValue | undefined
  /** Resolves when it is kept; undefined forgets the key. Rejects with `too_large` (then nothing has changed), `invalid_argument`, or what the disk says. */
  set(key: string, value: JsonValue | undefined): Promise<void>
  keys(): string[]
}

/** A memory that can be taken away. */
export interface ClosableMemory extends AgentMemory {
  /** Nothing is kept any more: sets reject with `unavailable`. Resolves when the last write is over. */
  close(): Promise<void>
}

/** What sees a memory until `signal` aborts: then its sets reject with the reason. */
export function boundMemory(memory: AgentMemory, signal: AbortSignal): AgentMemory {
  return {
    get: (key) => memory.get(key),
    async set(key, value) {
      signal.throwIfAborted()
      await memory.set(key, value)
    },
    keys: () => memory.keys()
  }
}

/** @param initial as it was kept last. @param keep writes all of it; sets that come meanwhile go with the next write. */
export function createMemory(initial: JsonValue | undefined, keep: (all: JsonObject) => Promise<void>): ClosableMemory {
  const values = new Map<string, string>()
  let characters = 0
  for (const [key, value] of Object.entries(isObject(initial) ? initial : {})) put(key, JSON.stringify(value))
  let writing: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  let isClosed = false

  function put(key: string, json: string | undefined): void {
    const before = values.get(key)
    characters += (json === undefined ? 0 : key.length + json.length) - (before === undefined ? 0 : key.length + before.length)
    if (json === undefined) values.delete(key)
    else values.set(key, json)
  }

  function write(): Promise<void> {
    next ??= writing = writing.then(
      () => flush(),
      () => flush()
    )
    return next
  }

  async function flush(): Promise<void> {
    next = undefined
    if (isClosed) throw closed()
    await keep(Object.fromEntries([...values].map(([key, json]) => [key, JSON.parse(json) as JsonValue])))
  }

  return {
    get(key) {
      const json = values.get(key)
      return json === undefined ? undefined : (JSON.parse(json) as JsonValue)
    },
    async set(key, value) {
      if (isClosed) throw closed()
      if (key === '' || key.length > MAX_MEMORY_KEY)
        throw new MeshError('invalid_argument', `a key of a memory has 1 to ${MAX_MEMORY_KEY} characters`, {
          key: key.slice(0, 200)
        })
      const json = value === undefined ? undefined : JSON.stringify(value)
      if (value !== undefined && json === undefined)
        throw new MeshError('invalid_argument', `what is set for "${key}" is no JSON`)
      const before = values.get(key)
      put(key, json)
      if (characters > MAX_MEMORY_CHARACTERS || values.size > MAX_MEMORY_KEYS) {
        put(key, before)
        const message = `the memory of an agent holds ${MAX_MEMORY_KEYS} keys and ${MAX_MEMORY_CHARACTERS} characters; forget something`
        throw new MeshError('too_large', message, { key })
      }
      await write()
    },
    keys: () => [...values.keys()],
    async close() {
      isClosed = true
      await writing.catch(() => undefined)
    }
  }
}

function closed(): MeshError {
  return new MeshError('unavailable', 'the agent has ended, and its memory with it')
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
