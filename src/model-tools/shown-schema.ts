import { mayRunHere } from '../core/schema.ts'
import type { JsonObject, JsonSchema, JsonValue } from '../../protocols/json.ts'
import { isSeen, shownText } from './shown-text.ts'

/** Longest schema that a model is shown, in characters; a longer one becomes "any object". The node that has the tool checks it all the same. */
export const MAX_SCHEMA_CHARACTERS = 16_384

/**
 * The schema of an input as a model is shown it: clients and servers want an object at the top. What a client could not read is left out: one that refuses a
 * schema refuses the whole list with it, so one tool would take all others away.
 */
export function shownSchema(schema: JsonSchema | undefined): JsonObject {
  if (!isShort(schema)) return anyObject()
  return { ...anyObject(), ...rewritten(schema, { keepsPatterns: true }).shown }
}

/**
 * The schema of a result as a client is shown it, which compiles it and checks results against it: so it says what its author said, but for patterns, which
 * are not for a peer to run anywhere. `undefined` for one that cannot be shown so, or may take for ever.
 */
export function shownOutput(schema: JsonSchema | undefined): JsonObject | undefined {
  if (!isShort(schema)) return undefined
  const { $schema: _dialect, $id: _id, ...rest } = schema
  if (!mayRunHere(rest)) return undefined
  const { shown, isSame } = rewritten(rest, { keepsPatterns: false })
  return isSame ? shown : undefined
}

/** What says nothing but that it is an object. */
export function anyObject(): JsonObject {
  return { type: 'object', properties: {} }
}

function isShort(schema: JsonSchema | undefined): schema is JsonObject {
  return typeof schema === 'object' && JSON.stringify(schema).length <= MAX_SCHEMA_CHARACTERS
}

/** One schema while it is written anew. */
interface Rewriting {
  keepsPatterns: boolean
  /** It allows what it allowed. */
  isSame: boolean
  /** All that stand where a schema may stand. */
  parts: Set<unknown>
}

/** Reads what stands under a keyword. `undefined`: it cannot be shown. */
type Reader = (value: JsonValue, state: Rewriting) => JsonValue | undefined

