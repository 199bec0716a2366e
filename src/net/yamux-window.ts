/** What is used of a yamux stream beyond the libp2p interface; checked before use, since it may change. */
interface WindowedStream {
  recvWindow: number
  recvWindowCapacity: number
  maxStreamWindowSize: number
  sendWindowUpdate(): void
}

/**
 * Opens the receive window of a yamux stream to its largest at once, and sends fewer updates of it.
 *
 * yamux would grow the window by the round trips that its keep-alive measures. That is off here, because presence is measured on our own
 * sessions, and without it a stream stays at 256 KiB: over 30 ms of radio no more than 8 MB/s.
 *
 * yamux answers every data frame with a window update, which costs a small call as many encrypted writes again.
 * Its specification asks for no more than that the window does not run dry: half of it is a good moment.
 * Does nothing to a stream of another kind.
 */
export function openWindow(stream: object): void {
  const windowed = stream as Partial<WindowedStream>
  const { sendWindowUpdate } = windowed
  if (
    typeof sendWindowUpdate !== 'function' ||
    typeof windowed.recvWindow !== 'number' ||
    typeof windowed.recvWindowCapacity !== 'number' ||
    typeof windowed.maxStreamWindowSize !== 'number'
  )
    return
  windowed.recvWindow = Math.max(windowed.recvWindow, windowed.maxStreamWindowSize)
  let first = true
  windowed.sendWindowUpdate = () => {
    // The first one carries the acknowledgement of the stream itself.
    if (first || windowed.recvWindowCapacity! * 2 <= windowed.recvWindow!) sendWindowUpdate.call(stream)
    first = false
  }
}
