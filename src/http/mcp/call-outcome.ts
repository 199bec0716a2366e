import { concat } from 'uint8arrays/concat'
import type { JsonValue } from '../../../protocols/json.ts'
import type { Call, CallItem } from '../../mesh-api.ts'

/** What the items of a call may be beside its result, in characters of JSON; the rest is left out, and counted. */
export const MAX_ITEMS_CHARACTERS = 64 * 1024
/** Bytes that a result may hold, an image or a sound; of more only the number is told. */
export const MAX_RESULT_BYTES = 2 * 1024 * 1024

/** What a call has given. */
export interface CallOutcome {
  result: JsonValue
  /** Values that came before the result, as far as they are kept, and how many were not. */
  items: JsonValue[]
  itemsLeftOut: number
  /** All bytes together; undefined where there were none, or more than {@link MAX_RESULT_BYTES}. */
  bytes: Uint8Array | undefined
  byteCount: number
  provider: string
  providerName: string
  durationMs: number
}

/** Reads a call to its end, and shows each item to `onItem`. What came before a restart is void. Rejects with MeshError. */
export async function readCall(call: Call, onItem: (item: CallItem) => void): Promise<CallOutcome> {
  let items: JsonValue[] = []
  let characters = 0
  let itemsLeftOut = 0
  let pieces: Uint8Array[] = []
  let byteCount = 0
  for await (const item of call) {
    onItem(item)
    if (item.kind === 'restart') {
      items = []
      pieces = []
      characters = itemsLeftOut = byteCount = 0
    } else if (item.kind === 'json') {
      characters += JSON.stringify(item.value).length
      if (characters <= MAX_ITEMS_CHARACTERS) items.push(item.value)
      else itemsLeftOut++
    } else if (item.kind === 'bytes') {
      byteCount += item.bytes.byteLength
      if (byteCount > MAX_RESULT_BYTES) pieces = []
      else pieces.push(item.bytes)
    }
  }
  const { result, provider, providerName, durationMs } = await call.result
  const bytes = byteCount > 0 && byteCount <= MAX_RESULT_BYTES ? concat(pieces, byteCount) : undefined
  return { result, items, itemsLeftOut, bytes, byteCount, provider, providerName, durationMs }
}
