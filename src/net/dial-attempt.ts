/** One attempt at one peer: its addresses in order, without letting a dead one hold up the next. */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Schedule } from './address-book.ts'

/** What a dial gives. */
export interface Reached {
  remotePeer: { toString(): string }
  remoteAddr: Multiaddr
}

/** `libp2p.dial`, as far as it is used. */
export type DialFunction = (
  addrs: Multiaddr[],
  options: { signal: AbortSignal; onProgress(event: { type: string }): void }
) => Promise<Reached>

/** Time for a dial to come to its handshake, ms. */
export const DIAL_MS = 2_000
/**
 * Time for the handshake, ms. It is work, for both: who gives it up begins again, and a peer that many dial at once would never be
 * done with any of them. As much as libp2p gives one address in all.
 */
export const HANDSHAKE_MS = 6_000
/** Time for a dial to get as far as the handshake while other addresses wait, ms. A LAN host that lives answers within a few. */
export const CONNECT_MS = 300
/** Slow addresses that get the full time after all had their short one. */
export const MAX_SLOW_ADDRESSES = 4

/**
 * Creates the function that runs attempts. libp2p 3 tries the addresses of a dial one after the other, each for seconds, and
 * joins parallel dials to the same PeerId into one; dialling without PeerId in parallel would make several connections.
 * So addresses are dialled one by one, and one whose TCP connect has not come through within {@link CONNECT_MS} gives way;
 * as soon as the handshake has begun (libp2p's `upgrader:` progress) it has {@link HANDSHAKE_MS}.
 */
export function createDialAttempt({ dial, schedule }: { dial: DialFunction; schedule: Schedule }): {
  /**
   * The first connection that comes about, `self` if this node itself answers, undefined if none does or the signal aborts. Never rejects.
   * `onHandshake` is told when a handshake begins, and when it is over.
   */
  run(
    addrs: readonly Multiaddr[],
    signal: AbortSignal,
    onHandshake: (begun: boolean) => void
  ): Promise<Reached | 'self' | undefined>
} {
  const once = async (
    addr: Multiaddr,
    ms: number,
    signal: AbortSignal,
    onHandshake: (begun: boolean) => void
  ): Promise<Reached | 'late' | 'self' | undefined> => {
    const controller = new AbortController()
    let late = false
    const expire = (): void => {
      late = true
      controller.abort()
    }
    const abort = (): void => controller.abort()
    signal.addEventListener('abort', abort, { once: true })
    let cancel = schedule(expire, ms)
    let shaking = false
    const onProgress = ({ type }: { type: string }): void => {
      if (shaking || controller.signal.aborted || !type.startsWith('upgrader:')) return
      shaking = true
      onHandshake(true)
      cancel()
      cancel = schedule(expire, HANDSHAKE_MS)
    }
    try {
      return await dial([addr], { signal: controller.signal, onProgress })
    } catch (error) {
      if (error instanceof Error && error.name === 'InvalidPeerIdError') return 'self' // libp2p: "Can not dial self"
      return late && !shaking && ms < DIAL_MS ? 'late' : undefined
    } finally {
      cancel()
      if (shaking) onHandshake(false)
      signal.removeEventListener('abort', abort)
    }
  }

  return {
    run: async (addrs, signal, onHandshake) => {
      const slow: Multiaddr[] = []
      for (const addr of addrs) {
        if (signal.aborted) return undefined
        const reached = await once(addr, addrs.length === 1 ? DIAL_MS : CONNECT_MS, signal, onHandshake)
        if (reached === 'late') slow.push(addr)
        else if (reached !== undefined) return reached
      }
      for (const addr of slow.slice(0, MAX_SLOW_ADDRESSES)) {
        if (signal.aborted) return undefined
        const reached = await once(addr, DIAL_MS, signal, onHandshake)
        if (reached !== undefined && reached !== 'late') return reached
      }
      return undefined
    }
  }
}
