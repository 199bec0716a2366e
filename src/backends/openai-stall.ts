/** How long a server that streams may say nothing. */
import { MeshError } from '../errors.ts'

/** Times of an answer that is streamed. All of it: the signal. */
export interface StreamTimes {
  /** From the request to the first piece of the answer, in ms: a model may have to be loaded for it. Default: no limit. */
  firstByteMs?: number
  /** From one piece to the next, in ms, while somebody waits for it. Default: no limit. */
  idleMs?: number
}

/** See {@link createStall}. */
export interface Stall {
  /** Aborts when the server has said nothing for too long. */
  readonly signal: AbortSignal
  /** Why; undefined as long as it has not. */
  readonly failure: MeshError | undefined
  /** The next piece is waited for, from now on. */
  wait(): void
  clear(): void
}

/** Watches a server; the first piece is waited for from now on. What has stalled another provider may do: its error is `unavailable`. */
export function createStall({ firstByteMs, idleMs }: StreamTimes): Stall {
  const controller = new AbortController()
  let failure: MeshError | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  const arm = (ms: number | undefined, what: string): void => {
    if (ms === undefined) return
    timer = setTimeout(() => {
      failure = new MeshError('unavailable', `the server ${what} ${ms} ms`)
      controller.abort(failure)
    }, ms)
  }
  arm(firstByteMs, 'has not begun to answer within')
  return {
    signal: controller.signal,
    get failure() {
      return failure
    },
    wait: () => arm(idleMs, 'has stalled in the middle of its answer: nothing for'),
    clear: () => clearTimeout(timer)
  }
}

/** The same pieces, watched. While their reader holds one, no time of the server passes. */
export async function* paced(body: AsyncIterable<Uint8Array>, stall: Stall): AsyncGenerator<Uint8Array, void, void> {
  for await (const piece of body) {
    stall.clear()
    yield piece
    stall.wait()
  }
  stall.clear()
}
