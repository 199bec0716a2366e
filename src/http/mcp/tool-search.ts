import type { Tool } from '@modelcontextprotocol/server'
import type { JsonObject } from '../../../protocols/json.ts'
import { MeshError } from '../../errors.ts'
import { shownText } from '../../model-tools/shown-text.ts'
import type { CatalogTool } from './tool-catalog.ts'
import { listedTool } from './tool-listing.ts'

/** Tools that a client is shown one by one; of more, the two of this file are shown instead. */
export const MAX_LISTED_TOOLS = 40
/** Finds tools. Its name has no `__`, so no tool of the mesh has it. */
export const SEARCH_TOOL = 'search_tools'
/** Calls one that was found. */
export const CALL_TOOL = 'call_tool'
/** Tools that a search gives where it does not say, and at most. */
const DEFAULT_FOUND = 8
const MAX_FOUND = 25
const MAX_QUERY = 1_000
const MAX_TYPES = 40

/** What is shown where there are too many: what there is goes into the description, for models that would not look else. */
export function searchTools(tools: readonly CatalogTool[]): Tool[] {
  const types = [...new Set(tools.map(({ capability }) => capability.type))].sort()
  const more = types.length > MAX_TYPES ? `, and ${types.length - MAX_TYPES} other kinds` : ''
  const kinds = shownText(types.slice(0, MAX_TYPES).join(', '), 1_024)
  return [
    {
      name: SEARCH_TOOL,
      title: 'Search tools',
      description: `Finds tools of the mesh by what they do: there are ${tools.length}, of these kinds: ${kinds}${more}. Call what it finds with ${CALL_TOOL}.`,
      inputSchema: {
        type: 'object',
        required: ['query'],
        additionalProperties: false,
        properties: {
          query: { type: 'string', minLength: 1, maxLength: MAX_QUERY, description: 'What the tool should do, in a few words.' },
          limit: { type: 'integer', minimum: 1, maximum: MAX_FOUND, default: DEFAULT_FOUND }
        }
      },
      outputSchema: {
        type: 'object',
        required: ['tools', 'total'],
        properties: { tools: { type: 'array', items: { type: 'object' } }, total: { type: 'integer' } }
      },
      annotations: { readOnlyHint: true, openWorldHint: false }
    },
    {
      name: CALL_TOOL,
      title: 'Call a tool',
      description: `Calls a tool that ${SEARCH_TOOL} has found, with arguments that fit its inputSchema.`,
      inputSchema: {
        type: 'object',
        required: ['name'],
        additionalProperties: false,
        properties: { name: { type: 'string' }, arguments: { type: 'object' } }
      }
    }
  ]
}

/** Answers {@link SEARCH_TOOL}. @throws MeshError `invalid_argument`. */
export function searchAnswer(tools: readonly CatalogTool[], { query, limit = DEFAULT_FOUND }: JsonObject): JsonObject {
  if (typeof query !== 'string' || query.trim() === '' || query.length > MAX_QUERY)
    throw new MeshError('invalid_argument', `query must be a text of at most ${MAX_QUERY} characters`, { key: 'query' })
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 1 || limit > MAX_FOUND)
    throw new MeshError('invalid_argument', `limit must be a whole number from 1 to ${MAX_FOUND}`, { key: 'limit' })
  const found = rank(tools, query).slice(0, limit)
  const shown = found.map((tool) => {
    const { name, description = '', inputSchema } = listedTool(tool)
    return { name, description, inputSchema: inputSchema as JsonObject }
  })
  return { tools: shown, total: tools.length }
}

/** What {@link CALL_TOOL} means. @throws MeshError `invalid_argument`. */
export function namedCall(input: JsonObject): { name: string; input: JsonObject } {
  const { name, arguments: given = {} } = input
  if (typeof name !== 'string')
    throw new MeshError('invalid_argument', `name must be that of a tool; ${SEARCH_TOOL} finds them`, { key: 'name' })
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new MeshError('invalid_argument', 'arguments must be an object', { key: 'arguments' })
  return { name, input: given }
}

/** Those in which words of the query stand, the best first: rare words count more than common ones, and names more than descriptions. */
function rank(tools: readonly CatalogTool[], query: string): CatalogTool[] {
  const asked = new Set(wordsOf(query))
  const known = tools.map((tool) => {
    const { capability, callable, name } = tool
    const names = new Set(wordsOf([name, capability.name, capability.type, callable.tool.name].join(' ')))
    const texts = [
      capability.description,
      callable.tool.description,
      ...(capability.examples ?? []),
      ...(capability.keywords ?? [])
    ]
    return { tool, names, words: new Set([...names, ...wordsOf(texts.join(' '))]) }
  })
  const weights = new Map(
    [...asked].map((word) => [word, Math.log(1 + tools.length / (1 + known.filter(({ words }) => words.has(word)).length))])
  )
  const scored = known.map(({ tool, names, words }) => {
    const score = [...weights].reduce((sum, [word, weight]) => sum + (names.has(word) ? 2 : words.has(word) ? 1 : 0) * weight, 0)
    return { tool, score }
  })
  // A sort that keeps the order of equals: that of their names.
  return scored
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ tool }) => tool)
}

/** Words of a text, in small letters and without the `s` of a plural; `readTheLamp` has three. */
function wordsOf(text: string): string[] {
  const apart = text.replace(/(\p{Ll})(\p{Lu})/gu, '$1 $2').toLowerCase()
  return (apart.match(/[\p{L}\p{N}]+/gu) ?? []).map((word) => (word.length > 3 ? word.replace(/s$/, '') : word))
}
