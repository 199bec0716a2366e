import type { JsonValue } from '../core/invoke.ts'
import { MeshError } from '../errors.ts'
import type { Call } from '../mesh-api.ts'
import { MAX_PICTURE_BYTES, pictureOf, type Picture } from './pictures.ts'

/** What a tool may yield beside its result for an agent, in characters of JSON; the rest is left out. */
export const MAX_COLLECTED_CHARACTERS = 64 * 1024

/**
 * Reads a call to its end: the result, or with what came before it `{ items, result }`. Of bytes only how many there were; if they are a picture of at most
 * {@link MAX_PICTURE_BYTES}, `onPicture` is given it.
 * Rejects with MeshError.
 */
export async function collectCall(call: Call, onPicture?: (picture: Picture) => void): Promise<JsonValue> {
  let items: JsonValue[] = []
  let characters = 0
  let bytes = 0
  let pieces: Uint8Array[] = []
  let result: JsonValue = null
  for await (const item of call) {
    if (item.kind === 'restart') {
      items = []
      pieces = []
      characters = bytes = 0
    } else if (item.kind === 'bytes') {
      bytes += item.bytes.byteLength
      if (bytes > MAX_PICTURE_BYTES) pieces = []
      else if (onPicture !== undefined) pieces.push(item.bytes)
    } else if (item.kind === 'result') result = item.value
    else if (item.kind === 'json') {
      characters += JSON.stringify(item.value).length
      if (characters <= MAX_COLLECTED_CHARACTERS) items.push(item.value)
    }
  }
  const picture = pictureOf(result, pieces)
  if (picture !== undefined) onPicture?.(picture)
  if (items.length === 0 && bytes === 0) return result
  const isCut = characters > MAX_COLLECTED_CHARACTERS
  return { ...(items.length > 0 && { items }), ...(isCut && { itemsCut: true }), ...(bytes > 0 && { bytes }), result }
}

/** Tokens of models that a result tells of, as `usage.total_tokens`. */
export function tokensOf(value: JsonValue): number {
  const usage = typeof value === 'object' && value !== null && !Array.isArray(value) ? value['usage'] : undefined
  const total = typeof usage === 'object' && usage !== null && !Array.isArray(usage) ? usage['total_tokens'] : undefined
  return typeof total === 'number' && total > 0 ? total : 0
}

/** Ends as soon as the signal does, whatever the work does then: who ignores its signal is left behind. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason instanceof Error ? signal.reason : new MeshError('cancelled', 'cancelled'))
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
