import type { JsonSchema } from '../../protocols/json.ts'
import type { ChatFunction } from '../core/chat.ts'
import { cutText } from '../core/cut-text.ts'
import { anyObject, shownSchema } from '../model-tools/shown-schema.ts'
import { shownText } from '../model-tools/shown-text.ts'

/** All functions that a model is shown at once, in characters: they go with each question, and count as tokens each time. */
export const MAX_FUNCTIONS_CHARACTERS = 48 * 1024
const MAX_DESCRIPTION = 1_024
/** Longest description where all do not fit: with the longest names, as many as are shown fit then. */
const SHORT_DESCRIPTION = 64

/** Something that a model may ask for. */
export interface Describable {
  name: string
  description: string | undefined
  schema: JsonSchema | undefined
}

/**
 * As a model is shown them. Where they are too long together, the longest schemas become "any object", and then the longest descriptions are cut:
 * so nobody's tools keep a model from being asked, and those of the others suffer last.
 */
export function shownFunctions(all: readonly Describable[]): ChatFunction[] {
  const functions = all.map(({ name, description = '', schema }): ChatFunction => {
    const text = shownText(description, MAX_DESCRIPTION)
    return { type: 'function', function: { name, description: text, parameters: shownSchema(schema) } }
  })
  const sized = functions.map((one) => ({ one: one.function, schema: JSON.stringify(one.function.parameters).length }))
  let over = JSON.stringify(functions).length - MAX_FUNCTIONS_CHARACTERS
  for (const { one, schema } of sized.sort((a, b) => b.schema - a.schema)) {
    if (over <= 0) break
    one.parameters = anyObject()
    over -= schema - JSON.stringify(one.parameters).length
  }
  for (const { one } of sized.sort((a, b) => b.one.description.length - a.one.description.length)) {
    if (over <= 0) break
    const before = JSON.stringify(one.description).length
    one.description = cutText(one.description, SHORT_DESCRIPTION)
    over -= before - JSON.stringify(one.description).length
  }
  return functions
}
