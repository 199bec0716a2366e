/** Most keys that are counted at once; the one used longest ago is forgotten first, which can only be generous. */
export const MAX_BUCKETS = 8_192

/** A rate that each key has for itself. */
export interface TokenBuckets {
  /** Takes `tokens` of the key's bucket; false if it has not enough. */
  take(key: string, tokens?: number): boolean
}

/** @param now monotonic ms. */
export function createTokenBuckets({ perSecond, burst }: { perSecond: number; burst: number }, now: () => number): TokenBuckets {
  const buckets = new Map<string, { tokens: number; at: number }>()
  return {
    take(key, tokens = 1) {
      const at = now()
      const bucket = buckets.get(key) ?? { tokens: burst, at }
      bucket.tokens = Math.min(burst, bucket.tokens + ((at - bucket.at) / 1_000) * perSecond)
      bucket.at = at
      buckets.delete(key)
      buckets.set(key, bucket)
      if (buckets.size > MAX_BUCKETS) buckets.delete(buckets.keys().next().value!)
      if (bucket.tokens < tokens) return false
      bucket.tokens -= tokens
      return true
    }
  }
}
