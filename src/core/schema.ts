import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { nearest } from '../../protocols/nearest.ts'
import { MeshError } from '../errors.ts'
import type { JsonSchema, JsonValue } from './invoke.ts'

/** Faults named in one error at most. */
export const MAX_NAMED_FAULTS = 20
/** References in a peer's schema past which it is not run here: a few dozen that name each other twice take for ever. */
export const MAX_FOREIGN_REFS = 16

/** JSON of a value up to which all its faults are looked for, in characters; of a longer one the first is told. */
export const MAX_ALL_FAULTS_CHARACTERS = 16 * 1024

/** Schemas that one Ajv compiles before the next takes over: it keeps the parts of each as long as it lives. */
const SCHEMAS_PER_AJV = 64

const OPTIONS = {
  strict: false,
  useDefaults: true,
  validateFormats: false,
  ownProperties: true
} as const

const OWNER_OPTIONS = {
  own: OPTIONS,
  /** A peer's patterns never run here: one bad regular expression would stop this node. The peer checks them itself. */
  foreign: { ...OPTIONS, code: { regExp: Object.assign(() => ({ test: () => true }), { code: 'undefined' }) } }
} as const

interface Compiled {
  /** Stops at the first fault. */
  check: ValidateFunction
  /** Looks for all; made when it is needed first. */
  checkAll: () => ValidateFunction
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
  const copy = (): JsonValue => (known.hasDefaults ? structuredClone(value) : value)
  let errors: SchemaFault[]
  try {
    const checked = copy()
    if (holds(known.check, checked)) return checked
    let check = known.check
    if (JSON.stringify(value).length <= MAX_ALL_FAULTS_CHARACTERS) {
      check = known.checkAll()
      holds(check, copy())
    }
    errors = faults(check.errors ?? [], schema)
  } catch (error) {
    // A schema that refers to itself without end. The provider decides about its own.
    if (owner === 'foreign') return value
    const message = `the schema of ${what} cannot be run: ${(error as Error).message}`
    throw new MeshError('invalid_argument', message, { errors: [] }, { cause: error })
  }
  const shown = errors.map(({ pointer, message }) => `${pointer === '' ? 'it' : pointer} ${message}`).join('; ')
  throw new MeshError('invalid_argument', `${what} does not match the schema: ${shown}`, { errors })
}

/** What is no boolean is no answer: the check did not run. */
function holds(check: ValidateFunction, value: JsonValue): boolean {
  const answer: unknown = check(value)
  if (typeof answer === 'boolean') return answer
  // A promise: nobody waits for it, and it must not end the process.
  Promise.resolve(answer).catch(() => undefined)
  throw new Error('it does not answer at once')
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
  if (owner === 'own') known = make(schema, owner)
  else {
    known = null
    // The provider decides; a schema that this node cannot or will not read must not stop the call.
    try {
      if (mayRunHere(schema)) known = make(schema, owner)
    } catch {
      known = null
    }
  }
  compiled[owner].set(schema, known as Compiled)
  return known
}

function make(schema: object, owner: SchemaOwner): Compiled {
  const text = JSON.stringify(schema)
  if (ASYNC.test(text)) throw new Error('"$async" is not JSON Schema, and not supported; leave it out')
  let all: ValidateFunction | undefined
  return {
    check: compileWith(schema, text, owner, false),
    checkAll: () => (all ??= compileWith(schema, text, owner, true)),
    hasDefaults: text.includes('"default"')
  }
}

const ASYNC = /"\$async":/
const shared = new Map<string, { ajv: Ajv2020; count: number }>()

function compileWith(schema: object, text: string, owner: SchemaOwner, allErrors: boolean): ValidateFunction {
  // Older dialects (MCP servers write draft-07) differ in nothing that tools use; the keyword itself would be refused.
  const { $schema: _dialect, ...rest } = schema as Record<string, unknown>
  const name = `${owner} ${allErrors}`
  let current = shared.get(name)
  if (current === undefined || current.count >= SCHEMAS_PER_AJV) {
    shared.set(name, (current = { ajv: new Ajv2020({ ...OWNER_OPTIONS[owner], allErrors }), count: 0 }))
  }
  if (text.includes('"$id"')) {
    // Its names are its own: they neither meet those of other schemas nor those of the dialects.
    void current.ajv.validateSchema(rest, true)
    return new Ajv2020({ ...OWNER_OPTIONS[owner], allErrors, meta: false, validateSchema: false }).compile(rest)
  }
  // Without a name a schema cannot refer to itself.
  const named = { ...rest, $id: `atmosphere:schema/${current.count++}` }
  try {
    return current.ajv.compile(named)
  } finally {
    // Ajv keeps every schema for ever; the weak map above keeps it as long as its capability lives.
    current.ajv.removeSchema(named)
  }
}

/** Whether a peer's schema may be run on a node that is not the peer's, or by a client: one that is not may take for ever, or mean what is not seen here. */
export function mayRunHere(schema: object): boolean {
  try {
    return isTame(schema)
  } catch {
    return false
  }
}

/**
 * Ids are left out because a schema that names its parts may refer to itself in ways not seen here, and so is what does so plainly:
 * its check may take for ever. A pattern that is taken as matched is right only where matching is what is wanted: not in the
 * name of a key, nor below a keyword that counts or turns round what matches.
 */
function isTame(schema: object): boolean {
  const text = JSON.stringify(schema)
  if (/"(\$id|\$anchor|\$dynamicAnchor|\$dynamicRef|\$recursiveRef|patternProperties)"/.test(text)) return false
  if (text.includes('"pattern"') && /"(not|oneOf|if|contains|unevaluatedProperties|unevaluatedItems)"/.test(text)) return false
  return text.split('"$ref"').length - 1 <= MAX_FOREIGN_REFS && !isRecursive(schema)
}

/** Whether some part of a schema contains itself, by way of its references. One that leads nowhere counts as such. */
function isRecursive(schema: object): boolean {
  const open = new Set<unknown>()
  const done = new Set<unknown>()
  const visit = (part: unknown): boolean => {
    if (typeof part !== 'object' || part === null || done.has(part)) return part === undefined
    if (open.has(part)) return true
    open.add(part)
    const ref = (part as Record<string, unknown>)['$ref']
    const found = (typeof ref === 'string' && visit(at(schema, ref))) || Object.values(part).some(visit)
    open.delete(part)
    done.add(part)
    return found
  }
  return visit(schema)
}

/** The part that a reference within a schema means. */
function at(schema: object, ref: string): unknown {
  if (!/^#(\/|$)/.test(ref)) return undefined
  let part: unknown = schema
  for (const step of decodeURIComponent(ref).split('/').slice(1)) {
    part = (part as Record<string, unknown> | null | undefined)?.[step.replaceAll('~1', '/').replaceAll('~0', '~')]
  }
  return part
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
