/** The images in an answer of a server, as bytes. */
import type { JsonValue } from '../../protocols/json.ts'
import { MeshError, abortError } from '../errors.ts'
import { httpRequest } from './http-request.ts'
import { readAnswer } from './openai-endpoint.ts'

/** Largest image, in bytes. */
export const MAX_IMAGE_BYTES = 16 * 1024 * 1024

/** An image. */
export interface GeneratedImage {
  bytes: Uint8Array
  mediaType: string
  /** What the server made of the prompt. */
  revisedPrompt: string | undefined
}

/**
 * Reads one entry of `data` (https://platform.openai.com/docs/api-reference/images/object): `b64_json`, or `url`, which is fetched from `origins` alone, without a key.
 * @throws MeshError `protocol_error` for what is no image, `too_large`, `unavailable`, and what the signal aborts with.
 */
export async function readImage(entry: JsonValue, origins: readonly string[], signal: AbortSignal): Promise<GeneratedImage> {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) throw noImage()
  const { b64_json: encoded, url, revised_prompt: revised } = entry
  let bytes: Uint8Array
  if (typeof encoded === 'string') bytes = decode(encoded)
  else if (typeof url === 'string') bytes = await fetchImage(url, origins, signal)
  else throw noImage()
  const mediaType = imageTypeOf(bytes)
  if (mediaType === undefined) throw noImage()
  return { bytes, mediaType, revisedPrompt: typeof revised === 'string' ? revised.slice(0, 4_000) : undefined }
}

/** What kind of image it is, by its first bytes: a server may say anything. Undefined if it is none that is known. */
export function imageTypeOf(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(12, bytes.length)).toString('latin1')
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (start.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  return start.startsWith('RIFF') && start.slice(8) === 'WEBP' ? 'image/webp' : undefined
}

function decode(encoded: string): Uint8Array {
  if (encoded.length > Math.ceil(MAX_IMAGE_BYTES / 3) * 4)
    throw new MeshError('too_large', `the server gives an image of more than ${MAX_IMAGE_BYTES} bytes`, {
      limit: MAX_IMAGE_BYTES
    })
  return Buffer.from(encoded, 'base64')
}

async function fetchImage(address: string, origins: readonly string[], signal: AbortSignal): Promise<Uint8Array> {
  if (!/^https?:/.test(address) || !URL.canParse(address)) throw noImage()
  const url = new URL(address)
  // A server must not make this node ask others, such as those of its own network; nor without encryption what is to be asked with it.
  if (!origins.includes(url.origin))
    throw new MeshError('protocol_error', `the server gives an image at ${url.origin}; imageHosts of the backend may name it`)
  try {
    const answer = await httpRequest(url, { signal })
    if (answer.ok) return await readAnswer(answer.body, MAX_IMAGE_BYTES)
    answer.cancel()
    throw new MeshError('unavailable', `the image cannot be fetched (HTTP ${answer.status})`)
  } catch (error) {
    if (signal.aborted) throw abortError(signal)
    if (error instanceof MeshError) throw error
    throw new MeshError('unavailable', `the image cannot be fetched from ${url.origin}`)
  }
}

function noImage(): MeshError {
  return new MeshError('protocol_error', 'the server answers with something that is no image')
}
