import { peerIdFromString } from '@libp2p/peer-id'
import type { Connection, Libp2p } from '@libp2p/interface'
import { MeshError, isMeshError } from '../errors.ts'
import { createLinkWatch } from './link-watch.ts'
import type { Session } from './session.ts'
import type { Sessions } from './sessions.ts'

/** The side with the larger PeerId opens a session itself if the other has not within this time, in ms. */
export const OPEN_GRACE_MS = 1_500
/** Waits between attempts to open a session on a live connection, in ms, each ±20 %; the last one again and again, for a peer may be busy for long. */
const RETRY_MS = [100, 300, 1_000, 3_000, 10_000, 30_000]

/** Round trips of which the least counts. */
const MIN_FILTER = 5
/** Round trips that are measured when a link is new. */
const SAMPLES_AT_FIRST = 3

/** A live session with a peer. */
export interface Link {
  readonly peer: string
  readonly session: Session
  /** Round trip in ms, the least of the last five; undefined before the first pong. */
  readonly rttMs: number | undefined
  /** True on the side that opened the session. */
  readonly initiator: boolean
}

/** Who is there, from live sessions alone: a link is up while frames are answered. Only over connections of one's own: who is reached over others is no neighbour. */
export interface Links {
  start(): void
  stop(): void
  get(peer: string): Link | undefined
  all(): Link[]
  /** A session that the peer opened. */
  accept(peer: string, session: Session): void
  /** A session with this peer is wanted as long as it is connected. */
  want(peer: string): void
  /** Measures round trips at once, a few in a row; asked again meanwhile it adds none. */
  measure(peer: string, samples: number): void
  /** There is reason to think that a peer is gone: it is asked at once. @param isTold neighbours think so. */
  doubt(peer: string, isTold: boolean): void
}

/** What links need. */
export interface LinksComponents {
  libp2p: Pick<Libp2p, 'peerId' | 'getConnections' | 'addEventListener' | 'removeEventListener'>
  sessions: Sessions
  now: () => number
  random: () => number
  /** True: only of peers that are wanted by name. Default: of all that connect. */
  onlyWanted?: boolean
  onUp(link: Link): void
  onDown(peer: string, reason: string): void
  /** A round trip of a link, in ms. */
  onRtt?(peer: string, rttMs: number): void
  /** A peer does not answer, and nobody has said so yet: the others may want to look. */
  onDoubt?(peer: string): void
}

interface LiveLink {
  peer: string
  session: Session
  initiator: boolean
  rttMs: number | undefined
  recent: number[]
}

/** See {@link Links}. */
export function createLinks(components: LinksComponents): Links {
  const { libp2p, sessions, now, random, onlyWanted, onUp, onDown } = components
  const self = libp2p.peerId.toString()
  const links = new Map<string, LiveLink>()
  const attempts = new Map<string, ReturnType<typeof setTimeout>>()
  let running = false
  const watch = createLinkWatch({
    now,
    random,
    onRtt(peer, ms) {
      const link = links.get(peer)!
      // The least, as the cost of a link: a moment in which this node or the other was busy is no longer way.
      link.recent.push(ms)
      if (link.recent.length > MIN_FILTER) link.recent.shift()
      link.rttMs = Math.min(...link.recent)
      components.onRtt?.(peer, ms)
    },
    onDoubt: (peer) => components.onDoubt?.(peer),
    onSilent(peer, missed) {
      const link = links.get(peer)!
      const error = new MeshError('unavailable', `no answer to ${missed} pings`)
      link.session.abort(error)
      for (const connection of directTo(peer)) connection.abort(error)
      down(link, error.message)
    }
  })

  /** Without those that others forward. */
  function directTo(peer: string): Connection[] {
    return libp2p.getConnections(peerIdFromString(peer)).filter(({ limits }) => limits === undefined)
  }

  function want(peer: string): void {
    // One session a pair: the smaller PeerId opens it, the other only if nothing comes.
    schedule(peer, self < peer ? 0 : OPEN_GRACE_MS, 0)
  }

  // Of each connection, not of each peer: one that is reached over others becomes a neighbour with the first of its own.
  const onOpen = ({ detail: connection }: CustomEvent<Connection>): void => {
    if (connection.limits === undefined) want(connection.remotePeer.toString())
  }

  function schedule(peer: string, delayMs: number, attempt: number): void {
    if (!running || links.has(peer)) return
    clearTimeout(attempts.get(peer))
    const timer = setTimeout(() => void open(peer, attempt), delayMs)
    timer.unref?.()
    attempts.set(peer, timer)
  }

  function retry(peer: string, attempt: number): void {
    schedule(peer, RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]! * (0.8 + 0.4 * random()), attempt + 1)
  }

  async function open(peer: string, attempt: number): Promise<void> {
    attempts.delete(peer)
    if (!running || links.has(peer)) return
    try {
      up(peer, await sessions.get(peer), true)
    } catch (error) {
      if (isMeshError(error, 'unsupported') || directTo(peer).length === 0) return
      retry(peer, attempt)
    }
  }

  function up(peer: string, session: Session, initiator: boolean): void {
    if (!running || links.has(peer) || !session.open) return
    clearTimeout(attempts.get(peer))
    attempts.delete(peer)
    const link: LiveLink = { peer, session, initiator, rttMs: undefined, recent: [] }
    links.set(peer, link)
    void session.closed.then((error) => down(link, error?.message ?? 'the peer closed its session'))
    watch.add(peer, session)
    watch.measure(peer, SAMPLES_AT_FIRST)
    onUp(link)
  }

  function down(link: LiveLink, reason: string): void {
    if (links.get(link.peer) !== link) return
    watch.remove(link.peer)
    links.delete(link.peer)
    const other = sessions.peek(link.peer)
    if (other !== undefined && other !== link.session) return up(link.peer, other, link.initiator)
    onDown(link.peer, reason)
    if (directTo(link.peer).length > 0) retry(link.peer, 0)
  }

  return {
    start() {
      running = true
      if (onlyWanted === true) return
      libp2p.addEventListener('connection:open', onOpen)
      for (const { limits, remotePeer } of libp2p.getConnections())
        if (limits === undefined) schedule(remotePeer.toString(), 0, 0)
    },
    stop() {
      running = false
      libp2p.removeEventListener('connection:open', onOpen)
      for (const timer of attempts.values()) clearTimeout(timer)
      attempts.clear()
      watch.stop()
      links.clear()
    },
    get: (peer) => links.get(peer),
    all: () => [...links.values()],
    accept: (peer, session) => up(peer, session, false),
    want,
    measure: watch.measure,
    doubt: watch.doubt
  }
}
