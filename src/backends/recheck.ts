/** For backends whose tools can be there or not: looks again, and says only what changed. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'

/** Time between two looks, in ms. */
export const RECHECK_MS = 30_000

/** Snapshots over time, with a way to ask for a look out of turn. */
export interface Recheck {
  /** Yields the first snapshot, then each one that differs from the last, until the signal aborts. */
  snapshots(signal: AbortSignal): AsyncGenerator<CapabilityDeclaration[], void, void>
  /** Looks again now: a call has just seen that something is missing. */
  now(): void
}

/** Makes a recheck. `look` does not throw: what is missing it says in `status` and `statusReason`. */
export function createRecheck(look: () => Promise<CapabilityDeclaration[]>, init: { everyMs?: number } = {}): Recheck {
  let wake: (() => void) | undefined
  return {
    now: () => wake?.(),
    async *snapshots(signal) {
      const onAbort = (): void => wake?.()
      signal.addEventListener('abort', onAbort)
      let timer: ReturnType<typeof setTimeout> | undefined
      let last = ''
      try {
        while (!signal.aborted) {
          const snapshot = await look()
          const text = JSON.stringify(snapshot)
          if (text !== last) {
            last = text
            yield snapshot
          }
          if (signal.aborted) return
          await new Promise<void>((resolve) => {
            wake = resolve
            timer = setTimeout(resolve, init.everyMs ?? RECHECK_MS)
          })
          clearTimeout(timer)
        }
      } finally {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
      }
    }
  }
}
