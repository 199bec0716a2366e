/** Which of several models is meant by what is asked. */
import type { JsonValue } from '../../../protocols/json.ts'
import { isMeshError } from '../../errors.ts'
import type { CapabilityView, Mesh } from '../../mesh-api.ts'
import { isObject } from './request-fields.ts'

/** Of what is asked so much is looked at, in characters. */
const MAX_ASKED_CHARS = 2_000
const NONE: readonly CapabilityView[] = []

/**
 * The models that the words mean, by what these say of themselves: those of this node alone, unless its owner believes others as well, since a member that says that it is for everything would
 * get everything. None where that is not clear, where all say the same, or where it is not known at once: nobody waits for it.
 * @param fit those that are able.
 */
export async function meantModels(
  mesh: Pick<Mesh, 'understand' | 'believesOthers'>,
  fit: readonly CapabilityView[],
  tool: string,
  words: string
): Promise<readonly CapabilityView[]> {
  const believed = mesh.believesOthers ? fit : fit.filter(({ local }) => local)
  const ids = [...new Set(believed.map(({ id }) => id))]
  const said = new Set(believed.map(({ description = '' }) => description))
  if (ids.length < 2 || said.size < 2 || words.trim() === '') return NONE
  const [type, ...otherTypes] = new Set(believed.map((one) => one.type))
  try {
    const options = { tool, ids, ...(otherTypes.length === 0 && { type }), atOnce: true }
    const { outcome, matches } = await mesh.understand(words, options)
    if (outcome !== 'one') return NONE
    return believed.filter((one) => matches.some((match) => match.capability === one.id && match.type === one.type))
  } catch (error) {
    if (isMeshError(error)) return NONE
    throw error
  }
}

/** What the user of a conversation has said last, its beginning. */
export function lastSaid(input: JsonValue): string {
  const messages = isObject(input) && Array.isArray(input['messages']) ? input['messages'] : []
  const last = messages.findLast((message) => isObject(message) && message['role'] === 'user')
  const content = isObject(last) ? last['content'] : undefined
  const parts = Array.isArray(content) ? content.map((part) => (isObject(part) ? part['text'] : undefined)) : [content]
  return parts
    .filter((part) => typeof part === 'string')
    .join('\n')
    .slice(0, MAX_ASKED_CHARS)
}
