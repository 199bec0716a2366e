/** Bytes that wait for a client which does not read its stream. What comes past them ends it: the client sees that once it reads again, and comes back. One message may be longer, if nothing waits before it. */
export const MAX_UNREAD_BYTES = 1024 * 1024

/** How a stream is bounded. */
export interface StreamBound {
  /** Default {@link MAX_UNREAD_BYTES}. */
  maxUnreadBytes?: number | undefined
  /** It answers several requests: past the bound their answers are kept, one for each, and all else is left out, in place of the end of the stream. */
  isBatch?: boolean
  /** The stream is over, whoever has ended it. */
  onOver?: () => void
}

/**
 * A response of server-sent events that keeps no more than its bound for a client that does not read, and is without a {@link cancelledAnswer}; any other as it is. The SDK writes whatever there is to
 * write, however much of it waits.
 */
export function boundedStream(
  response: Response,
  { maxUnreadBytes = MAX_UNREAD_BYTES, isBatch = false, onOver }: StreamBound
): Response {
  const { body, status, statusText, headers } = response
  if (body === null || headers.get('content-type') !== 'text/event-stream') {
    onOver?.()
    return response
  }
  const source = body.getReader()
  const bounded = new ReadableStream<Uint8Array>(
    {
      start: (controller) => void pass(source, controller, isBatch).finally(() => onOver?.()),
      // Ends the loop above.
      cancel: (reason) => source.cancel(reason)
    },
    new ByteLengthQueuingStrategy({ highWaterMark: maxUnreadBytes })
  )
  return new Response(bounded, { status, statusText, headers })
}

/** Reads at once whatever comes. Never rejects. */
async function pass(
  source: ReadableStreamDefaultReader<Uint8Array>,
  controller: ReadableStreamDefaultController<Uint8Array>,
  isBatch: boolean
): Promise<void> {
  try {
    for (let step = await source.read(); !step.done; step = await source.read()) {
      if (endsWith(step.value, CANCELLED_END)) continue
      const hasRoom = controller.desiredSize! > 0
      // What waits is still given to the client: messages are whole.
      if (!hasRoom && !isBatch) break
      // Answers come close together, also to one that reads; it cannot ask for them again.
      if (hasRoom || isAnswer(step.value)) controller.enqueue(step.value)
    }
    controller.close()
  } catch {
    // The client has gone, and nothing can be closed any more.
  }
  await source.cancel().catch(() => {})
}

/** That of a call that was cancelled, whatever came of it. */
const CANCELLED = { code: -32_800, message: 'cancelled' } as const
/** Of a message of the SDK: no other one has such an error at its top. */
const CANCELLED_END = new TextEncoder().encode(`"error":${JSON.stringify(CANCELLED)}}\n\n`)

/**
 * An answer for the SDK alone, which keeps a stream open until each request that it answers has one: a client is told nothing of what it has cancelled
 * (https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/cancellation), so a {@link boundedStream} leaves it out.
 */
export function cancelledAnswer(id: string | number): { jsonrpc: '2.0'; id: string | number; error: typeof CANCELLED } {
  return { jsonrpc: '2.0', id, error: CANCELLED }
}

function endsWith(piece: Uint8Array, end: Uint8Array): boolean {
  const from = piece.length - end.length
  return from >= 0 && end.every((byte, at) => piece[from + at] === byte)
}

const DATA = '\ndata: '

/** True for an answer to a request, not for what is told beside it. The SDK writes each message as one piece. */
function isAnswer(piece: Uint8Array): boolean {
  const text = new TextDecoder().decode(piece)
  const at = text.indexOf(DATA)
  if (at < 0) return false
  const message = JSON.parse(text.slice(at + DATA.length)) as object
  return 'result' in message || 'error' in message
}
