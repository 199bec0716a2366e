import type { CapabilityDeclaration, TriggerDeclaration } from '../../../protocols/capability.ts'
import type { JsonSchema, JsonValue } from '../../../protocols/json.ts'
import { MAX_INTENT } from '../../../protocols/trigger/messages.ts'
import { MeshError } from '../../errors.ts'
import { nearest } from '../../../protocols/nearest.ts'
import { cut, pathOf, textOf, valueAt } from './payload-value.ts'

/** The text of an intent for a payload: never empty, never the template, 2,048 characters at most. */
export type IntentText = (payload: JsonValue) => string

/** A text as it is, or a key to be filled in. */
type Part = string | { path: string[] }

/** `{{…}}` is the text `{…}`; `{…}` a key. Both are linear: a brace ends what may stand in one. */
const BRACES = /\{\{([^{}]*)\}\}|\{([^{}]*)\}|[{}]/g

/**
 * Reads the template of a trigger. `{key}` and `{a.b}` are filled from the payload, else from the metadata of the capability; what is missing
 * stands there as `(key?)`. Nothing is evaluated, and values are not read for braces again. Without a template the description is the text, or the name of the event.
 * @throws MeshError `invalid_argument` for braces that are no key, and for a key that no payload of its schema has, nor the metadata.
 */
export function compileIntent(
  capability: Pick<CapabilityDeclaration, 'id' | 'metadata'>,
  { event, description, intentTemplate, payload: schema }: TriggerDeclaration
): IntentText {
  const { metadata = {} } = capability
  const template = intentTemplate ?? ''
  if (template.trim() === '') {
    const text = cut(description?.trim() || `${event.replace(/[_.-]+/g, ' ').trim() || event} (${capability.id})`, MAX_INTENT)
    return () => text
  }
  const parts = parse(template, (why, details) => {
    const message = `the intent of trigger "${event}" of "${capability.id}" ${why}`
    throw new MeshError('invalid_argument', message, { capability: capability.id, event, ...details })
  })
  for (const part of parts) {
    if (typeof part === 'string' || valueAt(metadata, part.path) !== undefined || mayHave(schema, part.path)) continue
    const key = part.path.join('.')
    const near = nearest(part.path[0]!, Object.keys(propertiesOf(schema)))
    const hint = near === undefined ? '' : `; did you mean "${near}"?`
    const message = `the intent of trigger "${event}" of "${capability.id}" wants {${key}}, which neither its payload can have nor the metadata has${hint}`
    throw new MeshError('invalid_argument', message, { capability: capability.id, event, key })
  }
  return (payload) => {
    let text = ''
    for (const part of parts) {
      if (typeof part === 'string') text += part
      else {
        const value = valueAt(payload, part.path) ?? valueAt(metadata, part.path)
        text += value === undefined ? `(${part.path.join('.')}?)` : textOf(value)
      }
    }
    return cut(text, MAX_INTENT)
  }
}

function parse(template: string, refuse: (why: string, details: Record<string, unknown>) => never): Part[] {
  const parts: Part[] = []
  let end = 0
  for (const { 0: match, 1: literal, 2: key, index } of template.matchAll(BRACES)) {
    parts.push(template.slice(end, index))
    end = index + match.length
    if (literal !== undefined) parts.push(`{${literal}}`)
    else if (key === undefined) refuse(`has a "${match}" without its other half; write {{text}} for {text}`, { index })
    else {
      const path = pathOf(key)
      if (path === undefined) refuse(`has {${key}}, which is no key such as {a} or {a.b}; write {{text}} for {text}`, { key })
      parts.push({ path })
    }
  }
  parts.push(template.slice(end))
  return parts.filter((part) => part !== '')
}

const UNSURE = ['$ref', '$dynamicRef', 'allOf', 'anyOf', 'oneOf', 'if', 'patternProperties', 'dependentSchemas'] as const

/** False if no value that fits the schema has something at the path. What takes more than a look may have it. */
function mayHave(schema: JsonSchema | JsonValue | undefined, path: readonly string[]): boolean {
  const [key, ...rest] = path
  if (schema === false) return false
  if (key === undefined || typeof schema !== 'object' || schema === null || Array.isArray(schema)) return true
  if (UNSURE.some((keyword) => Object.hasOwn(schema, keyword))) return true
  const types = [schema['type'] ?? ['object']].flat()
  if (types.includes('array')) return true
  if (!types.includes('object')) return false
  const properties = propertiesOf(schema)
  if (Object.hasOwn(properties, key)) return mayHave(properties[key], rest)
  if (schema['unevaluatedProperties'] === false) return false
  return mayHave(schema['additionalProperties'], rest)
}

function propertiesOf(schema: JsonSchema | JsonValue | undefined): Record<string, JsonValue> {
  const properties = typeof schema === 'object' && schema !== null && !Array.isArray(schema) ? schema['properties'] : undefined
  return typeof properties === 'object' && properties !== null && !Array.isArray(properties) ? properties : {}
}
