/** Keys whose events are done are remembered for so long, ms. */
export const FIRED_MS = 600_000
/** The newest so many of them. */
export const MAX_FIRED_KEYS = 8_192

/** An event that is done, by the key that it was fired with. */
export interface FiredKey {
  key: string
  /** Of the event. */
  id: string
  /** Who has done it. */
  by: string[]
  /** How long ago, ms. */
  ageMs: number
}

/** Which events were fired with keys of their own, so that one that is fired again is the same event. What nobody did is forgotten: then it may be fired anew. */
export interface FiredKeys {
  /** Id of the event of a key, and who has done it if it is done. */
  find(key: string, now: number): { id: string; by?: string[] } | undefined
  begin(key: string, id: string): void
  done(key: string, id: string, by: string[], now: number): void
  forget(key: string): void
  readonly size: number
}

/** @param done of before a restart, oldest first. @param open those that are not done. @param now monotonic ms. */
export function createFiredKeys(
  done: readonly FiredKey[] = [],
  open: Iterable<{ key: string; id: string }> = [],
  now = 0
): FiredKeys {
  const waiting = new Map<string, string>()
  /** Oldest first. */
  const ended = new Map<string, { id: string; by: string[]; at: number }>()

  function remember(key: string, id: string, by: string[], at: number): void {
    waiting.delete(key)
    ended.delete(key)
    ended.set(key, { id, by, at })
    for (const [old, { at: since }] of ended) {
      if (ended.size <= MAX_FIRED_KEYS && since + FIRED_MS > at) break
      ended.delete(old)
    }
  }

  for (const { key, id, by, ageMs } of done) remember(key, id, by, now - ageMs)
  for (const { key, id } of open) waiting.set(key, id)

  return {
    find(key, time) {
      const id = waiting.get(key)
      if (id !== undefined) return { id }
      const one = ended.get(key)
      return one === undefined || one.at + FIRED_MS <= time ? undefined : { id: one.id, by: one.by }
    },
    begin: (key, id) => void waiting.set(key, id),
    done: remember,
    forget(key) {
      waiting.delete(key)
    },
    get size() {
      return waiting.size + ended.size
    }
  }
}
