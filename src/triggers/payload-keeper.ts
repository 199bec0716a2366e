/** Payloads of this node's events that are too large for them: kept as long as the event is, for those that it was sent to. */
import type { DataRef } from '../../protocols/trigger/messages.ts'
import { toMeshError } from '../errors.ts'
import { MAX_PAYLOAD_MEMORY, notKept, partsOf, type PayloadStore } from './payload-store.ts'

/** A payload that could not be written is tried again after so long, in ms, and twice as long each time. */
export const PAYLOAD_RETRY_MS = 1_000
/** At most. */
export const MAX_PAYLOAD_RETRY_MS = 60_000

/** See {@link createPayloadKeeper}. */
export interface PayloadKeeper {
  /** Keeps the payload of an event. False: there is no room for it. */
  hold(id: string, ref: DataRef, bytes: Uint8Array): boolean
  /** The same for an event that was kept over a restart. False: it is not there any more. */
  restore(id: string, ref: DataRef): boolean
  /** What no restored event needs goes. */
  tidy(): void
  /** Resolves when that of an event is on disk. @throws MeshError `unavailable`: it could not be written, and is in memory. */
  written(id: string): Promise<void>
  /** The event is over. */
  release(id: string): void
  /** The event goes to a handler at a node, which may get its payload from now on. */
  sent(id: string, handler: string, node: string): void
  /** For a node that an event with it was sent to. @param hash lower-case hex. @throws MeshError `unavailable`. */
  read(hash: string, node: string): AsyncGenerator<Uint8Array, void, void>
  /** Whether it is kept for an event. @param hash lower-case hex. */
  has(hash: string): boolean
  /** For this node itself. @throws MeshError `unavailable`. */
  own(hash: string): AsyncGenerator<Uint8Array, void, void>
  /** What could not be written is not tried again: the node stops. */
  stop(): void
}

interface Held {
  size: number
  /** Ids of events. */
  events: Set<string>
  /** By node, of whom it may get it: event and handler. */
  askers: Map<string, Map<string, { id: string; handler: string }>>
  /** As long as it is not on disk. */
  bytes: Uint8Array | undefined
  written: Promise<void>
}

/** @param onServed a part of the payload of an event goes to its handler. */
export function createPayloadKeeper(store: PayloadStore, onServed: (id: string, handler: string) => void): PayloadKeeper {
  const held = new Map<string, Held>()
  const hashes = new Map<string, string>()
  let [total, unwritten] = [0, 0]
  /** One after the other: what is deleted and comes again is there in the end. */
  let tail: Promise<unknown> = Promise.resolve()
  /** Hashes of those that could not be written. */
  const failed = new Set<string>()
  let retry: ReturnType<typeof setTimeout> | undefined
  let retryMs = PAYLOAD_RETRY_MS
  let stopped = false

  function then(work: () => Promise<void>): Promise<void> {
    const done = tail.then(work)
    tail = done.catch(() => undefined)
    return done
  }

  function enter(id: string, { hash, size }: DataRef, one: Omit<Held, 'size' | 'events' | 'askers'>): void {
    held.set(hash, { ...one, size, events: new Set([id]), askers: new Map() })
    hashes.set(id, hash)
    total += size
  }

  function join(id: string, hash: string): boolean {
    const known = held.get(hash)
    if (known === undefined) return false
    known.events.add(id)
    hashes.set(id, hash)
    return true
  }

  /** What could not be written stays in memory until it can be. */
  function write(hash: string, bytes: Uint8Array): Promise<void> {
    const written = then(() => store.write(hash, [bytes]))
    written.then(
      () => {
        retryMs = PAYLOAD_RETRY_MS
        failed.delete(hash)
        const one = held.get(hash)
        if (one?.written === written) dropBytes(one)
      },
      () => {
        if (held.get(hash)?.written === written) tryLater(hash)
      }
    )
    return written
  }

  function tryLater(hash: string): void {
    failed.add(hash)
    if (retry !== undefined || stopped) return
    retry = setTimeout(tryAgain, retryMs)
    ;(retry as { unref?: () => void }).unref?.()
    retryMs = Math.min(MAX_PAYLOAD_RETRY_MS, 2 * retryMs)
  }

  function tryAgain(): void {
    retry = undefined
    for (const hash of failed) {
      const one = held.get(hash)
      failed.delete(hash)
      if (one?.bytes !== undefined) one.written = write(hash, one.bytes)
    }
  }

  function dropBytes(one: Held): void {
    if (one.bytes !== undefined) unwritten -= one.size
    one.bytes = undefined
  }

  async function* readHeld(hash: string, onPart: (one: Held) => void): AsyncGenerator<Uint8Array, void, void> {
    const one = held.get(hash)!
    for await (const part of one.bytes === undefined ? store.read(hash) : partsOf(one.bytes)) {
      // Its event may be over while a slow reader is at it.
      if (held.get(hash) !== one) throw notKept()
      onPart(one)
      yield part
    }
  }

  return {
    hold(id, ref, bytes) {
      if (join(id, ref.hash)) return true
      if (total + ref.size > store.maxBytes || unwritten + ref.size > MAX_PAYLOAD_MEMORY) return false
      enter(id, ref, { bytes, written: write(ref.hash, bytes) })
      unwritten += ref.size
      return true
    },
    restore(id, ref) {
      if (join(id, ref.hash)) return true
      if (store.initial.get(ref.hash) !== ref.size) return false
      enter(id, ref, { bytes: undefined, written: Promise.resolve() })
      return true
    },
    tidy() {
      for (const name of store.initial.keys()) if (!held.has(name)) void then(() => store.delete(name))
    },
    async written(id) {
      try {
        await held.get(hashes.get(id) ?? '')?.written
      } catch (error) {
        throw toMeshError(error)
      }
    },
    release(id) {
      const hash = hashes.get(id)
      const one = hash === undefined ? undefined : held.get(hash)
      hashes.delete(id)
      if (hash === undefined || one === undefined) return
      one.events.delete(id)
      for (const [node, asked] of one.askers) {
        for (const [key, asker] of asked) if (asker.id === id) asked.delete(key)
        if (asked.size === 0) one.askers.delete(node)
      }
      if (one.events.size > 0) return
      held.delete(hash)
      failed.delete(hash)
      total -= one.size
      dropBytes(one)
      void then(() => store.delete(hash))
    },
    sent(id, handler, node) {
      const one = held.get(hashes.get(id) ?? '')
      if (one === undefined) return
      const asked = one.askers.get(node) ?? new Map<string, { id: string; handler: string }>()
      one.askers.set(node, asked.set(`${id} ${handler}`, { id, handler }))
    },
    async *read(hash, node) {
      if (held.get(hash)?.askers.has(node) !== true) throw notKept()
      yield* readHeld(hash, ({ askers }) => {
        for (const { id, handler } of askers.get(node)?.values() ?? []) onServed(id, handler)
      })
    },
    has: (hash) => held.has(hash),
    async *own(hash) {
      if (!held.has(hash)) throw notKept()
      yield* readHeld(hash, () => undefined)
    },
    stop() {
      stopped = true
      clearTimeout(retry)
    }
  }
}
