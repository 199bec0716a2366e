import type { Item } from '../core/invoke.ts'
import { MeshError, toMeshError, type ErrorCode } from '../errors.ts'

/** How long the outcome of a keyed call is kept, in ms. */
export const REPLAY_TTL_MS = 600_000
/** Keyed calls kept at most. */
export const MAX_REPLAYS = 1_024
/** Items of one keyed call kept for replay, in bytes; a longer one cannot be asked for a second time. */
export const MAX_REPLAY_BYTES = 256 * 1024

/** What an item takes beside its content, about. */
const ITEM_BYTES = 64

/** Errors after which the same key may be used for a better try. */
const NOTHING_RAN: ReadonlySet<ErrorCode> = new Set([
  'busy',
  'cancelled',
  'invalid_argument',
  'unknown_capability',
  'unknown_tool',
  'permission_denied'
])

interface Run {
  items: Item[]
  bytes: number
  /** Items dropped from the front because the log was full. */
  dropped: number
  done: boolean
  error: MeshError | undefined
  /** How many items each follower has taken. */
  readers: Set<{ at: number }>
  wake: (() => void)[]
  controller: AbortController
  at: number
}

/** Makes the same key the same call: a second one follows the first, or gets its outcome again. */
export interface Replays {
  /** @param start begins the call; its signal aborts when nobody follows any more. */
  follow(key: string, start: (signal: AbortSignal) => AsyncIterable<Item>, signal: AbortSignal): AsyncGenerator<Item, void, void>
  readonly size: number
}

/** @param now monotonic ms. */
export function createReplays(now: () => number): Replays {
  const runs = new Map<string, Run>()

  function begin(key: string, start: (signal: AbortSignal) => AsyncIterable<Item>): Run {
    evict()
    const run: Run = {
      items: [],
      bytes: 0,
      dropped: 0,
      done: false,
      error: undefined,
      readers: new Set(),
      wake: [],
      controller: new AbortController(),
      at: now()
    }
    runs.set(key, run)
    const record = async (): Promise<void> => {
      for await (const item of start(run.controller.signal)) {
        run.items.push(item)
        run.bytes += sizeOf(item)
        wakeAll(run)
        // Past the limit the log is a plain pipe: it waits until all that follow have taken what there is.
        while (run.bytes > MAX_REPLAY_BYTES && run.readers.size > 0) await new Promise<void>((resolve) => run.wake.push(resolve))
      }
    }
    record()
      .catch((error: unknown) => {
        run.error = toMeshError(error)
        // Nothing ran, or nobody wanted it: the key is free again.
        if (run.readers.size === 0 || NOTHING_RAN.has(run.error.code)) forget(key, run)
      })
      .finally(() => {
        run.done = true
        wakeAll(run)
      })
    return run
  }

  function forget(key: string, run: Run): void {
    if (runs.get(key) === run) runs.delete(key)
  }

  function evict(): void {
    for (const [key, run] of runs) {
      if (run.done && (runs.size >= MAX_REPLAYS || now() - run.at > REPLAY_TTL_MS)) runs.delete(key)
      else if (runs.size < MAX_REPLAYS) break
    }
    if (runs.size >= MAX_REPLAYS) throw new MeshError('busy', 'too many keyed calls are running here')
  }

  return {
    async *follow(key, start, signal) {
      const run = runs.get(key) ?? begin(key, start)
      if (run.dropped > 0)
        throw new MeshError('conflict', 'this idempotency key belongs to a call whose items are too many to be sent again')
      const reader = { at: 0 }
      run.readers.add(reader)
      const onAbort = (): void => wakeAll(run)
      signal.addEventListener('abort', onAbort, { once: true })
      try {
        for (;;) {
          if (signal.aborted) throw signal.reason
          const item = run.items[reader.at - run.dropped]
          if (item !== undefined) {
            yield item
            reader.at++
            trim(run)
          } else if (run.error !== undefined) throw run.error
          else if (run.done) return
          else await new Promise<void>((resolve) => run.wake.push(resolve))
        }
      } finally {
        signal.removeEventListener('abort', onAbort)
        run.readers.delete(reader)
        if (run.readers.size === 0 && !run.done) {
          run.controller.abort(new MeshError('cancelled', 'nobody waits for this call any more'))
          forget(key, run)
        }
        wakeAll(run)
      }
    },
    get size() {
      return runs.size
    }
  }
}

/** Drops what all that follow have taken once the log is over its limit. */
function trim(run: Run): void {
  if (run.bytes <= MAX_REPLAY_BYTES) return
  const taken = Math.min(...[...run.readers].map(({ at }) => at))
  while (run.bytes > MAX_REPLAY_BYTES && run.dropped < taken) {
    run.bytes -= sizeOf(run.items.shift()!)
    run.dropped++
  }
  wakeAll(run)
}

function wakeAll(run: Run): void {
  for (const wake of run.wake.splice(0)) wake()
}

function sizeOf(item: Item): number {
  switch (item.kind) {
    case 'bytes':
      return ITEM_BYTES + item.bytes.length
    case 'progress':
      return ITEM_BYTES
    default:
      return ITEM_BYTES + (JSON.stringify(item.value)?.length ?? 4)
  }
}
