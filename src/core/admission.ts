import { MeshError } from '../errors.ts'

/** Calls of one tool that run at once unless it says otherwise. */
export const DEFAULT_CONCURRENCY = 64
/** Calls of one tool that wait unless it says otherwise. */
export const DEFAULT_QUEUE = 256
/** What a tool may ask for at most, of either. */
export const MAX_CONCURRENCY = 4_096

/** Calls for each slot, running and waiting, from which a provider refuses those that can go elsewhere. */
export const BUSY_SLOTS = 3

/** Lets a bounded number in and a bounded number wait: who calls take turns, and each caller's own are first come first served. */
export interface Admission {
  /**
   * Undefined: go on at once. A promise: wait for it; it rejects when `signal` aborts. Throws MeshError `busy` when full, or when this caller has its share of the places. Then `leave()`.
   * @param caller PeerId.
   * @param elsewhere it has another provider at hand: `busy` from {@link BUSY_SLOTS} calls a slot on, with `details.elsewhere`, whatever may wait.
   */
  enter(caller: string, signal: AbortSignal, elsewhere?: boolean): Promise<void> | undefined
  leave(): void
  /** Goes in if there is a free place now. */
  tryEnter(): boolean
  readonly running: number
  readonly waiting: number
  /** Calls that run at once. */
  readonly slots: number
}

/** @param name of the tool, for the message of `busy`. */
export function createAdmission(name: string, concurrency = DEFAULT_CONCURRENCY, queue = DEFAULT_QUEUE): Admission {
  const slots = Math.max(1, Math.min(concurrency, MAX_CONCURRENCY))
  const places = Math.min(queue, MAX_CONCURRENCY)
  // Half: whoever floods leaves room for all others, and one that is alone still has enough.
  const share = Math.ceil(places / 2)
  /** Those that wait by caller; the caller whose turn is next is first. */
  const lines = new Map<string, Set<() => void>>()
  let waiting = 0
  let running = 0

  function forget(caller: string, go: () => void): void {
    const line = lines.get(caller)
    if (line?.delete(go) !== true) return
    waiting--
    if (line.size === 0) lines.delete(caller)
  }

  function refuse(own: number, elsewhere: boolean): never {
    const why = elsewhere || waiting >= places ? `${waiting} waiting` : `${own} waiting of this caller, which is its share`
    throw new MeshError('busy', `"${name}" is busy: ${running} running, ${why}; try later or elsewhere`, {
      running,
      waiting,
      slots,
      notStarted: true,
      ...(elsewhere && { elsewhere })
    })
  }

  return {
    tryEnter: () => running < slots && ++running > 0,
    slots,
    enter(caller, signal, elsewhere = false) {
      if (running < slots) {
        running++
        return undefined
      }
      const own = lines.get(caller)?.size ?? 0
      if (waiting >= places || own >= share) refuse(own, false)
      if (elsewhere && running + waiting >= BUSY_SLOTS * slots) refuse(own, true)
      return new Promise<void>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error)
        const go = (): void => {
          signal.removeEventListener('abort', onAbort)
          running++
          resolve()
        }
        const onAbort = (): void => {
          forget(caller, go)
          reject(signal.reason as Error)
        }
        signal.addEventListener('abort', onAbort, { once: true })
        const line = lines.get(caller) ?? new Set()
        lines.set(caller, line.add(go))
        waiting++
      })
    },
    leave() {
      running--
      const [turn] = lines
      if (turn === undefined) return
      const [caller, line] = turn
      const next = line.values().next().value!
      forget(caller, next)
      // Its next one waits until all others had their turn.
      if (line.size > 0) {
        lines.delete(caller)
        lines.set(caller, line)
      }
      next()
    },
    get running() {
      return running
    },
    get waiting() {
      return waiting
    }
  }
}
