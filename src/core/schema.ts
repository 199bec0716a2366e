import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { MeshError } from '../errors.ts'
import type { JsonSchema, JsonValue } from './invoke.ts'

/** Faults named in one error at most. */
export const MAX_NAMED_FAULTS = 20
/** References in a peer's schema past which it is not run here: a few dozen that name each other twice take for ever. */
export const MAX_FOREIGN_REFS = 16

const OPTIONS = {
  strict: false,
  allErrors: true,
  useDefaults: true,
  validateFormats: false,
  addUsedSchema: false,
  ownProperties: true
} as const

const own = new Ajv2020(OPTIONS)
/** A peer's patterns never run here: one bad regular expression would stop this node. The peer checks them itself. */
const foreign = new Ajv2020({
  ...OPTIONS,
  code: { regExp: Object.assign(() => ({ test: () => true }), { code: 'undefined' }) }
})

interface Compiled {
  check: ValidateFunction
  hasDefaults: boolean
}

const compiled = { own: new WeakMap<object, Compiled>(), foreign: new WeakMap<object, Compiled | null>() }

/** A fault of a value against a schema. */
export interface SchemaFault {
  /** JSON pointer (RFC 6901) to the place in the value. */
  pointer: string
  message: string
}

/** Whose schema it is: this node's own, or one that a peer announced. */
export type SchemaOwner = 'own' | 'foreign'

/**
 * Checks `value` and fills in defaults, on a copy if there are any.
 * @returns the value with defaults.
 * @throws MeshError `invalid_argument` with `details.errors`, a list of {@link SchemaFault}; also for an own schema that is none.
 */
export function validate(schema: JsonSchema | undefined, value: JsonValue, owner: SchemaOwner, what = 'input'): JsonValue {
  if (schema === undefined || schema === true) return value
  if (schema === false) throw new MeshError('invalid_argument', `${what} is not accepted at all by this schema`, { errors: [] })
  const known = compile(schema, owner)
  if (known === null) return value
  const { check, hasDefaults } = known
  const copy = hasDefaults ? structuredClone(value) : value
  try {
    if (check(copy) === true) return copy
  } catch (error) {
    // A schema that refers to itself without end. The provider decides about its own.
    if (owner === 'foreign') return value
    throw new MeshError(
      'invalid_argument',
      `the schema of ${what} cannot be run: ${(error as Error).message}`,
      { errors: [] },
      { cause: error }
    )
  }
  const errors = faults(check.errors ?? [], schema)
  const shown = errors.map(({ pointer, message }) => `${pointer === '' ? what : pointer} ${message}`).join('; ')
  throw new MeshError('invalid_argument', `${what} does not match the schema: ${shown}`, { errors })
}

/** Compiles a schema of this node so that a wrong one is told to its author. @throws MeshError `invalid_argument`. */
export function checkSchema(schema: JsonSchema | undefined, where: string): void {
  if (typeof schema !== 'object') return
  try {
    compile(schema, 'own')
  } catch (error) {
    throw new MeshError('invalid_argument', `${where} is not a usable JSON Schema (2020-12): ${(error as Error).message}`, {
      path: where
    })
  }
}

function compile(schema: object, owner: SchemaOwner): Compiled | null {
  let known = compiled[owner].get(schema)
  if (known !== undefined) return known
  if (owner === 'own') known = make(own, schema)
  else {
    known = null
    // The provider decides; a schema that this node cannot or will not read must not stop the call.
    try {
      if (isTame(JSON.stringify(schema))) known = make(foreign, schema)
    } catch {
      known = null
    }
  }
  compiled[owner].set(schema, known as Compiled)
  return known
}

function make(ajv: Ajv2020, schema: object): Compiled {
  const text = JSON.stringify(schema)
  // Older dialects (MCP servers write draft-07) differ in nothing that tools use; the keyword itself would be refused.
  const { $schema: _dialect, ...rest } = schema as Record<string, unknown>
  const check = ajv.compile(rest)
  // Ajv keeps every schema for ever; the weak map above keeps it as long as its capability lives. Without its id, because by that it would drop a dialect of the same name.
  delete rest['$id']
  ajv.removeSchema(rest)
  return { check, hasDefaults: text.includes('"default"') }
}

/**
 * Ids are left out because they would stay known to the schemas of others. A pattern that is taken as matched is right only where
 * matching is what is wanted: not in the name of a key, nor below a keyword that counts or turns round what matches.
 */
function isTame(text: string): boolean {
  if (/"(\$id|\$anchor|\$dynamicAnchor|patternProperties)"/.test(text)) return false
  if (text.includes('"pattern"') && /"(not|oneOf|if|contains|unevaluatedProperties|unevaluatedItems)"/.test(text)) return false
  return text.split(/"\$(?:ref|dynamicRef)"/).length - 1 <= MAX_FOREIGN_REFS
}

function faults(errors: ErrorObject[], schema: object): SchemaFault[] {
  return errors.slice(0, MAX_NAMED_FAULTS).map((error) => {
    const params = error.params as Record<string, unknown>
    if (error.keyword === 'additionalProperties' || error.keyword === 'unevaluatedProperties') {
      const key = String(params['additionalProperty'] ?? params['unevaluatedProperty'])
      const near = nearest(key, Object.keys((schema as { properties?: object }).properties ?? {}))
      return {
        pointer: `${error.instancePath}/${escape(key)}`,
        message: `is not a known key${near === undefined ? '' : `, did you mean "${near}"?`}`
      }
    }
    if (error.keyword === 'required')
      return { pointer: `${error.instancePath}/${escape(String(params['missingProperty']))}`, message: 'is required' }
    const allowed = error.keyword === 'enum' ? `: ${JSON.stringify(params['allowedValues']).slice(0, 200)}` : ''
    return { pointer: error.instancePath, message: `${error.message ?? error.keyword}${allowed}` }
  })
}

const escape = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')

/** The candidate that is at most two edits (Levenshtein) away, if any. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = 3
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > 2) continue
    const distance = editDistance(word.slice(0, 64), candidate.slice(0, 64))
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, n) => n)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}
