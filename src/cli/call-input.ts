/** The input of a tool from the command line. */
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { JsonObject, JsonSchema, JsonValue } from '../../protocols/json.ts'
import type { CapabilityView } from '../mesh-api.ts'
import { usageError } from './command-line.ts'

/**
 * Reads `--params`: JSON, `@FILE` with JSON, or `-` for JSON on stdin. Throws wrong usage.
 */
export async function readParams(given: string, stdin: NodeJS.ReadableStream = process.stdin): Promise<JsonValue> {
  const source = given === '-' ? 'stdin' : given.startsWith('@') ? given.slice(1) : '--params'
  let json = given
  if (given === '-') json = await text(stdin as NodeJS.ReadStream)
  else if (given.startsWith('@')) {
    json = await readFile(source, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw usageError(`cannot read ${source} (${error.code})`)
    })
  }
  try {
    return JSON.parse(json) as JsonValue
  } catch (error) {
    throw usageError(`${source} is not JSON: ${error instanceof Error ? error.message : 'it cannot be parsed'}`)
  }
}

/**
 * Adds `--param KEY=VALUE`s to an input; they win. A value is JSON if it parses as such, else text; where the schema of the
 * tool says that a key is a string and nothing else, it stays text as it is. Throws wrong usage.
 */
export function addParams(input: JsonValue | undefined, params: readonly string[], schema?: JsonSchema): JsonValue | undefined {
  if (params.length === 0) return input
  if (input !== undefined && (typeof input !== 'object' || input === null || Array.isArray(input))) {
    throw usageError('--param needs an object to add to, and --params is none')
  }
  const entries = params.map((param): [string, JsonValue] => {
    const at = param.indexOf('=')
    if (at < 1) throw usageError(`--param takes KEY=VALUE, not '${param}'`)
    const key = param.slice(0, at)
    const value = param.slice(at + 1)
    return [key, isText(schema, key) ? value : jsonOrText(value)]
  })
  return { ...input, ...Object.fromEntries(entries) }
}

/** The input schema of a tool, if the node knows exactly what is meant. */
export function schemaOf(capabilities: readonly CapabilityView[], target: string, tool: string): JsonSchema | undefined {
  const [name = ''] = target.split('@', 1)
  const found = capabilities.find(({ id, type, ref }) => ref === target || id === name || type === name)
  return found?.tools.find((one) => one.name === tool)?.input
}

function isText(schema: JsonSchema | undefined, key: string): boolean {
  const properties = typeof schema === 'object' ? (schema['properties'] as JsonObject | undefined) : undefined
  const property = properties?.[key]
  return typeof property === 'object' && property !== null && !Array.isArray(property) && property['type'] === 'string'
}

function jsonOrText(value: string): JsonValue {
  try {
    return JSON.parse(value) as JsonValue
  } catch {
    return value
  }
}
