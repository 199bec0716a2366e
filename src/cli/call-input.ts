/** The input of a tool from the command line. */
import { createReadStream } from 'node:fs'
import { isDeeper, type JsonObject, type JsonSchema, type JsonValue } from '../../protocols/json.ts'
import { MAX_JSON_DEPTH } from '../../protocols/shape.ts'
import type { CapabilityView } from '../mesh-api.ts'
import { usageError } from './command-line.ts'

/** Most that is read of a file or stdin, in bytes: what the local API takes. */
const MAX_INPUT_BYTES = 32 * 1024 * 1024

/**
 * Reads `--params`, or what else is called `name`: JSON, `@FILE` with JSON, or `-` for JSON on stdin. Throws wrong usage.
 */
export async function readParams(
  given: string,
  stdin: NodeJS.ReadableStream = process.stdin,
  name = '--params'
): Promise<JsonValue> {
  const source = given === '-' ? 'stdin' : given.startsWith('@') ? given.slice(1) : name
  let json = given
  if (given === '-') json = await readAll(stdin, source)
  else if (given.startsWith('@')) json = await readAll(createReadStream(source), source)
  let value: JsonValue
  try {
    // Editors on Windows begin a file with a byte order mark.
    value = JSON.parse(json.replace(/^\ufeff/, '')) as JsonValue
  } catch (error) {
    throw usageError(`${source} is not JSON: ${error instanceof Error ? error.message : 'it cannot be parsed'}`)
  }
  if (isDeeper(value, MAX_JSON_DEPTH)) throw usageError(`${source} is nested too deep; ${MAX_JSON_DEPTH} levels are the most`)
  return value
}

/** A device has no size to look at, so what comes is counted. */
async function readAll(stream: NodeJS.ReadableStream, source: string): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of stream) {
      const piece = Buffer.from(chunk)
      bytes += piece.byteLength
      if (bytes > MAX_INPUT_BYTES) break
      chunks.push(piece)
    }
  } catch (error) {
    throw usageError(`cannot read ${source} (${(error as NodeJS.ErrnoException).code})`)
  }
  if (bytes > MAX_INPUT_BYTES) throw usageError(`${source} is over ${MAX_INPUT_BYTES} bytes, which no call takes`)
  return Buffer.concat(chunks).toString('utf8')
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
    const read = isText(schema, key) ? value : jsonOrText(value)
    if (isDeeper(read, MAX_JSON_DEPTH))
      throw usageError(`--param ${key} is nested too deep; ${MAX_JSON_DEPTH} levels are the most`)
    return [key, read]
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
