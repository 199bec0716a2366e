/** Most keys that are counted at once; the one used longest ago is forgotten first, which can only be generous. */
export const MAX_BUCKETS = 8_192

/** A rate that each key has for itself. */
export interface TokenBuckets {
  /** Takes `tokens` of the key's bucket; false if it has not enough. */
  take(key: string, tokens?: number): boolean
  /** Takes `tokens` whether they are there or not: the bucket may go below empty. */
  debit(key: string, tokens: number): void
  /** How long until the bucket holds `tokens`, in ms; 0 if it does. */
  until(key: string, tokens: number): number
}

/** @param now monotonic ms. */
export function createTokenBuckets({ perSecond, burst }: { perSecond: number; burst: number }, now: () => number): TokenBuckets {
  const buckets = new Map<string, { tokens: number; at: number }>()

  function filled(key: string): { tokens: number; at: number } {
    const at = now()
    const bucket = buckets.get(key) ?? { tokens: burst, at }
    bucket.tokens = Math.min(burst, bucket.tokens + ((at - bucket.at) / 1_000) * perSecond)
    bucket.at = at
    buckets.delete(key)
    buckets.set(key, bucket)
    if (buckets.size > MAX_BUCKETS) buckets.delete(buckets.keys().next().value!)
    return bucket
  }

  return {
    take(key, tokens = 1) {
      const bucket = filled(key)
      if (bucket.tokens < tokens) return false
      bucket.tokens -= tokens
      return true
    },
    debit: (key, tokens) => void (filled(key).tokens -= tokens),
    until(key, tokens) {
      const missing = Math.min(tokens, burst) - filled(key).tokens
      return missing <= 0 ? 0 : (missing / perSecond) * 1_000
    }
  }
}
