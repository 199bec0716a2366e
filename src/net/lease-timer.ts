/** When a node renews its lease: at every third of it, and in between when asked. */
export interface LeaseTimer {
  start(): void
  stop(): void
  /** One more renewal, some thirtieth of the lease from now, at a moment of its own. Asked again before that it does nothing. */
  hasten(): void
}

/** @param leaseMs in ms. @param renew called when it is due. */
export function createLeaseTimer(leaseMs: number, random: () => number, renew: () => void): LeaseTimer {
  let regular: ReturnType<typeof setTimeout> | undefined
  let extra: ReturnType<typeof setTimeout> | undefined

  function start(): void {
    regular = setTimeout(
      () => {
        start()
        renew()
      },
      (leaseMs / 3) * (0.9 + 0.2 * random())
    )
    regular.unref?.()
  }

  return {
    start,
    stop() {
      clearTimeout(regular)
      clearTimeout(extra)
      regular = extra = undefined
    },
    hasten() {
      if (regular === undefined || extra !== undefined) return
      extra = setTimeout(
        () => {
          extra = undefined
          renew()
        },
        (leaseMs / 30) * (0.5 + random())
      )
      extra.unref?.()
    }
  }
}
