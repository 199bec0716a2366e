/** Payloads that go by reference, from the node of their source to that of a handler. */
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'
import { decodePayloadPart, encodeTriggerOpen } from '../../protocols/trigger/messages.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { Session } from './session.ts'

/** Payloads that one node may get at once; past it the answer is `busy`. */
export const MAX_FETCHES_PER_PEER = 4
/** A source that sends nothing for so long has failed, in ms. */
export const FETCH_IDLE_MS = 30_000

/** The side of the handlers: parts as they come, nothing of them checked but their size. @param connect the session with the source. @param hash lower-case hex. @throws MeshError. */
export async function* fetchPayload(
  connect: () => Promise<Pick<Session, 'request'>>,
  hash: string,
  signal: AbortSignal,
  idleMs: number = FETCH_IDLE_MS
): AsyncGenerator<Uint8Array, void, void> {
  const over = new AbortController()
  const aborted = new Promise<never>((_, reject) =>
    over.signal.addEventListener('abort', () => reject(toMeshError(over.signal.reason)), { once: true })
  )
  aborted.catch(() => undefined)
  const onAbort = (): void => over.abort(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  let timer: ReturnType<typeof setTimeout> | undefined
  const wait = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => over.abort(new MeshError('unavailable', 'the source of the payload sends nothing')), idleMs)
    timer.unref?.()
  }
  try {
    wait()
    const session = await Promise.race([connect(), aborted])
    const open = encodeTriggerOpen({ kind: 'fetch', hash: fromString(hash, 'base16') })
    for await (const body of session.request(open, { signal: over.signal })) {
      // Until the part is taken the source is not to blame.
      clearTimeout(timer)
      yield decodePayloadPart(body)
      wait()
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

/** The side of the source: {@link MAX_FETCHES_PER_PEER} for each node. @param read for a node; throws MeshError `unavailable`. */
export function createPayloadServer(
  read: (hash: string, peer: string) => AsyncGenerator<Uint8Array, void, void>
): (hash: Uint8Array, peer: string) => AsyncGenerator<Uint8Array, null, void> {
  const running = new Map<string, number>()
  return async function* (hash, peer) {
    const count = running.get(peer) ?? 0
    if (count >= MAX_FETCHES_PER_PEER) throw new MeshError('busy', 'this node gets as many payloads as it may already')
    running.set(peer, count + 1)
    try {
      yield* read(toString(hash, 'base16'), peer)
      return null
    } finally {
      const left = running.get(peer)! - 1
      if (left === 0) running.delete(peer)
      else running.set(peer, left)
    }
  }
}
