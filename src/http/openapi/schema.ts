/** Schemas of the local API, written short: JSON Schema 2020-12, as OpenAPI 3.1 has it. */
import type { JsonObject } from '../../../protocols/json.ts'

/** A JSON Schema. */
export type Schema = JsonObject

const described = (description: string | undefined): Schema => (description === undefined ? {} : { description })

/** A text. */
export const text = (description?: string, more: Schema = {}): Schema => ({ type: 'string', ...described(description), ...more })
/** A number. */
export const number = (description?: string, more: Schema = {}): Schema => ({
  type: 'number',
  ...described(description),
  ...more
})
/** A whole number, 0 or more. */
export const count = (description?: string): Schema => ({ type: 'integer', minimum: 0, ...described(description) })
/** True or false. */
export const flag = (description?: string): Schema => ({ type: 'boolean', ...described(description) })
/** One of these texts. */
export const oneOf = (values: readonly string[], description?: string): Schema => ({
  type: 'string',
  enum: [...values],
  ...described(description)
})
/** Exactly this text. */
export const exactly = (value: string): Schema => ({ type: 'string', const: value })
/** A list. */
export const list = (items: Schema, description?: string): Schema => ({ type: 'array', items, ...described(description) })
/** An object of any names with values of one kind. */
export const mapOf = (values: Schema, description?: string): Schema => ({
  type: 'object',
  additionalProperties: values,
  ...described(description)
})
/** Any JSON. */
export const anything = (description?: string): Schema => ({ ...described(description) })
/** A schema by its name among the components of the document. */
export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` })
/** This or null. */
export const orNull = (schema: Schema, description?: string): Schema =>
  typeof schema['type'] === 'string' && schema['enum'] === undefined
    ? { ...schema, type: [schema['type'], 'null'], ...described(description) }
    : { anyOf: [schema, { type: 'null' }], ...described(description) }
/** One of several. */
export const anyOf = (schemas: Schema[], description?: string): Schema => ({ anyOf: schemas, ...described(description) })

/** An object. A name that ends with `?` may be left out. */
export function object(properties: Record<string, Schema>, description?: string): Schema {
  const required = Object.keys(properties).filter((name) => !name.endsWith('?'))
  return {
    type: 'object',
    ...described(description),
    properties: Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name.replace(/\?$/, ''), schema])),
    ...(required.length > 0 && { required })
  }
}
