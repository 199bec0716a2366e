import type { Tool, ToolAnnotations } from '@modelcontextprotocol/server'
import type { ToolDeclaration } from '../../../protocols/capability.ts'
import { ASK_TOOL, withoutWaiting } from '../../model-tools/ask-schema.ts'
import { anyObject, shownOutput, shownSchema } from '../../model-tools/shown-schema.ts'
import { shownText } from '../../model-tools/shown-text.ts'
import type { CatalogTool } from './tool-catalog.ts'

/** Longest description of a tool, in characters. */
export const MAX_DESCRIPTION = 2_048
const MAX_TITLE = 128

/** Keys of `_meta` that are ours. */
export const META = {
  capability: 'atmosphere/capability',
  node: 'atmosphere/node',
  provider: 'atmosphere/provider',
  durationMs: 'atmosphere/durationMs',
  error: 'atmosphere/error'
} as const

/** A tool as `tools/list` shows it. `_meta` says whose it is: the capability, and the node that would be asked first. */
export function listedTool({ name, capability, callable: { target, tool } }: CatalogTool): Tool {
  const { description = capability.description } = tool
  const outputSchema = shownOutput(tool.output) as Tool['outputSchema']
  const title = typeof tool['title'] === 'string' ? tool['title'] : `${target} ${tool.name}`
  const annotations = annotationsOf(tool)
  return {
    name,
    title: shownText(title, MAX_TITLE),
    ...(description !== undefined && { description: shownText(description, MAX_DESCRIPTION) }),
    inputSchema: inputSchemaOf(tool),
    ...(outputSchema !== undefined && { outputSchema }),
    ...(annotations !== undefined && { annotations }),
    _meta: { [META.capability]: capability.id, [META.node]: capability.node }
  }
}

/** Whether its output schema is shown: then the result must be structured, and fit. */
export function hasOutput({ output }: ToolDeclaration): boolean {
  return shownOutput(output) !== undefined
}

function inputSchemaOf({ name, input }: ToolDeclaration): Tool['inputSchema'] {
  const schema = shownSchema(name === ASK_TOOL ? withoutWaiting(input) : input)
  // A tool takes an object, whatever its author wrote: clients refuse the whole list for one that says otherwise.
  return (schema['type'] === 'object' ? schema : anyObject()) as Tool['inputSchema']
}

/** Hints as their author gave them, and what the mesh itself knows. Nothing is guessed: without a hint a client has to take the worst. */
function annotationsOf({ annotations = {}, idempotent }: ToolDeclaration): ToolAnnotations | undefined {
  const shown: ToolAnnotations = {}
  for (const key of ['readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint'] as const)
    if (typeof annotations[key] === 'boolean') shown[key] = annotations[key]
  if (idempotent === true) shown.idempotentHint = true
  return Object.keys(shown).length > 0 ? shown : undefined
}
