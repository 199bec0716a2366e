/** How long it is remembered who was given a call with an idempotency key, in ms: as long as a provider keeps its outcome. */
export const KEYED_TTL_MS = 600_000
/** Keys that are remembered; the oldest go first. */
export const MAX_KEYED = 1_024

/** Which provider was last given a call with an idempotency key: only that one knows what became of it. */
export interface KeyedProviders {
  /** PeerId; undefined if nobody is known to have it. */
  of(key: string): string | undefined
  given(key: string, node: string): void
}

/** @param now monotonic ms. */
export function createKeyedProviders(now: () => number): KeyedProviders {
  const kept = new Map<string, { node: string; until: number }>()
  return {
    of(key) {
      const entry = kept.get(key)
      return entry !== undefined && entry.until > now() ? entry.node : undefined
    },
    given(key, node) {
      kept.delete(key)
      kept.set(key, { node, until: now() + KEYED_TTL_MS })
      if (kept.size > MAX_KEYED) kept.delete(kept.keys().next().value!)
    }
  }
}
