import { INVITE_MS, type InviteGrant } from './invites.ts'

/** Nodes that are remembered as ignored while a door is open. */
const MAX_IGNORED = 1_024

/** The door of a node for others nearby: a person opens it, for a time, for one node. */
export interface Door {
  /** From now on, for {@link INVITE_MS}; who asks meanwhile may wait longer. */
  open(grant: InviteGrant): void
  close(): void
  /** Aborted when the door that is open now is closed or opened anew; not by its time. */
  readonly closed: AbortSignal
  /** What the next node becomes; undefined while the door is shut. */
  readonly grant: InviteGrant | undefined
  /** A node that a person did not want: not asked about again while the door is open. */
  ignore(peer: string): void
  isIgnored(peer: string): boolean
}

/** @param now monotonic, in ms. */
export function createDoor(now: () => number): Door {
  let state: { grant: InviteGrant; until: number } | undefined
  let closing = new AbortController()
  const ignored = new Set<string>()
  return {
    open(grant) {
      this.close()
      ignored.clear()
      closing = new AbortController()
      state = { grant, until: now() + INVITE_MS }
    },
    close() {
      state = undefined
      closing.abort()
    },
    get closed() {
      return closing.signal
    },
    get grant() {
      if (state !== undefined && state.until <= now()) state = undefined
      return state?.grant
    },
    ignore(peer) {
      if (ignored.size < MAX_IGNORED) ignored.add(peer)
    },
    isIgnored: (peer) => ignored.has(peer)
  }
}
