/** Whether the other ends of links are still there, and how far away: who is pinged when, and what comes of it. */
import type { Session } from './session.ts'

/** A peer that has been silent for this long is pinged, in ms, where a node has few links. */
export const PING_INTERVAL_MS = 6_000
/**
 * With many links a peer may be silent for this long for each of them, in ms, give or take {@link SPREAD}: so the pings of a node are as many a second
 * for fifty neighbours as for twelve. Of a node that dies one of its neighbours knows as early as ever, and tells the others.
 */
export const LINK_SHARE_MS = 500
/** A silence differs by this share from link to link and from time to time: the neighbours of a node must not all ping it in the same moment. */
export const SPREAD = 0.25
/** How often silences are looked at, in ms. */
export const LOOK_EVERY_MS = 250
/** How long a pong may take, in ms. */
export const PONG_TIMEOUT_MS = 1_500
/** Pings in a row without any sign of life after which a peer counts as gone. */
export const MAX_MISSED_PONGS = 3
/** After so many the other neighbours are asked to look for themselves. */
export const DOUBT_AFTER_MISSES = 2
/** Between two pings of a peer that answers, in ms, at least. */
export const MEASURE_GAP_MS = 300
/** Most pings that can be asked for at once. */
export const MAX_SAMPLES = 8

/** See {@link createLinkWatch}. Peers by PeerId; what is said of one that is not watched does nothing. */
export interface LinkWatch {
  /** Watches a peer, and measures its round trip at once. */
  add(peer: string, session: WatchedSession): void
  remove(peer: string): void
  /** Measures round trips at once, {@link MEASURE_GAP_MS} apart. Asked again meanwhile it adds none. */
  measure(peer: string, samples: number): void
  /** There is reason to think that a peer is gone: it is pinged at once. @param isTold neighbours think so: if it is so, nobody needs to be told. */
  doubt(peer: string, isTold: boolean): void
  stop(): void
}

/** The part of a session that is used. */
export type WatchedSession = Pick<Session, 'ping' | 'lastHeardAt'>

/** What watching needs. */
export interface LinkWatchComponents {
  /** Monotonic ms. */
  now: () => number
  random: () => number
  /** A round trip in ms. */
  onRtt(peer: string, rttMs: number): void
  /** A peer does not answer, and nobody has said so before. */
  onDoubt(peer: string): void
  /** A peer is gone: so many pings had no answer. It is not watched any more. */
  onSilent(peer: string, missed: number): void
}

interface Watched {
  readonly peer: string
  readonly session: WatchedSession
  heardAt: number
  pingedAt: number
  /** How long the peer may be silent before it is pinged, in ms. */
  dueMs: number
  /** A peer with fewer links pings by itself, and more often: when it misses its own pace it is looked after. Undefined: it has none. */
  paceMs: number | undefined
  samples: number
  isAsking: boolean
  isDoubted: boolean
  timer: ReturnType<typeof setTimeout> | undefined
}

