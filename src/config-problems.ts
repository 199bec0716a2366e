/** What is wrong with a configuration, in words that name the key and what to do. */
import type { ErrorObject } from 'ajv'
import { nearest } from '../protocols/nearest.ts'
import { FORMATS } from './config-formats.ts'
import { patternInWords } from './config-patterns.ts'

/** Something wrong at one place. */
export interface ConfigProblem {
  /** Where: keys and indices from the top. */
  path: (string | number)[]
  message: string
  /** True if the key is meant, not its value. */
  atKey?: boolean
  /** Keys of which one is missing here. */
  missing?: string[]
  /** The key that a mistyped one most likely stands for. */
  meant?: string
}

/** Most of the problems that are told at once. */
export const MAX_PROBLEMS = 10

/** Turns the errors of Ajv (`allErrors` and `verbose` on) into problems, most telling ones only. */
export function problemsOf(errors: readonly ErrorObject[]): ConfigProblem[] {
  const isChoice = ({ keyword }: ErrorObject) => keyword === 'oneOf' || keyword === 'anyOf'
  const choices = errors.filter(isChoice)
  const inBranch = (error: ErrorObject) =>
    choices.some((choice) => choice !== error && error.schemaPath.startsWith(`${choice.schemaPath}/`))
  // A format of ours says it better than the patterns and lengths beside it.
  const told = (error: ErrorObject) =>
    errors.some((other) => other !== error && other.keyword === 'format' && other.instancePath === error.instancePath)
  const outer = errors.filter((error) => !inBranch(error) && !told(error))
  const problems = outer.flatMap((error) => (isChoice(error) ? choiceProblems(error, errors) : [problemOf(error)]))
  // A mistyped key is missing under its right name as well: that is one mistake, not two.
  const isTypo = ({ path, missing = [] }: ConfigProblem) =>
    problems.some(
      (other) =>
        other.meant !== undefined && missing.includes(other.meant) && showPath(other.path.slice(0, -1)) === showPath(path)
    )
  const unique = new Map(
    problems.filter((problem) => !isTypo(problem)).map((problem) => [`${showPath(problem.path)} ${problem.message}`, problem])
  )
  return [...unique.values()]
}

/** Of several forms none fits: tell what is missing for the one that comes closest. */
function choiceProblems(choice: ErrorObject, errors: readonly ErrorObject[]): ConfigProblem[] {
  const branches = new Map<string, ErrorObject[]>()
  for (const error of errors) {
    if (!error.schemaPath.startsWith(`${choice.schemaPath}/`)) continue
    const branch = error.schemaPath.slice(choice.schemaPath.length + 1).split('/', 1)[0] ?? ''
    branches.set(branch, [...(branches.get(branch) ?? []), error])
  }
  const all = [...branches.values()]
  const path = pathOf(choice.instancePath)
  if (all.length > 1 && all.every((branch) => branch.every(({ keyword }) => keyword === 'required'))) {
    const missing = all.flat().map(({ params }) => (params as { missingProperty: string }).missingProperty)
    return [{ path, missing, message: `must have ${missing.map(quoted).join(' or ')}` }]
  }
  if (all.length > 1 && all.every((branch) => branch.every(({ keyword }) => keyword === 'false schema'))) {
    const keys = all.flatMap((branch) => quoted(lastKey(branch[0]?.instancePath ?? '')))
    return [{ path, message: `cannot have both ${[...new Set(keys)].join(' and ')}` }]
  }
  const types = all.map(
    (branch) =>
      branch.find(({ keyword, instancePath }) => keyword === 'type' && instancePath === choice.instancePath)?.params as
        { type?: string } | undefined
  )
  if (types.length > 0 && types.every((params) => params?.type !== undefined)) {
    return [{ path, message: `must be ${types.map((params) => params?.type).join(' or ')}` }]
  }
  // A branch of the right type says more than one of the wrong type, and so does one in which only something further down is wrong.
  const inside = all.filter((branch) =>
    branch.every(({ instancePath }) => instancePath !== choice.instancePath || isKeyed(branch))
  )
  if (inside.length === 0) {
    const forms = formsInWords(choice.parentSchema as Schema | undefined)
    if (forms !== undefined) return [{ path, message: `must be ${forms}` }]
  }
  const fitting = inside.length > 0 ? inside : all.filter((_, index) => types[index] === undefined)
  const closest = (fitting.length > 0 ? fitting : all).reduce<ErrorObject[] | undefined>(
    (best, branch) => (best && best.length <= branch.length ? best : branch),
    undefined
  )
  return closest ? problemsOf(closest) : [{ path, message: 'fits more than one form' }]
}

