/** Inputs of calls that are too long for their open frame: sent in pieces after it, as CBOR, so that calls on the same stream share it. */
import { MAX_VALUES, decodeCbor, encodeCbor } from '../../protocols/cbor.ts'
import { MAX_BYTES_PER_ITEM, MAX_INPUT_BYTES, decodeItem, encodeItem } from '../../protocols/call/messages.ts'
import type { JsonValue } from '../../protocols/json.ts'
import { asJson } from '../../protocols/shape.ts'
import type { ToolRequest } from '../core/invoke.ts'
import { untilAborted } from '../core/until-aborted.ts'
import { MeshError } from '../errors.ts'

/** Inputs with more characters go in pieces; below, no frame of them is too large: a character has at most three bytes. */
export const LONG_INPUT_CHARACTERS = 1024 * 1024
/** Characters that any value and any key counts, beside its own: an input of too many values for one message is long as well, with room for what else the open frame holds. */
const EACH_VALUE = 5
/** Bytes of long inputs that a node keeps at once, for all calls that run here. One peer has no more of them than it leaves free; past it: `busy`. */
export const MAX_LONG_INPUT_BYTES = 128 * 1024 * 1024
/** Longest time that an input may be under way, in ms. */
export const MAX_INPUT_MS = 60_000

/** True if an input goes in pieces. Looks no further than it has to. */
export function isLongInput(input: JsonValue): boolean {
  let left = LONG_INPUT_CHARACTERS
  const count = (value: JsonValue): void => {
    left -= EACH_VALUE
    if (typeof value === 'string') left -= value.length
    if (left < 0 || typeof value !== 'object' || value === null) return
    for (const [key, one] of Object.entries(value)) {
      left -= Array.isArray(value) ? 0 : EACH_VALUE + key.length
      if (left < 0) return
      count(one)
    }
  }
  count(input)
  return left < 0
}

/** Values of an input as a peer counts them that decodes it: keys, too. It is no cycle. */
function valuesOf(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 1
  let count = 1
  if (Array.isArray(value)) for (const one of value) count += valuesOf(one)
  else for (const one of Object.values(value)) count += one === undefined ? 0 : 1 + valuesOf(one)
  return count
}

/** An input as CBOR. @throws MeshError `too_large`. */
export function longInput(input: JsonValue): Uint8Array {
  const bytes = encodeCbor(input)
  // Each value takes a byte at least. What was encoded is no cycle.
  const values = bytes.length <= MAX_VALUES ? 0 : valuesOf(input)
  if (values > MAX_VALUES) {
    const message = `an input of ${values} values is over the limit of ${MAX_VALUES}; send it in several calls`
    throw new MeshError('too_large', message, { values, limit: MAX_VALUES })
  }
  if (bytes.length <= MAX_INPUT_BYTES) return bytes
  const message = `an input of ${bytes.length} bytes is over the limit of ${MAX_INPUT_BYTES}; stream it, or send less`
  throw new MeshError('too_large', message, { bytes: bytes.length, limit: MAX_INPUT_BYTES })
}

/** Its pieces, as bodies of items. */
export async function* piecesOf(bytes: Uint8Array): AsyncGenerator<unknown, void, void> {
  for (let at = 0; at < bytes.length; at += MAX_BYTES_PER_ITEM)
    yield encodeItem({ kind: 'bytes', bytes: bytes.subarray(at, at + MAX_BYTES_PER_ITEM) })
}

/** An input that has come. */
export interface ReceivedInput {
  input: JsonValue
  /** It is held by one more. */
  keep: NonNullable<ToolRequest['keepInput']>
  /** The call is over. Its room is given back once nobody holds the input any more. */
  release(): void
}

/** Receives long inputs, within bounds on what a node keeps of one peer and of all. */
export class LongInputs {
  readonly #ofPeers = new Map<string, number>()
  #free: number

  /** @param bytes that it keeps at once. */
  constructor(bytes = MAX_LONG_INPUT_BYTES) {
    this.#free = bytes
  }

  /**
   * Reads the input of a call. What does not come in time is given up.
   * @throws MeshError `busy`, `protocol_error`, `deadline_exceeded`, and what the signal aborts with.
   */
  async receive(
    pieces: AsyncIterable<unknown> | undefined,
    { bytes, peer, ms, signal }: { bytes: number; peer: string; ms: number; signal: AbortSignal }
  ): Promise<ReceivedInput> {
    if (pieces === undefined) throw new MeshError('protocol_error', 'a peer announces an input and sends none')
    let taken = 0
    let isOver = false
    let holders = 0
    const keep = (): (() => void) => {
      let held = true
      holders++
      return () => {
        if (!held) return
        held = false
        if (--holders > 0) return
        isOver = true
        this.#give(peer, taken)
      }
    }
    const release = keep()
    const take = (length: number): void => {
      if (isOver || !this.#take(peer, length))
        throw new MeshError('busy', 'too many long inputs are kept here', { notStarted: true, reason: 'input' })
      taken += length
    }
    try {
      const late = AbortSignal.timeout(Math.min(ms, MAX_INPUT_MS))
      const read = await untilAborted(joined(pieces, bytes, take), AbortSignal.any([signal, late]))
      return { input: asJson(decodeCbor(read)), keep, release }
    } catch (error) {
      release()
      throw error
    }
  }

  #take(peer: string, bytes: number): boolean {
    const its = (this.#ofPeers.get(peer) ?? 0) + bytes
    // So that there is room for one more, however many have theirs.
    if (its > this.#free - bytes) return false
    this.#free -= bytes
    this.#ofPeers.set(peer, its)
    return true
  }

  #give(peer: string, bytes: number): void {
    this.#free += bytes
    const left = (this.#ofPeers.get(peer) ?? 0) - bytes
    if (left > 0) this.#ofPeers.set(peer, left)
    else this.#ofPeers.delete(peer)
  }
}

/** Copied, and each piece as long as it may be: a list of tiny ones would take many times the memory of their bytes. */
async function joined(pieces: AsyncIterable<unknown>, bytes: number, take: (length: number) => void): Promise<Uint8Array> {
  // Grows with what has come: announcing an input costs this node nothing.
  let whole = new Uint8Array(Math.min(bytes, MAX_BYTES_PER_ITEM))
  let at = 0
  for await (const body of pieces) {
    const item = decodeItem(body)
    if (item.kind !== 'bytes' || at === bytes || item.bytes.length !== Math.min(MAX_BYTES_PER_ITEM, bytes - at)) throw wrong()
    take(item.bytes.length)
    if (at + item.bytes.length > whole.length) {
      const before = whole
      whole = new Uint8Array(Math.min(bytes, before.length * 2))
      whole.set(before)
    }
    whole.set(item.bytes, at)
    at += item.bytes.length
  }
  if (at !== bytes) throw wrong()
  return whole
}

function wrong(): MeshError {
  return new MeshError('protocol_error', 'a peer sends another input than it has announced')
}
