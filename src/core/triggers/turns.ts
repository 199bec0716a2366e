/** So much at once, whoever asks first first: a bound on what is under way, in whatever it is counted. */
export interface Turns {
  /** Resolves with what gives the place back, to be called once. What is larger than all there is gets it alone. Rejects with the reason of the signal. */
  enter(weight: number, signal: AbortSignal): Promise<() => void>
  /** What is taken, or waited for. */
  readonly size: number
}

/** See {@link Turns}. @param max weight of what is under way at once. */
export function createTurns(max: number): Turns {
  const waiting: { weight: number; start: () => void }[] = []
  let taken = 0

  const fits = (weight: number): boolean => taken === 0 || taken + weight <= max

  function next(): void {
    for (let first = waiting[0]; first !== undefined && fits(first.weight); first = waiting[0]) {
      waiting.shift()
      taken += first.weight
      first.start()
    }
  }

  function leave(weight: number): void {
    taken -= weight
    next()
  }

  return {
    enter(weight, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error)
        const one = {
          weight,
          start() {
            signal.removeEventListener('abort', onAbort)
            resolve(() => leave(weight))
          }
        }
        function onAbort(): void {
          waiting.splice(waiting.indexOf(one), 1)
          reject(signal.reason as Error)
          next()
        }
        signal.addEventListener('abort', onAbort, { once: true })
        waiting.push(one)
        next()
      })
    },
    get size() {
      return taken + waiting.length
    }
  }
}
