import { isSpecType, type CallToolResult, type ContentBlock } from '@modelcontextprotocol/server'
import type { JsonValue } from '../../../protocols/json.ts'
import { errorToJson, type MeshError } from '../../errors.ts'
import { ASK_TOOL } from '../../model-tools/ask-schema.ts'
import { toBase64 } from '../base64.ts'
import { MAX_RESULT_BYTES, type CallOutcome } from './call-outcome.ts'
import type { CatalogTool } from './tool-catalog.ts'
import { META, hasOutput } from './tool-listing.ts'

const UNKNOWN_BYTES = 'application/octet-stream'

/** How a call ended well, in the words of MCP: text for models, the value itself for programs, images and sound as what they are. `_meta` says who did it. */
export function toolResult({ callable: { tool } }: CatalogTool, outcome: CallOutcome): CallToolResult {
  const { result, provider, durationMs } = outcome
  const _meta = { [META.provider]: provider, [META.durationMs]: Math.round(durationMs) }
  const declared = hasOutput(tool)
  // What an MCP server behind the mesh has answered.
  if (!declared && isContent(result)) return { content: result, _meta }
  // What an agent yields are its steps: it has told them while it ran.
  const shown = tool.name === ASK_TOOL ? [] : itemsOf(outcome)
  const isStructured = declared || (typeof result === 'object' && result !== null && !Array.isArray(result))
  const content = [...shown, ...bytesOf(outcome)]
  // Clients that know no structured content read the text.
  if (result !== null || content.length === 0) content.push(textBlock(result))
  return { content, ...(isStructured && { structuredContent: result }), _meta }
}

/** How a call failed: told to the model, which may try something else. The code of the mesh stands before the message, and with the details in `_meta`. */
export function toolError(error: MeshError): CallToolResult {
  const { code, message, details } = errorToJson(error)
  return {
    isError: true,
    content: [{ type: 'text', text: `${code}: ${message}` }],
    _meta: { [META.error]: { code, message, details } }
  }
}

function isContent(value: JsonValue): value is ContentBlock[] & JsonValue {
  return Array.isArray(value) && value.length > 0 && value.every((one) => isSpecType.ContentBlock(one))
}

function itemsOf({ items, itemsLeftOut }: CallOutcome): ContentBlock[] {
  if (items.length === 0 && itemsLeftOut === 0) return []
  const left = itemsLeftOut === 0 ? [] : [`(${itemsLeftOut} more are left out)`]
  return [{ type: 'text', text: [...items.map(textOf), ...left].join('\n') }]
}

function bytesOf({ bytes, byteCount, result }: CallOutcome): ContentBlock[] {
  if (byteCount === 0) return []
  const mimeType = mediaTypeOf(result)
  if (bytes === undefined)
    return [textBlock(`(${byteCount} bytes of ${mimeType ?? UNKNOWN_BYTES}: more than the ${MAX_RESULT_BYTES} that are given)`)]
  if (mimeType === undefined || mimeType.startsWith('text/')) {
    const text = utf8Of(bytes)
    if (text !== undefined) return [textBlock(text)]
  }
  if (mimeType?.startsWith('image/') === true) return [{ type: 'image', data: toBase64(bytes), mimeType }]
  if (mimeType?.startsWith('audio/') === true) return [{ type: 'audio', data: toBase64(bytes), mimeType }]
  const resource = { uri: 'atmosphere:result', mimeType: mimeType ?? UNKNOWN_BYTES, blob: toBase64(bytes) }
  return [{ type: 'resource', resource }]
}

/** Tools say in their result what their bytes are. */
function mediaTypeOf(result: JsonValue): string | undefined {
  const type = typeof result === 'object' && result !== null && !Array.isArray(result) ? result['mediaType'] : undefined
  return typeof type === 'string' && /^[a-z]+\/[a-z0-9.+-]{1,64}$/i.test(type) ? type.toLowerCase() : undefined
}

function utf8Of(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return text.includes('\0') ? undefined : text
  } catch {
    return undefined
  }
}

function textBlock(value: JsonValue): ContentBlock {
  return { type: 'text', text: textOf(value) }
}

function textOf(value: JsonValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
