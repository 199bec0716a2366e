/** What a state machine of the core wants done while it is at work is done after it, in order: what is done may call it again. */
export interface EffectQueue<E> {
  /** For the machine. */
  push(effect: E): void
  /** Calls the machine, then does what it wanted, and what came of that. */
  around<T>(work: () => T): T
}

/** @param act does one. */
export function createEffectQueue<E>(act: (effect: E) => void): EffectQueue<E> {
  const waiting: E[] = []
  let depth = 0

  /** One that fails keeps no other from being done. */
  function drain(): void {
    let failed: { error: unknown } | undefined
    for (let effect = waiting.shift(); effect !== undefined; effect = waiting.shift())
      try {
        act(effect)
      } catch (error) {
        failed ??= { error }
      }
    if (failed !== undefined) throw failed.error
  }

  return {
    push: (effect) => void waiting.push(effect),
    around(work) {
      depth++
      try {
        return work()
      } finally {
        try {
          // Who is called from within leaves it to the outermost. What failed half way has changed something as well.
          if (depth === 1) drain()
        } finally {
          depth--
        }
      }
    }
  }
}
