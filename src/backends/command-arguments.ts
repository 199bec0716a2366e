/** Turns `run: [program, ...templates]` and an input into the arguments of a program. Pure. */
import { MeshError } from '../errors.ts'
import type { JsonObject, JsonValue } from '../core/invoke.ts'
import type { CommandToolConfig } from './command-config.ts'

/** Longest single argument, in bytes: what Linux takes (MAX_ARG_STRLEN), less its final zero. */
export const MAX_ARGUMENT_BYTES = 128 * 1024 - 1

const PLACEHOLDER = /\{\{([A-Za-z_][A-Za-z0-9_-]*)\}\}|\{([A-Za-z_][A-Za-z0-9_-]*)\}/g

type Part = { literal: string } | { key: string }

/** Makes the arguments for one input. Throws `invalid_argument`, `too_large`. */
export type ArgumentBuilder = (input: JsonObject) => string[]

/** Reads the templates of a tool once. Throws `invalid_config` for a placeholder as program, or one that the input schema does not have. */
export function compileArguments(tool: Pick<CommandToolConfig, 'name' | 'run' | 'input' | 'allowDash'>): ArgumentBuilder {
  const [program, ...templates] = tool.run
  if (program === undefined || program === '') throw configError(tool, 'run is empty; name the program first')
  if (parseTemplate(program).some((part) => 'key' in part))
    throw configError(tool, `the program "${program}" has a placeholder; name a fixed program`)
  const args = templates.map(parseTemplate)
  const properties = typeof tool.input === 'object' ? tool.input['properties'] : undefined
  for (const part of args.flat()) {
    if (!('key' in part)) continue
    if (typeof properties === 'object' && properties !== null && Object.hasOwn(properties, part.key)) continue
    throw configError(
      tool,
      `placeholder {${part.key}} is no property of its input; add it there, or write {{${part.key}}} for the text itself`
    )
  }

  return (input) => {
    const out: string[] = []
    for (const parts of args) {
      const arg = fill(parts, input)
      if (arg === undefined) continue
      checkArgument(tool, parts, arg)
      out.push(arg)
    }
    return out
  }
}

function configError(tool: { name: string }, problem: string): MeshError {
  return new MeshError('invalid_config', `tool "${tool.name}": ${problem}`, { tool: tool.name })
}

function parseTemplate(template: string): Part[] {
  const parts: Part[] = []
  let end = 0
  for (const match of template.matchAll(PLACEHOLDER)) {
    if (match.index > end) parts.push({ literal: template.slice(end, match.index) })
    parts.push(match[1] === undefined ? { key: match[2] ?? '' } : { literal: `{${match[1]}}` })
    end = match.index + match[0].length
  }
  if (end < template.length || parts.length === 0) parts.push({ literal: template.slice(end) })
  return parts
}

function fill(parts: readonly Part[], input: JsonObject): string | undefined {
  let arg = ''
  for (const part of parts) {
    if ('literal' in part) {
      arg += part.literal
      continue
    }
    const value = Object.hasOwn(input, part.key) ? input[part.key] : undefined
    if (value === undefined || value === null) return undefined
    arg += toText(value)
  }
  return arg
}

function toText(value: JsonValue): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function checkArgument(tool: { name: string; allowDash?: boolean }, parts: readonly Part[], arg: string): void {
  const first = parts.find((part) => 'key' in part)
  if (first === undefined) return
  const { key } = first
  if (arg.includes('\0'))
    throw new MeshError('invalid_argument', `"${key}" contains a zero byte; no program can take that`, { key })
  if (Buffer.byteLength(arg) > MAX_ARGUMENT_BYTES) {
    throw new MeshError('too_large', `"${key}" is longer than ${MAX_ARGUMENT_BYTES} bytes; shorten it`, {
      key,
      maxBytes: MAX_ARGUMENT_BYTES
    })
  }
  // The author wrote the dash himself, or allowed it: then it is his option and not one that a caller smuggles in.
  const dashIsOurs = parts[0] !== undefined && 'literal' in parts[0] && parts[0].literal.startsWith('-')
  if (arg.startsWith('-') && !dashIsOurs && tool.allowDash !== true) {
    throw new MeshError(
      'invalid_argument',
      `"${key}" begins with "-", which the program could take for an option; tool "${tool.name}" does not allow it`,
      { key }
    )
  }
}
