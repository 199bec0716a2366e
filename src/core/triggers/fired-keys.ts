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
  /** Of the payload that it was fired with. */
  digest?: string
  /** How long ago, ms. */
  ageMs: number
}

/** Which events were fired with keys of their own, so that one that is fired again is the same event. What nobody did is forgotten: then it may be fired anew. */
export interface FiredKeys {
  /** Id of the event of a key, the digest of its payload, and who has done it if it is done. */
  find(key: string, now: number): { id: string; by?: string[]; digest?: string } | undefined
  begin(key: string, id: string, digest?: string): void
  done(key: string, id: string, by: string[], now: number, digest?: string): void
  forget(key: string): void
  readonly size: number
}

/** @param done of before a restart, oldest first. @param open those that are not done. @param now monotonic ms. */
export function createFiredKeys(
  done: readonly FiredKey[] = [],
  open: Iterable<{ key: string; id: string; digest?: string | undefined }> = [],
  now = 0
): FiredKeys {
  const waiting = new Map<string, { id: string; digest?: string }>()
  /** Oldest first. */
  const ended = new Map<string, { id: string; by: string[]; at: number; digest?: string }>()

  function remember(key: string, id: string, by: string[], at: number, digest?: string): void {
    waiting.delete(key)
    ended.delete(key)
    ended.set(key, { id, by, at, ...withDigest(digest) })
    for (const [old, { at: since }] of ended) {
      if (ended.size <= MAX_FIRED_KEYS && since + FIRED_MS > at) break
      ended.delete(old)
    }
  }

  function begin(key: string, id: string, digest?: string): void {
    waiting.set(key, { id, ...withDigest(digest) })
  }

  for (const { key, id, by, ageMs, digest } of done) remember(key, id, by, now - ageMs, digest)
  for (const { key, id, digest } of open) begin(key, id, digest)

  return {
    find(key, time) {
      const open = waiting.get(key)
      if (open !== undefined) return { ...open }
      const one = ended.get(key)
      return one === undefined || one.at + FIRED_MS <= time ? undefined : { id: one.id, by: one.by, ...withDigest(one.digest) }
    },
    begin,
    done: remember,
    forget(key) {
      waiting.delete(key)
    },
    get size() {
      return waiting.size + ended.size
    }
  }
}

const withDigest = (digest: string | undefined): { digest?: string } => (digest === undefined ? {} : { digest })
