/** Those who fired an event and wait to hear who has it. */
export interface FireWaits {
  /** Before anything can have become of it. @param handlers whom it was given to. */
  begin(id: string, handlers: readonly string[]): void
  /** Resolves when each of them has taken it, it was dropped, or the time is over. @returns who has taken it, and why it was dropped. */
  end(id: string, withinMs: number): Promise<{ by: string[]; reason?: string }>
  taken(id: string, handler: string): void
  dropped(id: string, reason: string): void
}

interface Wait {
  wanted: number
  by: Set<string>
  reason?: string
  resolve: (() => void) | undefined
}

/** See {@link FireWaits}. */
export function createFireWaits(): FireWaits {
  const waiting = new Map<string, Wait>()
  const isOver = ({ wanted, by, reason }: Wait): boolean => reason !== undefined || by.size >= wanted

  function note(id: string, change: (wait: Wait) => void): void {
    const wait = waiting.get(id)
    if (wait === undefined) return
    change(wait)
    if (isOver(wait)) wait.resolve?.()
  }

  return {
    // Where there is nobody, there is nothing to wait for.
    begin: (id, handlers) => void waiting.set(id, { wanted: handlers.length, by: new Set(), resolve: undefined }),
    async end(id, withinMs) {
      const wait = waiting.get(id)!
      if (!isOver(wait)) {
        let timer: ReturnType<typeof setTimeout> | undefined
        await new Promise<void>((resolve) => {
          wait.resolve = resolve
          timer = setTimeout(resolve, withinMs)
        })
        clearTimeout(timer)
      }
      waiting.delete(id)
      return { by: [...wait.by], ...(wait.reason !== undefined && { reason: wait.reason }) }
    },
    taken: (id, handler) => note(id, ({ by }) => by.add(handler)),
    dropped: (id, reason) => note(id, (wait) => (wait.reason = reason))
  }
}
