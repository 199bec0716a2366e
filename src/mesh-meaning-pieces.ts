/** Long work in pieces, between which the node does everything else. */
import { abortError } from './errors.ts'

/** Longest piece without a pause, in ms. */
export const PIECE_MS = 8

/** What the work comes to. @param now monotonic ms. Rejects with the MeshError of the signal once that aborts. */
export async function inPieces<T>(work: Generator<undefined, T>, now: () => number, signal: AbortSignal): Promise<T> {
  for (;;) {
    const until = now() + PIECE_MS
    let step = work.next()
    while (step.done !== true && now() < until) step = work.next()
    if (step.done === true) return step.value
    await pause()
    if (signal.aborted) throw abortError(signal)
  }
}

/** Lets everything else that waits have its turn. */
export function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}
