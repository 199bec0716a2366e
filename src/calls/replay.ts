import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { Item, JsonValue } from '../core/invoke.ts'
import { MeshError, toMeshError } from '../errors.ts'
import { canonicalJson } from './result-cache.ts'

/** How long the outcome of a keyed call is kept, in ms. */
export const REPLAY_TTL_MS = 600_000
/** Keyed calls kept at most. */
export const MAX_REPLAYS = 1_024
/** Of these, keyed calls of one caller. */
export const MAX_REPLAYS_PER_CALLER = 128
/** Items of one keyed call kept for replay, in bytes; a longer one cannot be asked for a second time. */
export const MAX_REPLAY_BYTES = 256 * 1024

/** What an item takes beside its content, about. */
const ITEM_BYTES = 64

/** A call with a key. */
export interface KeyedCall {
  /** Made of the caller, the tool and its key. */
  key: string
  caller: string
  /** On whose behalf. */
  causes?: readonly string[] | undefined
  input: JsonValue
}

/** Begins a call. `onRun` is to be called right before the backend begins: from then on the key keeps the outcome. */
export type StartCall = (signal: AbortSignal, onRun: () => void) => AsyncIterable<Item>

interface Run {
  caller: string
  causes: readonly string[]
  /** Of its input. */
  digest: string
  /** The backend has begun. */
  begun: boolean
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
  /** When it was done. */
  at: number
}

/**
 * Makes the same key the same call: a second one follows the first, or gets its outcome again. Once the backend has begun,
 * the call runs to its end even if nobody follows any more: only so a retry learns what became of it. Whoever loses its rights loses that, too.
 */
export interface Replays {
  /** A call with this key runs, or its outcome is kept. */
  has(key: string): boolean
  /** @param start its signal aborts when nobody follows any more and the backend has not begun. */
  follow(call: KeyedCall, start: StartCall, signal: AbortSignal): AsyncGenerator<Item, void, void>
  /** Ends what runs for a node that is no member any more, or is one with fewer rights, and forgets its outcomes. What others run on its behalf as well. */
  forget(peer: string): void
  readonly size: number
}

/** @param now monotonic ms. */
export function createReplays(now: () => number): Replays {
  const runs = new Map<string, Run>()

  function begin({ key, caller, causes = [] }: KeyedCall, digest: string, start: StartCall): Run {
    makeRoom(caller)
    const run: Run = {
      caller,
      causes,
      digest,
      begun: false,
      items: [],
      bytes: 0,
      dropped: 0,
      done: false,
      error: undefined,
      readers: new Set(),
      wake: [],
      controller: new AbortController(),
      at: 0
    }
    runs.set(key, run)
    const record = async (): Promise<void> => {
      for await (const item of start(run.controller.signal, () => (run.begun = true))) {
        run.items.push(item)
        run.bytes += sizeOf(item)
        wakeAll(run)
        // Past the limit the log is a plain pipe: it waits until all that follow have taken what there is.
        while (run.bytes > MAX_REPLAY_BYTES && run.readers.size > 0) await new Promise<void>((resolve) => run.wake.push(resolve))
        trim(run)
      }
    }
    record()
      .catch((error: unknown) => void (run.error = toMeshError(error)))
      .finally(() => {
        run.done = true
        run.at = now()
        // Whatever ran keeps its key, in the order of its end; what did not run leaves it free.
        if (drop(key, run) && (run.begun || run.error === undefined)) runs.set(key, run)
        wakeAll(run)
      })
    return run
  }

  function drop(key: string, run: Run): boolean {
    return runs.get(key) === run && runs.delete(key)
  }

  function dropExpired(): void {
    for (const [key, run] of runs) if (run.done && now() - run.at > REPLAY_TTL_MS) runs.delete(key)
  }

  function makeRoom(caller: string): void {
    let own = 0
    for (const run of runs.values()) if (run.caller === caller) own++
    // A caller with many keys loses its own outcomes, not those of others.
    if (own >= MAX_REPLAYS_PER_CALLER) dropOldest((run) => run.caller === caller)
    if (runs.size >= MAX_REPLAYS) dropOldest(() => true)
  }

  function dropOldest(matches: (run: Run) => boolean): void {
    for (const [key, run] of runs) if (run.done && matches(run)) return void runs.delete(key)
    throw new MeshError('busy', 'too many keyed calls are running here', { notStarted: true })
  }

  return {
    has(key) {
      dropExpired()
      return runs.has(key)
    },
    async *follow(call, start, signal) {
      dropExpired()
      const digest = bytesToHex(sha256(utf8ToBytes(canonicalJson(call.input))))
      const run = runs.get(call.key) ?? begin(call, digest, start)
      if (run.digest !== digest) throw new MeshError('conflict', 'this idempotency key belongs to a call with another input')
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
        if (run.readers.size === 0 && !run.done && !run.begun) {
          run.controller.abort(new MeshError('cancelled', 'nobody waits for this call any more'))
          drop(call.key, run)
        }
        wakeAll(run)
      }
    },
    forget(peer) {
      for (const [key, run] of runs) {
        if (run.caller !== peer && !run.causes.includes(peer)) continue
        runs.delete(key)
        if (!run.done)
          run.controller.abort(new MeshError('permission_denied', 'who began this call lost its rights', { reason: 'revoked' }))
      }
    },
    get size() {
      return runs.size
    }
  }
}

/** Drops what all that follow have taken, all of it if nobody follows, once the log is over its limit. */
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
