/** Checks of the fields of a request: what is wrong is told with the name of its field. */
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { refused, wrongField } from './openai-errors.ts'

/** Longest name of a model, in characters. */
const MAX_MODEL = 512

/** A kind of field. */
export type FieldKind = 'text' | 'number' | 'count' | 'flag' | 'list' | 'object'

const KINDS: Record<FieldKind, [fits: (value: JsonValue) => boolean, expected: string]> = {
  text: [(value) => typeof value === 'string', 'a string'],
  number: [(value) => typeof value === 'number', 'a number'],
  count: [(value) => typeof value === 'number' && Number.isInteger(value) && value > 0, 'an integer above 0'],
  flag: [(value) => typeof value === 'boolean', 'true or false'],
  list: [Array.isArray, 'an array'],
  object: [isObject, 'an object']
}

/** The fields that are given, without those that are null: clients mean the same by both. @throws a refusal that names the first that is wrong. */
export function givenFields(body: JsonObject, kinds: Readonly<Record<string, FieldKind>>): JsonObject {
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
  for (const [key, kind] of Object.entries(kinds)) {
    const value = Object.hasOwn(given, key) ? given[key] : undefined
    const [fits, expected] = KINDS[kind]
    if (value !== undefined && !fits(value)) throw wrongField(key, expected)
  }
  return given
}

/** The model of a request. @throws a refusal. */
export function modelIn({ model }: JsonObject): string {
  if (model === undefined || model === '')
    throw refused(400, 'you must provide a model: a name of GET /v1/models, or "auto"', 'model', 'missing_required_parameter')
  if (typeof model !== 'string' || model.length > MAX_MODEL)
    throw wrongField('model', `a string of at most ${MAX_MODEL} characters`)
  return model
}

/** @throws a refusal for fields that this API does not have. */
export function refuseFields(body: JsonObject, keys: readonly string[], why: string): void {
  const found = keys.find((key) => Object.hasOwn(body, key))
  if (found !== undefined) throw refused(400, `${found} ${why}`, found, 'unsupported_parameter')
}

/** True for an object that is no list. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
