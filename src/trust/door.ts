import { INVITE_MS, type InviteGrant } from './invites.ts'

/** Times that nodes may ask while a door is open, all together: each is a chance of one in a million for somebody in between. */
export const MAX_ASKS = 16
/** Nodes that are remembered as ignored while a door is open. */
const MAX_IGNORED = 1_024

/** The door of a node for others nearby: a person opens it, for a time, for one node. */
export interface Door {
  /** From now on, for {@link INVITE_MS}. */
  open(grant: InviteGrant): void
  close(): void
  /** Aborted when the door that is open now is closed or opened anew; not by its time. */
  readonly closed: AbortSignal
  /** What the next node becomes; undefined while the door is shut. */
  readonly grant: InviteGrant | undefined
  /** Counts that somebody asks. False, and the door is shut, if that was too often. */
  ask(): boolean
  /** A node that a person did not want: not asked about again while the door is open. */
  ignore(peer: string): void
  isIgnored(peer: string): boolean
}

/** @param now monotonic, in ms. */
export function createDoor(now: () => number): Door {
  let state: { grant: InviteGrant; until: number } | undefined
  let asks = 0
  let closing = new AbortController()
  const ignored = new Set<string>()
  return {
    open(grant) {
      this.close()
      ignored.clear()
      asks = 0
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
    ask() {
      if (++asks <= MAX_ASKS) return true
      this.close()
      return false
    },
    ignore(peer) {
      if (ignored.size < MAX_IGNORED) ignored.add(peer)
    },
    isIgnored: (peer) => ignored.has(peer)
  }
}
