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

  function drain(): void {
    for (let effect = waiting.shift(); effect !== undefined; effect = waiting.shift()) act(effect)
  }

  return {
    push: (effect) => void waiting.push(effect),
    around(work) {
      depth++
      try {
        const result = work()
        // Who is called from within leaves it to the outermost.
        if (depth === 1) drain()
        return result
      } finally {
        depth--
      }
    }
  }
}