interface Schema {
  oneOf?: Schema[]
  anyOf?: Schema[]
  const?: unknown
  enum?: unknown[]
  type?: string | string[]
  minimum?: number
}

/** Its value is of the right type: only keys are wrong. */
function isKeyed(branch: readonly ErrorObject[]): boolean {
  return branch.every(({ keyword }) => keyword === 'additionalProperties' || keyword === 'required')
}

/** `'one', 'all' or a whole number from 1`; undefined where the forms differ in more than that. */
function formsInWords(parent: Schema | undefined): string | undefined {
  const forms = (parent?.oneOf ?? parent?.anyOf ?? []).flatMap((form) => {
    if (form.enum !== undefined) return form.enum.map((value) => JSON.stringify(value))
    if ('const' in form) return [JSON.stringify(form.const)]
    return form.type === undefined ? [undefined] : [typesInWords(form.type, form.minimum)]
  })
  if (forms.length === 0 || forms.includes(undefined)) return undefined
  return inARow(forms as string[])
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'keys with values'
}

function typesInWords(type: string | string[], minimum?: number): string {
  const words = [type].flat().map((one) => TYPES[one] ?? one)
  return `${inARow(words)}${minimum === undefined ? '' : ` from ${minimum}`}`
}

interface Bounds {
  minimum?: number
  maximum?: number
}

/** `1 to 3000`, or the bound that there is. */
function boundsInWords({ minimum, maximum }: Bounds): string {
  if (maximum === undefined) return `${minimum} at least`
  return minimum === undefined ? `${maximum} at most` : `${minimum} to ${maximum}`
}

/** `a, b or c`. */
function inARow(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

function problemOf(error: ErrorObject): ConfigProblem {
  const path = pathOf(error.instancePath)
  const params = error.params as Record<string, unknown>
  const parent = error.parentSchema as
    | { properties?: Record<string, unknown>; oneOf?: { properties: { kind: { const: string } } }[]; description?: string }
    | undefined
  switch (error.keyword) {
    case 'additionalProperties': {
      const key = String(params['additionalProperty'])
      const known = Object.keys(parent?.properties ?? {})
      return { path: [...path, key], atKey: true, meant: nearest(key, known), message: `unknown key; ${suggestion(key, known)}` }
    }
    case 'required': {
      const missing = String(params['missingProperty'])
      return { path, missing: [missing], message: `key ${quoted(missing)} is missing` }
    }
    case 'discriminator': {
      const kinds = parent?.oneOf?.map(({ properties }) => properties.kind.const) ?? []
      const given = params['tagValue']
      if (typeof given !== 'string') return { path: [...path, 'kind'], message: `must be one of ${kinds.join(', ')}` }
      return { path: [...path, 'kind'], message: `unknown kind ${quoted(given)}; ${suggestion(given, kinds)}` }
    }
    case 'enum': {
      const allowed = (params['allowedValues'] as unknown[]).map(String)
      return { path, message: `must be one of ${allowed.join(', ')}` }
    }
    case 'const':
      return { path, message: `must be ${JSON.stringify(params['allowedValue'])}` }
    case 'format':
      return { path, message: FORMATS[String(params['format'])]?.(String(error.data)) ?? error.message ?? error.keyword }
    case 'pattern':
      return { path, message: patternInWords(String(params['pattern'])) ?? error.message ?? error.keyword }
    case 'minimum':
    case 'maximum':
      return { path, message: `must be ${boundsInWords(error.parentSchema as Bounds)}` }
    case 'type':
      return { path, message: `must be ${inARow([params['type'] as string | string[]].flat())}` }
    case 'false schema':
      return { path, atKey: true, message: 'does not go with the other keys here' }
    default:
      return { path, message: error.message ?? error.keyword }
  }
}

/** `did you mean 'x'?`, or all there are. */
function suggestion(given: string, known: readonly string[]): string {
  const best = nearest(given, known)
  return best === undefined ? `known are: ${known.join(', ')}` : `did you mean ${quoted(best)}?`
}

/** `backends[1].command`; `(top)` for the whole. */
export function showPath(path: readonly (string | number)[]): string {
  if (path.length === 0) return '(top)'
  return path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`)).join('')
}

const quoted = (text: string) => `'${text}'`
const lastKey = (pointer: string) => String(pathOf(pointer).at(-1) ?? '')

function pathOf(pointer: string): (string | number)[] {
  if (pointer === '') return []
  const parts = pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  return parts.map((part) => (/^\d+$/.test(part) ? Number(part) : part))
}
