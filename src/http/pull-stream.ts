/**
 * A response body that is pulled: the next line is made only when the client has room for it, so a slow client slows the
 * source and nothing piles up here. When the client goes, `return` of the iterator runs and `onCancel` is called.
 * `lines` must not throw.
 */
export function pullStream(lines: AsyncIterator<string | Uint8Array, void>, onCancel: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const line = await lines.next()
        if (line.done) controller.close()
        else controller.enqueue(typeof line.value === 'string' ? encoder.encode(line.value) : line.value)
      },
      async cancel() {
        onCancel()
        await lines.return?.()
      }
    },
    { highWaterMark: 1 }
  )
}

/** Headers of a stream: no cache, and no proxy that gathers it. */
export const STREAM_HEADERS = { 'cache-control': 'no-store', 'x-accel-buffering': 'no' } as const
