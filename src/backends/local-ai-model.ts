/** What a server of AI models on this machine offers, as it is found: data that somebody else wrote, until it is checked. */
import type { JsonObject, JsonValue } from '../../protocols/json.ts'

/** The types of capabilities that a model can become. */
export const MODEL_TYPES = [
  'llm/chat',
  'llm/embed',
  'llm/rerank',
  'audio/transcription',
  'audio/speech',
  'image/generation'
] as const
/** One of {@link MODEL_TYPES}. */
export type ModelType = (typeof MODEL_TYPES)[number]

/** How the type of a model is known: its server says so, its name looks like it, or nothing speaks against it. */
export type TypeSource = 'server' | 'name' | 'assumed'

/** One model of a server, or one project. */
export interface FoundModel {
  /** As its server calls it. */
  model: string
  type: ModelType
  typeFrom: TypeSource
  /** What a person calls it, where that is not the model: `discoverable/assistant`. */
  name?: string
  description?: string
  /** Tokens that it can take by its kind. */
  contextLength?: number
  /** Tokens that it takes as it is loaded now. */
  servedContextLength?: number
  /** Length of its vectors. */
  dimensions?: number
  tools?: boolean
  vision?: boolean
  audio?: boolean
  /** True: in memory. False: the first call waits until it is. */
  loaded?: boolean
  /** Path of its API below the address of the server. Default `/v1`. */
  path?: string
  /** Headers that its requests need. */
  headers?: Record<string, string>
  /** It is a project of LlamaFarm with documents to search. */
  documents?: boolean
  /** It is a project of LlamaFarm with a voice: path of that API. */
  voicePath?: string
  /** What is wrong with it, though it may work. */
  degraded?: string
  /** Why it is not shared, whatever the configuration says. */
  withheld?: string
}

/** Most models of one server. */
export const MAX_MODELS = 256
/** Longest name of a model, in characters. */
export const MAX_MODEL_NAME = 200
/** Longest text about a model, in characters. */
const MAX_TEXT = 500

const BY_NAME: readonly [RegExp, ModelType][] = [
  [/rerank/i, 'llm/rerank'],
  [/embed|(^|[^a-z])(bge|e5|gte|minilm)([^a-z]|$)/i, 'llm/embed'],
  [/whisper|transcri|parakeet/i, 'audio/transcription'],
  [/(^|[^a-z])tts([^a-z]|$)|kokoro|piper|speech/i, 'audio/speech'],
  [/(^|[^a-z])(sd|sdxl|flux|dall)([^a-z]|$)|stable-?diffusion/i, 'image/generation']
]

/** The type that the name of a model looks like; a chat where it looks like none. */
export function typeByName(model: string): { type: ModelType; typeFrom: TypeSource } {
  const found = BY_NAME.find(([pattern]) => pattern.test(model))
  return found === undefined ? { type: 'llm/chat', typeFrom: 'assumed' } : { type: found[1], typeFrom: 'name' }
}

// eslint-disable-next-line no-control-regex -- these are what it is for
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/

/** A name that can be one: some printable text, not too long. */
export function asName(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' && value.length <= MAX_MODEL_NAME && !UNPRINTABLE.test(value)
    ? value
    : undefined
}

/** One line of text, cut. */
export function asText(value: unknown): string | undefined {
  const text = typeof value === 'string' ? value.replaceAll(new RegExp(UNPRINTABLE, 'g'), ' ').trim() : ''
  return text === '' ? undefined : text.slice(0, MAX_TEXT)
}

/** A number of tokens or dimensions that can be one. */
export function asCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 && value < 2 ** 31 ? value : undefined
}

/** An object, or one without keys. */
export function asObject(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {}
}

/** Whether it is an object. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The objects of a list, as many as a server may have models. */
export function objectsIn(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject).slice(0, MAX_MODELS) : []
}

/** The texts of a list. */
export function textsIn(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string').slice(0, MAX_MODELS) : []
}

/** Each model once: of one type the first one stays, as does what nothing was left out of. Keys without a value go. */
export function eachOnce(models: readonly FoundModel[]): FoundModel[] {
  const seen = new Set<string>()
  return models
    .filter(({ model, type, name }) => {
      const key = JSON.stringify([type, name ?? model])
      return !seen.has(key) && seen.add(key) !== undefined
    })
    .slice(0, MAX_MODELS)
    .map((model) => Object.fromEntries(Object.entries(model).filter(([, value]) => value !== undefined)) as unknown as FoundModel)
}
