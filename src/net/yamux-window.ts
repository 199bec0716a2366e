/** What is used of a yamux stream beyond the libp2p interface; checked before use, since it may change. */
interface WindowedStream {
  recvWindow: number
  recvWindowCapacity: number
  sendWindowUpdate(): void
}

/**
 * yamux answers every data frame with a window update, which costs a small call as many encrypted writes again.
 * Its specification asks for no more than that the window does not run dry: half of it is a good moment.
 * Does nothing to a stream of another kind.
 */
export function spareWindowUpdates(stream: object): void {
  const windowed = stream as Partial<WindowedStream>
  const { sendWindowUpdate } = windowed
  if (
    typeof sendWindowUpdate !== 'function' ||
    typeof windowed.recvWindow !== 'number' ||
    typeof windowed.recvWindowCapacity !== 'number'
  )
    return
  let first = true
  windowed.sendWindowUpdate = () => {
    // The first one carries the acknowledgement of the stream itself.
    if (first || windowed.recvWindowCapacity! * 2 <= windowed.recvWindow!) sendWindowUpdate.call(stream)
    first = false
  }
}
