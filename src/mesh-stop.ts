/** Runs each of these, one after the other. */
export async function stopInOrder(stops: readonly (() => unknown)[], warn: (message: string) => void): Promise<void> {
  for (const stop of stops) {
    try {
      await stop()
    } catch (error) {
      // One that fails must not keep the others from ending: the lock and the sockets above all.
      warn(`stopping: ${(error as Error).message}`)
    }
  }
}
