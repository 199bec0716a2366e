import { MeshError } from '../errors.ts'

/** Calls of one tool that run at once unless it says otherwise. */
export const DEFAULT_CONCURRENCY = 64
/** Calls of one tool that wait unless it says otherwise. */
export const DEFAULT_QUEUE = 256
/** What a tool may ask for at most, of either. */
export const MAX_CONCURRENCY = 4_096

/** Lets a bounded number in and a bounded number wait, first come first served. */
export interface Admission {
  /** Undefined: go on at once. A promise: wait for it; it rejects when `signal` aborts. Throws MeshError `busy` when full. Then `leave()`. */
  enter(signal: AbortSignal): Promise<void> | undefined
  leave(): void
  /** Goes in if there is a free place now. */
  tryEnter(): boolean
  readonly running: number
  readonly waiting: number
}

/** @param name of the tool, for the message of `busy`. */
export function createAdmission(name: string, concurrency = DEFAULT_CONCURRENCY, queue = DEFAULT_QUEUE): Admission {
  const slots = Math.max(1, Math.min(concurrency, MAX_CONCURRENCY))
  const places = Math.min(queue, MAX_CONCURRENCY)
  const line = new Set<() => void>()
  let running = 0

  return {
    tryEnter: () => running < slots && ++running > 0,
    enter(signal) {
      if (running < slots) {
        running++
        return undefined
      }
      if (line.size >= places) {
        throw new MeshError('busy', `"${name}" is busy: ${running} running, ${line.size} waiting; try later or elsewhere`, {
          running,
          waiting: line.size,
          notStarted: true
        })
      }
      return new Promise<void>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error)
        const go = (): void => {
          signal.removeEventListener('abort', onAbort)
          running++
          resolve()
        }
        const onAbort = (): void => {
          line.delete(go)
          reject(signal.reason as Error)
        }
        signal.addEventListener('abort', onAbort, { once: true })
        line.add(go)
      })
    },
    leave() {
      running--
      const next = line.values().next().value
      if (next !== undefined) {
        line.delete(next)
        next()
      }
    },
    get running() {
      return running
    },
    get waiting() {
      return line.size
    }
  }
}
