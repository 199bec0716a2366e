import {
  LEND_PROTOCOL,
  MAX_LENT_CAPABILITIES,
  decodeLendItem,
  decodeLendRequest,
  encodeLendItem,
  encodeLendRequest,
  type LendItem
} from '../../protocols/lend/messages.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError } from '../errors.ts'
import type { Protocol } from './protocol.ts'
import type { Session } from './session.ts'

/** What is lent to one peer: encoded capabilities by id. A change makes a new one. */
export type Lent = ReadonlyMap<string, Uint8Array>

/** The lending side. */
export interface LendComponents {
  /** What this node calls itself. */
  name: string
  /** What is lent to a peer now. The same object as before while nothing has changed. */
  lentTo(peer: string): Lent
}

/** The lending side of the lend protocol. */
export interface Lender {
  protocol: Protocol
  /** What is lent may have changed. */
  changed(): void
  /** Ends all that is under way: a session that closes waits for it. */
  stop(): void
}

/** A lender says what it has, then only what has changed since it last said something: a slow reader makes nothing wait here. */
export function createLender({ name, lentTo }: LendComponents): Lender {
  const waiting = new Set<() => void>()
  let stopped = false

  /** Resolves at the next change, or when the exchange ends. */
  function nextChange(signal: AbortSignal): { changed: Promise<void>; forget: () => void } {
    let wake!: () => void
    const changed = new Promise<void>((resolve) => (wake = resolve))
    waiting.add(wake)
    signal.addEventListener('abort', wake, { once: true })
    return {
      changed,
      forget() {
        waiting.delete(wake)
        signal.removeEventListener('abort', wake)
      }
    }
  }

  function changed(): void {
    for (const wake of waiting) wake()
    waiting.clear()
  }

  return {
    changed,
    stop() {
      stopped = true
      changed()
    },
    protocol: {
      id: LEND_PROTOCOL,
      async *handle({ body, signal }, peer) {
        decodeLendRequest(body)
        yield encodeLendItem({ kind: 'node', name })
        let said: Lent = new Map()
        let ready = false
        while (!stopped && !signal.aborted) {
          // Before it is looked at what there is: what changes meanwhile is not missed.
          const { changed, forget } = nextChange(signal)
          try {
            const lent = lentTo(peer)
            for (const id of said.keys()) if (!lent.has(id)) yield encodeLendItem({ kind: 'gone', id })
            for (const [id, bytes] of lent) if (said.get(id) !== bytes) yield encodeLendItem({ kind: 'capability', bytes })
            said = lent
            if (!ready) yield encodeLendItem({ kind: 'ready' })
            ready = true
            await changed
          } finally {
            forget()
          }
        }
        return null
      }
    }
  }
}

/** What a lender may say: all that it may lend, and all of it changed three times, at once, and then so many items a second. */
export const LEND_ITEM_RATE = { perSecond: 32, burst: 4 * MAX_LENT_CAPABILITIES } as const

/** The borrowing side: hears what a peer lends. */
export interface Borrower {
  /**
   * Until the signal, the session or the lender ends it. @param onItem told of each item, in order.
   * @throws MeshError `protocol_error`, `too_large`, `unavailable`, `busy` with `details.reason` `rate` if the peer says more than {@link LEND_ITEM_RATE}.
   */
  borrow(peer: string, session: Session, onItem: (item: LendItem) => void, signal: AbortSignal): Promise<void>
}

/** @param now monotonic ms. */
export function createBorrower(now: () => number): Borrower {
  // Of each peer, not of each session: who comes again has not more.
  const rates = createTokenBuckets(LEND_ITEM_RATE, now)
  return {
    async borrow(peer, session, onItem, signal) {
      const ids = new Set<string>()
      for await (const body of session.request(encodeLendRequest(), { signal })) {
        // Before it is read.
        if (!rates.take(peer))
          throw new MeshError('busy', `it changes what it lends more than ${LEND_ITEM_RATE.perSecond} times a second`, {
            reason: 'rate'
          })
        const item = decodeLendItem(body)
        if (item.kind === 'capability') ids.add(item.declaration.id)
        else if (item.kind === 'gone') ids.delete(item.id)
        if (ids.size > MAX_LENT_CAPABILITIES)
          throw new MeshError('too_large', `a peer lends more than ${MAX_LENT_CAPABILITIES} capabilities`)
        onItem(item)
      }
    }
  }
}