/** Any text, without what a person would not see. */
const text: Reader = (value) => (typeof value === 'string' ? shownText(value, MAX_SCHEMA_CHARACTERS) : undefined)
const texts: Reader = (value, state) => (Array.isArray(value) ? value.map((one) => text(one, state) ?? '') : undefined)
const flag: Reader = (value) => (typeof value === 'boolean' ? value : undefined)
const number: Reader = (value) => (Number.isFinite(value) ? value : undefined)
const count: Reader = (value) => (Number.isSafeInteger(value) && (value as number) >= 0 ? value : undefined)
/** A value that has to be sent as it is, so it is shown as it is, or not at all. */
const exact: Reader = (value) => (isSeen(value) ? value : undefined)
const exacts: Reader = (value, state) => {
  const seen = Array.isArray(value) ? value.filter(isSeen) : []
  if (Array.isArray(value) && seen.length < value.length) state.isSame = false
  return seen.length > 0 ? seen : undefined
}
const TYPES = new Set<unknown>(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array'])
const type: Reader = (value) => {
  const all = Array.isArray(value) ? value : [value]
  return all.length > 0 && all.every((one) => TYPES.has(one)) ? value : undefined
}
const names: Reader = (value, state) => {
  if (!Array.isArray(value)) return undefined
  const known = [...new Set(value.filter((one): one is string => typeof one === 'string' && isKey(one)))]
  if (known.length < value.length) state.isSame = false
  return known
}
/** Formats that checks of clients know; what another is called says nothing to them. */
const FORMATS = new Set<unknown>([
  ...['date-time', 'date', 'time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uri', 'uri-reference', 'uri-template'],
  ...['uuid', 'json-pointer', 'relative-json-pointer', 'regex', 'int32', 'int64', 'float', 'double', 'byte', 'binary', 'password']
])
const format: Reader = (value) => (FORMATS.has(value) ? value : undefined)
const pattern: Reader = (value, { keepsPatterns }) => (keepsPatterns && isPattern(value) ? value : undefined)
/** Of this schema, to a part of it; whether there is such a part shows at the end. */
const reference: Reader = (value) => (typeof value === 'string' && /^#(\/[\w.$~-]+)*$/.test(value) ? value : undefined)
const schema: Reader = (value, state) => (typeof value === 'boolean' ? value : part(value, state))
const schemas: Reader = (value, state) => {
  if (!Array.isArray(value) || value.length === 0) return undefined
  return value.map((one) => object(one, state))
}
/** Older schemas have a list here. */
const items: Reader = (value, state) => (Array.isArray(value) ? undefined : schema(value, state))
const schemaMap =
  (allows: (key: string) => boolean): Reader =>
  (value, state) => {
    if (!isObject(value)) return undefined
    const kept = Object.entries(value).filter(([key]) => allows(key))
    if (kept.length < Object.keys(value).length) state.isSame = false
    return Object.fromEntries(kept.map(([key, one]) => [key, object(one, state)]))
  }
const properties = schemaMap(isKey)
/** Not such a name as would itself be taken for a keyword. */
const definitions = schemaMap((key) => isKey(key) && !key.startsWith('$'))
const patternProperties = schemaMap((key) => isKey(key) && isPattern(key))

/** Keywords that are shown. Those without effect on what is allowed are in {@link NOTES}, too. */
const KEYWORDS = new Map<string, Reader>(
  Object.entries({
    ...{ title: text, description: text, enumNames: texts, enumDescriptions: texts, default: exact, examples: exacts },
    ...{ deprecated: flag, readOnly: flag, writeOnly: flag, format, type, enum: exacts, const: exact, $ref: reference },
    ...{ minimum: number, maximum: number, exclusiveMinimum: number, exclusiveMaximum: number, pattern },
    multipleOf: (value) => (Number.isFinite(value) && (value as number) > 0 ? value : undefined),
    ...{ minLength: count, maxLength: count, minItems: count, maxItems: count, minProperties: count, maxProperties: count },
    ...{ minContains: count, maxContains: count, uniqueItems: flag, required: names },
    ...{ items, prefixItems: schemas, contains: schema, unevaluatedItems: schema, properties, patternProperties },
    ...{ additionalProperties: schema, unevaluatedProperties: schema, propertyNames: schema, dependentSchemas: definitions },
    ...{ allOf: schemas, anyOf: schemas, oneOf: schemas, not: schema, if: schema, then: schema, else: schema },
    ...{ $defs: definitions, definitions }
  } satisfies Record<string, Reader>)
)
/** They may be left out, and a schema still allows the same. Of patterns see {@link shownOutput}. */
const NOTES =
  /^(\$comment|\$schema|title|description|enumNames|enumDescriptions|default|examples|deprecated|readOnly|writeOnly|format|pattern|x-.*)$/

function rewritten(root: JsonObject, { keepsPatterns }: { keepsPatterns: boolean }): { shown: JsonObject; isSame: boolean } {
  const state: Rewriting = { keepsPatterns, isSame: true, parts: new Set() }
  const shown = part(root, state) ?? {}
  for (const one of state.parts as Set<JsonObject>) {
    const ref = one['$ref']
    if (ref === undefined || state.parts.has(partAt(shown, ref as string))) continue
    delete one['$ref']
    state.isSame = false
  }
  return { shown, isSame: state.isSame }
}

function part(value: JsonValue, state: Rewriting): JsonObject | undefined {
  if (!isObject(value)) return undefined
  const made: JsonObject = {}
  for (const [keyword, under] of Object.entries(value)) {
    const read = KEYWORDS.get(keyword)?.(under, state)
    if (read !== undefined) made[keyword] = read
    else if (!NOTES.test(keyword)) state.isSame = false
  }
  state.parts.add(made)
  return made
}

/** As an object: not all clients know that a schema may be `true` or `false`. */
function object(value: JsonValue, state: Rewriting): JsonObject {
  const made = value === false ? { not: {} } : value === true ? {} : part(value, state)
  if (made === undefined) state.isSame = false
  if (typeof value === 'boolean') state.parts.add(made)
  return made ?? {}
}

function partAt(root: JsonObject, ref: string): JsonValue | undefined {
  let found: JsonValue | undefined = root
  for (const step of ref.split('/').slice(1))
    found = (found as JsonObject | undefined)?.[step.replaceAll('~1', '/').replaceAll('~0', '~')]
  return found
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isKey(name: string): boolean {
  return name !== '__proto__' && isSeen(name)
}

function isPattern(value: JsonValue): value is string {
  if (typeof value !== 'string' || !isSeen(value)) return false
  try {
    // As those that check by JSON Schema read it.
    return new RegExp(value, 'u') instanceof RegExp
  } catch {
    return false
  }
}
