/** What callers may not have a server of models do: it stands behind the firewall of its owner, and is his to set up. */
import { MeshError } from '../errors.ts'
import type { JsonObject, JsonValue } from '../core/invoke.ts'
import { originsOf } from './image-hosts.ts'

/**
 * How a server runs its models, or what it runs, and nothing of the question: `chat_template` (vLLM, a program of Jinja), `lora`, `id_slot` (llama.cpp), `keep_alive`, `options` (Ollama), `n_ctx`
 * (LlamaFarm) and their like.
 */
export const OWNER_FIELDS = [
  'chat_template',
  'id_slot',
  'keep_alive',
  'kv_transfer_params',
  'lora',
  'media_io_kwargs',
  'mm_processor_kwargs',
  'n_ctx',
  'num_ctx',
  'options',
  'priority',
  'slot_id'
] as const

/** Kinds of parts of a message that may be at an address. */
const MEDIA = ['image_url', 'video_url', 'audio_url', 'input_image', 'file_url']

/**
 * Makes sure that a request for a chat asks for nothing but an answer. A server fetches what a message names by its address, from where it stands: no caller makes it ask others.
 * @param imageHosts where it may fetch, of the configuration.
 * @throws MeshError `invalid_argument` that names the field.
 */
export function checkChatRequest(input: JsonObject, baseUrl: string, imageHosts: readonly string[] = []): void {
  const field = OWNER_FIELDS.find((key) => Object.hasOwn(input, key))
  if (field !== undefined)
    throw new MeshError('invalid_argument', `${field} is set by the owner of the model alone; leave it out`, { key: field })
  const origins = originsOf(baseUrl, imageHosts)
  for (const [at, message] of listOf(input['messages']).entries())
    for (const [n, part] of listOf(message['content']).entries())
      for (const kind of MEDIA) {
        const media = part[kind]
        const url = isObject(media) ? media['url'] : media
        if (url === undefined || isAllowed(url, origins)) continue
        const key = `messages[${at}].content[${n}].${kind}`
        throw new MeshError(
          'invalid_argument',
          `${key} must be a data: URL: this model does not fetch from other hosts (imageHosts of its backend may name some)`,
          { key }
        )
      }
}

function isAllowed(url: JsonValue, origins: readonly string[]): boolean {
  if (typeof url !== 'string') return false
  if (/^data:/i.test(url)) return true
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  return parsed !== undefined && origins.includes(parsed.origin)
}

function listOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.map((one) => (isObject(one) ? one : {})) : []
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
