/** Where payloads are that are too large for their event: files, or memory. */
import { MAX_PAYLOAD_PART } from '../../protocols/trigger/messages.ts'
import { MeshError } from '../errors.ts'

/** Payloads kept in memory where a node has no data directory, and those of its files that could not be written yet, in bytes. */
export const MAX_PAYLOAD_MEMORY = 32 * 1024 * 1024

/** Payloads by name: letters, digits and `-`. */
export interface PayloadStore {
  /** What it held at the start: names, and sizes in bytes. */
  readonly initial: ReadonlyMap<string, number>
  /** Most that is to be kept in it, in bytes: whoever writes keeps to it. */
  readonly maxBytes: number
  /** Keeps one, whole or not at all; resolves when that is so. Rejects as `parts` do, or with MeshError `unavailable`. */
  write(name: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void>
  /** In parts of {@link MAX_PAYLOAD_PART} bytes at most. @throws MeshError `unavailable` if it is not there. */
  read(name: string): AsyncGenerator<Uint8Array, void, void>
  /** Never rejects. */
  delete(name: string): Promise<void>
}

/** In memory: gone with the process. */
export function createPayloadMemory(maxBytes: number = MAX_PAYLOAD_MEMORY): PayloadStore {
  const payloads = new Map<string, Uint8Array>()
  return {
    initial: new Map(),
    maxBytes,
    async write(name, parts) {
      payloads.set(name, await joined(parts))
    },
    async *read(name) {
      const bytes = payloads.get(name)
      if (bytes === undefined) throw notKept()
      yield* partsOf(bytes)
    },
    async delete(name) {
      payloads.delete(name)
    }
  }
}

/** A payload as it travels. */
export function* partsOf(bytes: Uint8Array): Generator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += MAX_PAYLOAD_PART) yield bytes.subarray(at, at + MAX_PAYLOAD_PART)
}

/** All of them in one. Whoever gives them bounds them. */
export async function joined(parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  let size = 0
  for await (const part of parts) {
    all.push(part)
    size += part.length
  }
  if (all.length === 1) return all[0]!
  const whole = new Uint8Array(size)
  let at = 0
  for (const part of all) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** What a source answers to who asks for what it does not have, or not for them. */
export function notKept(): MeshError {
  return new MeshError('unavailable', 'this node keeps no payload of that hash')
}
