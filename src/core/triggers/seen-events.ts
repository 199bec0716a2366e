/** How long it is remembered that an event was handled, ms. */
export const SEEN_MS = 600_000
/** Most events that are remembered; past it those of the node with the most go first. */
export const MAX_SEEN = 65_536
/** Most events of one node that are being handled. */
export const MAX_HANDLING_OF_NODE = 4_096
/** Most events that are remembered over a restart, more than a source may have out at a node: the newest of each node, past it fewer of those with the most. */
export const MAX_SEEN_STORED = 8_192

/** How an event ended that does not come again. */
export type Settled = 'done' | 'failed'

/** What is kept of an event over a restart. */
export interface StoredEvent {
  node: string
  key: string
  settled: Settled
  /** In which round it has failed. Left out: in the first one, 0. */
  round?: number
  /** How long ago that was, ms. */
  ageMs: number
}

/**
 * Which events were accepted here, so that one that comes again is not handled again. A node is the PeerId that sends it, a key the id of the event
 * and the handler. What is being handled is not forgotten.
 */
export interface SeenEvents {
  /** `new`: to be handled, and from now on `handling`. `full`: to be sent again later. @param round what has failed is new in a higher one. */
  begin(node: string, key: string, now: number, round?: number): 'new' | 'handling' | 'full' | Settled
  /** @param lasting it is to be remembered over a restart. */
  settle(node: string, key: string, settled: Settled, now: number, lasting?: boolean, round?: number): void
  /** It was not handled, and may come again. */
  forget(node: string, key: string): void
  /** Forgets what has been remembered long enough. Called now and then: what comes from a node does so for that node. */
  expire(now: number): void
  stored(now: number): StoredEvent[]
  /** Those that are being handled left out. */
  readonly size: number
}

/** Forgotten together. */
const AT_ONCE = 64

interface Remembered {
  key: string
  settled: Settled
  round: number
  at: number
  lasting: boolean
}

interface Share {
  handling: Set<string>
  settled: Map<string, Remembered>
  /** The oldest first, from `head` on, with some that are forgotten. Beside the map, since looking for the first of one whose first ones are deleted takes long. */
  order: Remembered[]
  head: number
}

/** @param now monotonic ms, of the start. */
export function createSeenEvents(initial: readonly StoredEvent[] = [], now = 0): SeenEvents {
  const shares = new Map<string, Share>()
  let size = 0

  function shareOf(node: string): Share {
    let share = shares.get(node)
    if (share === undefined) shares.set(node, (share = { handling: new Set(), settled: new Map(), order: [], head: 0 }))
    return share
  }

  function oldestOf(share: Share): Remembered | undefined {
    const { order, settled } = share
    while (share.head < order.length && settled.get(order[share.head]!.key) !== order[share.head]) share.head++
    if (share.head > order.length / 2) {
      order.splice(0, share.head)
      share.head = 0
    }
    return order[share.head]
  }

  function drop(share: Share, key: string): void {
    if (share.settled.delete(key)) size--
  }

  function expireOf(node: string, share: Share, time: number): void {
    for (let one = oldestOf(share); one !== undefined && one.at + SEEN_MS <= time; one = oldestOf(share)) drop(share, one.key)
    if (share.settled.size + share.handling.size === 0) shares.delete(node)
  }

  /** A node that sends many events shortens its own memory: it cannot make this one forget those of others. */
  function makeRoom(share: Share): void {
    if (size < MAX_SEEN) return
    const isLargest = share.settled.size * shares.size >= MAX_SEEN
    const from = isLargest ? share : [...shares.values()].reduce((a, b) => (b.settled.size > a.settled.size ? b : a))
    // Several at once where they had to be looked for.
    for (let n = 0; n < (isLargest ? 1 : AT_ONCE); n++) drop(from, oldestOf(from)?.key ?? '')
  }

  function remember(node: string, one: Remembered): void {
    const share = shareOf(node)
    share.handling.delete(one.key)
    drop(share, one.key)
    makeRoom(share)
    share.settled.set(one.key, one)
    share.order.push(one)
    size++
  }

  for (const { node, key, settled, round = 0, ageMs } of initial)
    remember(node, { key, settled, round, at: now - ageMs, lasting: true })

  return {
    begin(node, key, time, round = 0) {
      const known = shares.get(node)
      if (known !== undefined) expireOf(node, known, time)
      if (known?.handling.has(key) === true) return 'handling'
      const before = known?.settled.get(key)
      // It stays remembered until this round is over.
      if (before?.settled === 'done' || (before !== undefined && before.round >= round)) return before.settled
      const share = shareOf(node)
      if (share.handling.size >= MAX_HANDLING_OF_NODE) return 'full'
      share.handling.add(key)
      return 'new'
    },
    settle(node, key, settled, time, lasting = false, round = 0) {
      remember(node, { key, settled, round, at: time, lasting })
    },
    forget(node, key) {
      const share = shares.get(node)
      share?.handling.delete(key)
      if (share !== undefined && share.settled.size + share.handling.size === 0) shares.delete(node)
    },
    expire(time) {
      for (const [node, share] of shares) expireOf(node, share, time)
    },
    stored(time) {
      const lists = [...shares].map(([node, { settled }]) => {
        const lasting = [...settled.values()].filter((one) => one.lasting && one.at + SEEN_MS > time)
        return lasting.map(({ key, settled: how, round, at }) => ({
          ...{ node, key, settled: how },
          ...(round > 0 && { round }),
          ageMs: time - at
        }))
      })
      return fairly(lists, MAX_SEEN_STORED).sort((a, b) => b.ageMs - a.ageMs)
    },
    get size() {
      return size
    }
  }
}

/** The last ones of each list, so many together: of the short ones all, of the long ones equally many. */
function fairly<T>(lists: readonly (readonly T[])[], most: number): T[] {
  const all = [...lists].sort((a, b) => a.length - b.length)
  let left = most
  return all.flatMap((list, n) => {
    const share = Math.min(list.length, Math.floor(left / (all.length - n)))
    left -= share
    return list.slice(list.length - share)
  })
}
