/** When a node renews its lease: at a third of it, or earlier when asked. */
export interface LeaseTimer {
  start(): void
  stop(): void
  /** Brings the next renewal forward to some thirtieth of the lease from now, at a moment of its own. Asked again before that it does nothing. */
  hasten(): void
}

/** @param leaseMs in ms. @param renew called when it is due. */
export function createLeaseTimer(leaseMs: number, random: () => number, renew: () => void): LeaseTimer {
  let timer: ReturnType<typeof setTimeout> | undefined
  let hastened = false

  function renewAfter(ms: number): void {
    clearTimeout(timer)
    timer = setTimeout(() => {
      start()
      renew()
    }, ms)
    timer.unref?.()
  }

  function start(): void {
    hastened = false
    renewAfter((leaseMs / 3) * (0.9 + 0.2 * random()))
  }

  return {
    start,
    stop() {
      clearTimeout(timer)
      timer = undefined
    },
    hasten() {
      if (timer === undefined || hastened) return
      hastened = true
      renewAfter((leaseMs / 30) * (0.5 + random()))
    }
  }
}
