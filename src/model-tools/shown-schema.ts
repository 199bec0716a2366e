import type { JsonObject, JsonSchema } from '../../protocols/json.ts'

/** Longest schema that a model is shown, in characters; a longer one becomes "any object". The node that has the tool checks it all the same. */
export const MAX_SCHEMA_CHARACTERS = 16_384

/** The schema of an input as a model is shown it: clients and servers want an object at the top. */
export function shownSchema(schema: JsonSchema | undefined): JsonObject {
  if (typeof schema !== 'object' || JSON.stringify(schema).length > MAX_SCHEMA_CHARACTERS) return anyObject()
  const { $schema: _dialect, $id: _id, ...rest } = schema
  return { ...anyObject(), ...rest }
}

/** What says nothing but that it is an object. */
export function anyObject(): JsonObject {
  return { type: 'object', properties: {} }
}
