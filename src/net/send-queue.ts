import { MeshError } from '../errors.ts'
import type { Defer } from './defer.ts'
import { joinBytes } from './frame-buffer.ts'

/**
 * Bytes waiting to be sent past which they leave at once, not after this tick. So the peer works on the first calls of a batch while
 * this side makes the next: with 32 in flight a third more calls than one write a tick, where the two take turns (`npm run bench -- calls`).
 */
export const FLUSH_BYTES = 8 * 1024
/** Bytes waiting to be sent past which `ready()` makes senders of streams wait. */
export const WRITE_HIGH_WATER_BYTES = 256 * 1024
/** Bytes waiting to be sent past which new calls wait: less than the above, so that a stream of calls never fills the queue for streams. */
export const CALL_HIGH_WATER_BYTES = 128 * 1024
/** Bytes waiting to be sent past which the peer counts as one that asks and never reads. */
export const WRITE_LIMIT_BYTES = 16 * 1024 * 1024
/** Frames waiting to be sent past which the same holds: small ones cost far more memory than their bytes. */
export const WRITE_LIMIT_FRAMES = 65_536

/** The writing side of a channel: frames wait here until the stream takes them, and senders until there is room for theirs. */
export interface SendQueue {
  /** Queues a frame; frames of one tick leave in few writes. Never blocks, never throws. */
  send(frame: Uint8Array): void
  /** True while senders of much need not wait. */
  readonly writable: boolean
  /** Resolves when `writable`; rejects with what `end` was given. */
  ready(): Promise<void>
  /** True while senders of a frame or two need not wait: the stream may be full for the moment, the queue is not. */
  readonly hasRoom: boolean
  /** Resolves when `hasRoom`; rejects with what `end` was given. */
  room(): Promise<void>
  /** Writes what waits, if the stream is not full. */
  flush(): void
  /** Resolves when the stream took all that waits; rejects with what `end` was given. */
  flushed(): Promise<void>
  /** To be called when the stream may take more. */
  drained(): void
  /** Drops what waits and rejects who waits. Whoever sends from then on is not heard, whoever waits is rejected. */
  end(error: MeshError): void
}

/** What a {@link SendQueue} stands on. */
export interface SendQueueInit {
  /** Takes bytes; false when it wants no more until `drained()`. May throw. */
  write(bytes: Uint8Array): boolean
  /** True while it still holds bytes that it was given. */
  isHolding(): boolean
  /** `write` threw, or the peer makes this node send without reading. */
  failed(error: unknown): void
  defer: Defer
}

interface Waiter {
  resolve: () => void
  reject: (error: MeshError) => void
}

/** A queue in front of a stream that is open. */
export function createSendQueue({ write, isHolding, failed, defer }: SendQueueInit): SendQueue {
  let queue: Uint8Array[] = []
  let queuedBytes = 0
  let flushDue = false
  let blocked = false
  let writers: Waiter[] = []
  let callers: Waiter[] = []
  /** A drain went by while the queue was too full for those in `writers`: nobody else fills it before they had their turn. */
  let writersFirst = false
  let ended: MeshError | undefined

  const isWritable = (): boolean => !blocked && queuedBytes < WRITE_HIGH_WATER_BYTES
  const hasRoom = (): boolean => !writersFirst && queuedBytes < CALL_HIGH_WATER_BYTES

  function send(frame: Uint8Array): void {
    if (ended !== undefined) return
    queue.push(frame)
    queuedBytes += frame.length
    if (queuedBytes > WRITE_LIMIT_BYTES || queue.length > WRITE_LIMIT_FRAMES)
      return failed(new MeshError('protocol_error', 'the peer makes this node send without reading'))
    if (queuedBytes >= FLUSH_BYTES && !blocked) return flush()
    if (!blocked) flushSoon()
  }

  function flushSoon(): void {
    if (flushDue) return
    flushDue = true
    defer(() => {
      flushDue = false
      flush()
    })
  }

  function flush(): void {
    if (ended !== undefined || blocked || queuedBytes === 0) return
    const bytes = joinBytes(queue)
    queue = []
    queuedBytes = 0
    try {
      blocked = !write(bytes)
    } catch (error) {
      failed(error)
      return
    }
    wake()
  }

  function drained(): void {
    // Every window update is a 'drain', however small. libp2p goes on with what it holds in a microtask of its own;
    // only if that took all of it is there room for more: else its buffer grows by what the update was too small for.
    queueMicrotask(() => {
      blocked = isHolding()
      if (blocked) return
      if (writers.length === 0) return flush()
      // Those who stream come before the calls that were queued meanwhile: else these would fill the stream at each drain.
      if (isWritable()) {
        wake()
        flushSoon()
      } else {
        writersFirst = true
        flush()
      }
    })
  }

  /** Wakes whom the state lets send. A woken one may find the channel full again because another was faster: it waits in line once more. */
  function wake(): void {
    if (isWritable()) {
      writersFirst = false
      writers = resolveAll(writers)
    }
    if (hasRoom()) callers = resolveAll(callers)
  }

  async function ready(): Promise<void> {
    while (ended === undefined && !isWritable()) await new Promise<void>((resolve, reject) => writers.push({ resolve, reject }))
    if (ended !== undefined) throw ended
  }

  async function room(): Promise<void> {
    while (ended === undefined && !hasRoom()) await new Promise<void>((resolve, reject) => callers.push({ resolve, reject }))
    if (ended !== undefined) throw ended
  }

  async function flushed(): Promise<void> {
    flush()
    while (queuedBytes > 0) {
      await new Promise<void>((resolve, reject) => writers.push({ resolve, reject }))
      flush()
    }
  }

  return {
    send,
    ready,
    room,
    flush,
    flushed,
    drained,
    end(error) {
      if (ended !== undefined) return
      ended = error
      queue = []
      queuedBytes = 0
      for (const waiter of [...writers.splice(0), ...callers.splice(0)]) waiter.reject(error)
    },
    get writable() {
      return ended === undefined && isWritable()
    },
    get hasRoom() {
      return ended === undefined && hasRoom()
    }
  }
}

/** @returns who waits now. */
function resolveAll(waiters: Waiter[]): Waiter[] {
  if (waiters.length === 0) return waiters
  for (const { resolve } of waiters) resolve()
  return []
}
