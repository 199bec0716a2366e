/** What every process of a benchmark can be asked, beside its own work. `cpu` is for servers, which do not know when a round begins. */
export type Request<Own> = Own | { do: 'cpu' } | { do: 'stop' }

/** CPU time of this process so far, user and system, in µs. */
export function cpuUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** A process that is ready. */
export interface Peer<Own> {
  /** Told to the parent at once. */
  ready: Record<string, unknown>
  answer(request: Own): Promise<unknown>
  stop(): Promise<void>
}

/** The main of a process of a benchmark: starts, says that it is ready, and answers its parent over IPC until told to stop. */
export async function answerParent<Own extends { do: string }>(start: () => Promise<Peer<Own>>): Promise<void> {
  const fail = (error: unknown): void =>
    void process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  try {
    const peer = await start()
    const answer = async (request: Request<Own>): Promise<unknown> => {
      if (request.do === 'cpu') return cpuUs()
      if (request.do !== 'stop') return peer.answer(request as Own)
      await peer.stop()
      // Without the channel the process ends by itself; what leaves a socket or a timer behind is ended by the parent.
      setImmediate(() => process.disconnect())
      return undefined
    }
    process.on('message', (request: Request<Own>) => void answer(request).then((value) => process.send?.({ value }), fail))
    process.send?.({ value: peer.ready })
  } catch (error) {
    fail(error)
    process.exitCode = 1
    process.disconnect?.()
  }
}
