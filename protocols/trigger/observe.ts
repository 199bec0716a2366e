/** Copies of events for those who observe them. */
import { MAX_CAPABILITY_ID, MAX_CAUSES } from '../call/messages.ts'
import { MeshError } from '../errors.ts'
import { asArray, asBytes, asMap, asText, asUint, optional } from '../shape.ts'
import { MAX_EVENT_BYTES } from './event.ts'
import { parseEventPattern } from './event-pattern.ts'

/** Most patterns of one exchange `observe`. */
export const MAX_EVENT_PATTERNS = 64
/** Longest type of a capability, in characters, in a copy. */
export const MAX_COPY_TYPE = 256
/** Most capabilities that the first item names. */
export const MAX_REFUSED = 16
const MAX_ID_BYTES = 64

/** An event as its source copies it to who observes it. */
export interface EventCopy {
  /** Type of the capability that raised it: that of the event is the same with dots, and so not to be taken apart. */
  type: string
  /** The event, encoded. */
  event: Uint8Array
  /** On whose behalf it was raised, PeerIds as multihash bytes, without the source. Never empty. */
  causes?: Uint8Array[] | undefined
  /** How many copies before this one found no room. */
  lost: number
}

/** First item of an exchange `observe`: from here on, everything that fits is copied. */
export interface ObserveBegin {
  /** Ids of capabilities that raise what is asked for, and that this node may not observe; {@link MAX_REFUSED} at most. */
  refused: string[]
}

/** Body of an item of the source. */
export function encodeCopy(item: EventCopy | ObserveBegin): unknown {
  if ('refused' in item) return { r: item.refused.length === 0 ? undefined : item.refused }
  const { type, event, causes, lost } = item
  return { t: type, e: event, v: causes, l: lost === 0 ? undefined : lost }
}

/** The event in it is not decoded. @throws MeshError `protocol_error`. */
export function decodeCopy(body: unknown): EventCopy | ObserveBegin {
  const map = asMap(body, 'item')
  if (map['t'] === undefined && map['e'] === undefined)
    return {
      refused: optional(map['r'], (ids) => asArray(ids, 'r', MAX_REFUSED).map((id) => asText(id, 'r', MAX_CAPABILITY_ID))) ?? []
    }
  return {
    type: asText(map['t'], 't', MAX_COPY_TYPE),
    event: asBytes(map['e'], 'e', MAX_EVENT_BYTES, 1),
    causes: optional(map['v'], asCauses),
    lost: optional(map['l'], (value) => asUint(value, 'l')) ?? 0
  }
}

/** Patterns of an open frame, each checked. @throws MeshError `protocol_error`. */
export function asPatterns(value: unknown): string[] {
  const patterns = asArray(value, 'p', MAX_EVENT_PATTERNS).map((one) => asText(one, 'p', MAX_COPY_TYPE))
  if (patterns.length === 0) throw new MeshError('protocol_error', 'field "p" of a peer\'s message must not be empty')
  try {
    patterns.forEach(parseEventPattern)
  } catch (error) {
    throw new MeshError('protocol_error', `field "p" of a peer's message: ${(error as Error).message}`, {}, { cause: error })
  }
  return patterns
}

/** PeerIds of a delivery or a copy. @throws MeshError `protocol_error`. */
export function asCauses(value: unknown): Uint8Array[] {
  const causes = asArray(value, 'v', MAX_CAUSES).map((id) => asBytes(id, 'v', MAX_ID_BYTES, 2))
  if (causes.length === 0)
    throw new MeshError('protocol_error', 'field "v" of a peer\'s message must be left out or not be empty')
  return causes
}