/** Any frame of a peer is a sign of life. The side that finds the silence too long first pings; both are the wiser for it. */
export function createLinkWatch({ now, random, onRtt, onDoubt, onSilent }: LinkWatchComponents): LinkWatch {
  const watched = new Map<string, Watched>()
  let looking: ReturnType<typeof setInterval> | undefined
  let selfTest: ReturnType<typeof setTimeout> | undefined

  const shareMs = (): number => watched.size * LINK_SHARE_MS
  const drawMs = (): number => Math.max(PING_INTERVAL_MS, shareMs() * (1 - SPREAD + 2 * SPREAD * random()))
  const isWatched = (one: Watched): boolean => watched.get(one.peer) === one

  function look(): void {
    for (const one of watched.values()) {
      listen(one)
      if (now() - one.heardAt >= one.dueMs) void ask(one)
    }
  }

  /** Takes note of what came since it was looked at last. */
  function listen(one: Watched): void {
    const { lastHeardAt } = one.session
    const silence = lastHeardAt - one.heardAt
    if (silence <= 0) return
    const wasAsked = one.pingedAt >= one.heardAt
    one.heardAt = lastHeardAt
    // Shorter ones are other traffic.
    if (!wasAsked && silence >= PING_INTERVAL_MS) one.paceMs = paceOf(silence)
    else if (wasAsked && one.paceMs !== undefined) one.paceMs = paceOf(one.paceMs * 1.5)
    one.dueMs = Math.min(one.paceMs ?? Infinity, drawMs())
  }

  /** Undefined for what is no less than this node does itself. */
  function paceOf(silence: number): number | undefined {
    const pace = silence + LOOK_EVERY_MS
    return pace < Math.max(shareMs() * (1 - SPREAD), PING_INTERVAL_MS * 1.2) ? pace : undefined
  }

  /** Pings until the peer has answered as often as is wanted, or is gone. */
  async function ask(one: Watched): Promise<void> {
    if (one.isAsking) return
    one.isAsking = true
    let missed = 0
    while (one.samples > 0 || missed > 0) {
      const early = one.pingedAt + MEASURE_GAP_MS - now()
      if (missed === 0 && early > 0) await pause(one, early)
      if (!isWatched(one)) return
      const answer = await answerOf(one)
      if (!isWatched(one) || answer === 'closed') return
      if (answer === 'alive') {
        missed = 0
        one.isDoubted = false
        one.samples--
        continue
      }
      missed++
      if (missed === DOUBT_AFTER_MISSES) doubtOf(one)
      if (missed < MAX_MISSED_PONGS) continue
      remove(one.peer)
      return onSilent(one.peer, missed)
    }
    one.samples = 1
    one.isAsking = false
  }

  /** `closed`: so is the session, and who holds it knows. */
  async function answerOf(one: Watched): Promise<'alive' | 'silent' | 'closed'> {
    const { peer, session } = one
    const sentAt = (one.pingedAt = now())
    const pong = session.ping().then(
      (ms) => {
        if (isWatched(one)) onRtt(peer, ms)
        return 'alive' as const
      },
      () => 'closed' as const
    )
    const late = pause(one, PONG_TIMEOUT_MS).then(() => (session.lastHeardAt > sentAt ? 'alive' : 'silent'))
    return Promise.race([pong, late])
  }

  function doubtOf(one: Watched): void {
    if (one.isDoubted) return
    one.isDoubted = true
    onDoubt(one.peer)
    // Perhaps it is this node that is cut off. Those that were told answer; who does not is asked.
    const toldAt = now()
    selfTest ??= setTimeout(() => {
      selfTest = undefined
      for (const other of watched.values()) if (other.session.lastHeardAt < toldAt) void ask(other)
    }, PONG_TIMEOUT_MS)
    selfTest.unref?.()
  }

  function pause(one: Watched, ms: number): Promise<void> {
    return new Promise((resolve) => {
      clearTimeout(one.timer)
      one.timer = setTimeout(resolve, ms)
      one.timer.unref?.()
    })
  }

  function remove(peer: string): void {
    clearTimeout(watched.get(peer)?.timer)
    watched.delete(peer)
    if (watched.size > 0) return
    clearInterval(looking)
    looking = undefined
  }

  return {
    add(peer, session) {
      const one: Watched = {
        peer,
        session,
        heardAt: session.lastHeardAt,
        pingedAt: -Infinity,
        dueMs: 0,
        paceMs: undefined,
        samples: 1,
        isAsking: false,
        isDoubted: false,
        timer: undefined
      }
      watched.set(peer, one)
      one.dueMs = drawMs()
      if (looking === undefined) {
        looking = setInterval(look, LOOK_EVERY_MS)
        looking.unref?.()
      }
      void ask(one)
    },
    remove,
    measure(peer, samples) {
      const one = watched.get(peer)
      if (one === undefined) return
      one.samples = Math.max(one.samples, Math.min(MAX_SAMPLES, samples))
      void ask(one)
    },
    doubt(peer, isTold) {
      const one = watched.get(peer)
      if (one === undefined) return
      one.isDoubted ||= isTold
      void ask(one)
    },
    stop() {
      for (const peer of [...watched.keys()]) remove(peer)
      clearTimeout(selfTest)
    }
  }
}
