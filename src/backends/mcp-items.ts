/** Between the words of MCP and ours. Pure, but for the error classes of the SDK. */
import { matchName } from '../../protocols/glob.ts'
import { ProtocolError, ProtocolErrorCode, SdkError, SdkErrorCode } from '@modelcontextprotocol/client'
import type { CallToolResult, Tool } from '@modelcontextprotocol/client'
import { MAX_TOOLS, checkCapability, type ToolDeclaration } from '../../protocols/capability.ts'
import { encodeCbor } from '../../protocols/cbor.ts'
import { checkSchema } from '../core/schema.ts'
import { MeshError } from '../errors.ts'
import type { JsonSchema, JsonValue } from '../core/invoke.ts'
import type { McpConfig } from './mcp-config.ts'

/** What the tools of one server may take together, in bytes; past it the largest are left out. A capability has 64 KiB. */
export const MAX_TOOLS_BYTES = 60_000
/** Longest description of a tool; what is longer is cut. */
export const MAX_TOOL_DESCRIPTION_LENGTH = 8_192
/** Tools that are left out and named; of more, only how many. */
export const MAX_NAMED_SKIPS = 16
/** A name that is longer is cut where it is told that it is left out. */
const MAX_SKIPPED_NAME = 64

const TOOL_NAME = /^[A-Za-z0-9_.-]{1,128}$/

/** What a server offers, sorted by what we can pass on. */
export interface OfferedTools {
  tools: ToolDeclaration[]
  /** Names that are allowed, but cannot be offered. */
  skipped: string[]
}

/** Declarations for the tools of a server. Schemas, annotations, titles and descriptions pass as they are. */
export function offeredTools(tools: readonly Tool[], filter: McpConfig['tools']): OfferedTools {
  const isAllowed = toolFilter(filter)
  const allowed = tools.filter((tool) => isAllowed(tool.name))
  // A tool that only runs as an MCP task has no answer that a call could wait for.
  const runnable = allowed.filter((tool) => TOOL_NAME.test(tool.name) && tool.execution?.taskSupport !== 'required')
  // The first of a name counts.
  const named = new Map(runnable.toReversed().map((tool) => [tool.name, tool]))
  const usable = runnable
    .filter((tool) => named.get(tool.name) === tool)
    .map(toDeclaration)
    .filter(isUsable)
  const fit = withinSize(usable.slice(0, MAX_TOOLS))
  const names = new Set(fit.map((tool) => tool.name))
  return { tools: fit, skipped: shortened(allowed.map((tool) => tool.name).filter((name) => !names.has(name))) }
}

/** Whether a capability may have it: one bad tool must not take the others of its server with it. */
function isUsable(tool: ToolDeclaration): boolean {
  try {
    checkCapability({ id: 'x', type: 'x', tools: [tool] })
    checkSchema(tool.input, 'input')
    checkSchema(tool.output, 'output')
    return true
  } catch {
    return false
  }
}

/** Leaves out the largest until the rest fits; of equal ones the last. */
function withinSize(tools: ToolDeclaration[]): ToolDeclaration[] {
  const sizes = new Map(tools.map((tool) => [tool, encodeCbor(tool).length]))
  let total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  const largestFirst = [...sizes].toReversed().sort(([, a], [, b]) => b - a)
  for (const [tool, size] of largestFirst) {
    if (total <= MAX_TOOLS_BYTES) break
    total -= size
    sizes.delete(tool)
  }
  return [...sizes.keys()]
}

function shortened(skipped: string[]): string[] {
  const shown = skipped.slice(0, MAX_NAMED_SKIPS).map((name) => name.slice(0, MAX_SKIPPED_NAME))
  return skipped.length > shown.length ? [...shown, `and ${skipped.length - shown.length} more`] : shown
}

function toDeclaration(tool: Tool): ToolDeclaration {
  const declaration: ToolDeclaration = { name: tool.name, input: tool.inputSchema as JsonSchema }
  if (tool.title !== undefined) declaration['title'] = tool.title
  if (tool.description !== undefined) declaration.description = tool.description.slice(0, MAX_TOOL_DESCRIPTION_LENGTH)
  if (tool.outputSchema !== undefined) declaration.output = tool.outputSchema as JsonSchema
  if (tool.annotations !== undefined) {
    declaration.annotations = tool.annotations
    declaration.idempotent = tool.annotations.idempotentHint === true || tool.annotations.readOnlyHint === true
  }
  return declaration
}

function toolFilter(filter: McpConfig['tools']): (name: string) => boolean {
  const fits = (globs: readonly string[], name: string): boolean => globs.some((glob) => matchName(glob, name))
  return (name) => (filter?.allow === undefined || fits(filter.allow, name)) && !fits(filter?.deny ?? [], name)
}

/**
 * The result of a call: `structuredContent` if there is any, else the text if it is all there is, else the content blocks
 * (images and audio stay base64 within them). Throws `tool_failed` if the tool says so.
 */
export function toResult(tool: string, result: CallToolResult): JsonValue {
  const content = result.content as JsonValue[]
  const text = result.content.length === 1 && result.content[0]?.type === 'text' ? result.content[0].text : undefined
  if (result.isError === true) {
    const texts = result.content.flatMap((block) => (block.type === 'text' ? [block.text] : []))
    throw new MeshError('tool_failed', texts.join('\n') || `tool "${tool}" failed without saying why`, { content })
  }
  if (result.structuredContent !== undefined) return result.structuredContent as JsonValue
  return text ?? content
}

/** What the SDK threw, as the mesh sees it. */
export function toCallError(error: unknown, tool: string): MeshError {
  if (error instanceof MeshError) return error
  const cause = { cause: error }
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof ProtocolError) {
    if (error.code === (ProtocolErrorCode.MethodNotFound as number))
      return new MeshError('unknown_tool', message, { tool }, cause)
    if (error.code === (ProtocolErrorCode.InvalidParams as number))
      return new MeshError('invalid_argument', message, { tool }, cause)
    return new MeshError('tool_failed', message, { tool, mcpCode: error.code }, cause)
  }
  if (error instanceof SdkError) {
    if (error.code === SdkErrorCode.RequestTimeout) return new MeshError('deadline_exceeded', message, { tool }, cause)
    if (error.code === SdkErrorCode.InvalidResult || error.code === SdkErrorCode.UnsupportedResultType) {
      return new MeshError('protocol_error', `the MCP server answered something that is no result: ${message}`, { tool }, cause)
    }
  }
  // Everything else is the connection: a closed pipe, a refused socket, a session that the server forgot.
  return new MeshError('unavailable', `the MCP server cannot be reached: ${message}`, { tool }, cause)
}
