import { matchGlob } from '../../protocols/glob.ts'
import { parseTarget } from '../../protocols/named-node.ts'
import type { JsonValue } from '../core/invoke.ts'
import { tokensOf } from '../core/limits.ts'
import type { Call, CapabilityView } from '../mesh-api.ts'
import { MAX_PICTURE_BYTES, pictureOf, type Picture } from './pictures.ts'

/** What a tool may yield beside its result for an agent, in characters of JSON; the rest is left out. */
export const MAX_COLLECTED_CHARACTERS = 64 * 1024

const MODEL_TYPES = 'llm/*'

/** What a call has given. */
export interface CallOutcome {
  /** The result, or with what came before it `{ items, result }`. Of bytes, which no agent can read, only how many there were. */
  value: JsonValue
  result: JsonValue
  /** PeerId of the node that ran the tool. */
  provider: string
}

/** Reads a call to its end. Bytes that are a picture of at most {@link MAX_PICTURE_BYTES} are given to `onPicture`. Rejects with MeshError. */
export async function collectCall(call: Call, onPicture?: (picture: Picture) => void): Promise<CallOutcome> {
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
  const { provider } = await call.result
  if (items.length === 0 && bytes === 0) return { value: result, result, provider }
  const isCut = characters > MAX_COLLECTED_CHARACTERS
  const shown = { ...(items.length > 0 && { items }), ...(isCut && { itemsCut: true }), ...(bytes > 0 && { bytes }), result }
  return { value: shown, result, provider }
}

/** Tokens that a model says it took. Of other tools it is not believed: each of them could end an agent so. */
export function modelTokens({ result, provider }: CallOutcome, target: string, capabilities: () => CapabilityView[]): number {
  const told = tokensOf(result)
  if (told === 0) return 0
  const { name } = parseTarget(target)
  const called = capabilities().find(({ id, type, node }) => node === provider && (id === name || type === name))
  return called !== undefined && matchGlob(MODEL_TYPES, called.type) ? told : 0
}
