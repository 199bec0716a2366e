/** Schemas as text for people, in the manner of TypeScript, with links to those that have a name. HTML. */
import type { JsonObject } from '../../../protocols/json.ts'

const INDENT = '  '

/** Escapes text for HTML, also within attributes. */
export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

/** What a value of a schema looks like. @param depth of the object that it is in. */
export function typeOf(schema: JsonObject, depth: number = 0): string {
  const { $ref, type, enum: values, const: value, anyOf, items } = schema
  if (typeof $ref === 'string') return linkTo($ref.slice($ref.lastIndexOf('/') + 1))
  if (value !== undefined) return escape(JSON.stringify(value))
  if (Array.isArray(values)) return values.map((one) => escape(JSON.stringify(one))).join(' | ')
  if (Array.isArray(anyOf)) return anyOf.map((one) => typeOf(one as JsonObject, depth)).join(' | ')
  if (Array.isArray(type)) return type.map((one) => typeOf({ ...schema, type: one }, depth)).join(' | ')
  if (type === 'array') return `list of ${typeOf((items ?? {}) as JsonObject, depth)}`
  if (type === 'object') return objectType(schema, depth)
  if (type === 'string') return 'text'
  if (type === 'integer') return 'number'
  return typeof type === 'string' ? type : 'any JSON'
}

function objectType({ properties = {}, required = [], additionalProperties: more }: JsonObject, depth: number): string {
  const fields = Object.entries(properties as Record<string, JsonObject>)
  if (fields.length === 0)
    return typeof more === 'object' && more !== null ? `{ any name: ${typeOf(more as JsonObject, depth)} }` : '{}'
  const inner = INDENT.repeat(depth + 1)
  const lines = fields.map(([name, schema]) => {
    const mark = (required as string[]).includes(name) ? '' : '?'
    const { description } = schema
    const note = typeof description === 'string' ? `  <span class="dim">// ${escape(description)}</span>` : ''
    return `${inner}${escape(name)}${mark}: ${typeOf(schema, depth + 1)}${note}\n`
  })
  const rest = more === true ? `${inner}<span class="dim">… and what its maker adds</span>\n` : ''
  return `{\n${lines.join('')}${rest}${INDENT.repeat(depth)}}`
}

const linkTo = (name: string): string => `<a href="#schema-${escape(name)}">${escape(name)}</a>`
