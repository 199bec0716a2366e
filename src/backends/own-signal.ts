/** A signal that aborts with another one, or earlier. */
export interface OwnSignal {
  readonly signal: AbortSignal
  /** Aborts it. The other one is let go. */
  stop(): void
}

/** What runs for as long as something else does, and can be ended before. */
export function createOwnSignal(outer: AbortSignal): OwnSignal {
  const over = new AbortController()
  const stop = (): void => {
    outer.removeEventListener('abort', stop)
    over.abort()
  }
  outer.addEventListener('abort', stop)
  if (outer.aborted) stop()
  return { signal: over.signal, stop }
}
