/** How agents are asked: what all who show their tools to a model need to know of it. */
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'

/** Tool of every agent, with which it is asked. */
export const ASK_TOOL = 'ask'
/** Key of the input of `ask`, beside the text. */
export const WAITING_KEY = 'waiting'

/** The schema of `ask` as a model is shown it: who waits is not for it to say. */
export function withoutWaiting(schema: JsonSchema | undefined): JsonSchema | undefined {
  const properties = typeof schema === 'object' ? (schema['properties'] as JsonObject | undefined) : undefined
  if (properties?.[WAITING_KEY] === undefined) return schema
  const { [WAITING_KEY]: _waiting, ...shown } = properties
  return { ...(schema as JsonObject), properties: shown }
}
