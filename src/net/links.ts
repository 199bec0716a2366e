import { peerIdFromString } from '@libp2p/peer-id'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { MeshError, isMeshError } from '../errors.ts'
import type { Session } from './session.ts'
import type { Sessions } from './sessions.ts'

/** How often the side that opened the session pings an idle peer, in ms. */
export const PING_INTERVAL_MS = 6_000
/** The other side pings by itself when it has heard nothing for this much longer, in ms. */
export const PASSIVE_GRACE_MS = 500
/** How long a pong may take, in ms. */
export const PONG_TIMEOUT_MS = 1_500
/** Pings without an answer after which a peer counts as gone. */
export const MAX_MISSED_PONGS = 3
/** The side with the larger PeerId opens a session itself if the other has not within this time, in ms. */
export const OPEN_GRACE_MS = 1_500
/** Waits between attempts to open a session on a live connection, in ms, each ±20 %; the last one again and again, for a peer may be busy for long. */
const RETRY_MS = [100, 300, 1_000, 3_000, 10_000, 30_000]

/** A live session with a peer. */
export interface Link {
  readonly peer: string
  readonly session: Session
  /** Smoothed round trip (RFC 6298 weights) in ms; undefined before the first pong. */
  readonly rttMs: number | undefined
  /** True on the side that opened the session. */
  readonly initiator: boolean
}

/** Who is there, from live sessions alone: a link is up while frames are answered. */
export interface Links {
  start(): void
  stop(): void
  get(peer: string): Link | undefined
  all(): Link[]
  /** A session that the peer opened. */
  accept(peer: string, session: Session): void
  /** A session with this peer is wanted as long as it is connected. */
  want(peer: string): void
}

/** What links need. */
export interface LinksComponents {
  libp2p: Pick<Libp2p, 'peerId' | 'getConnections' | 'getPeers' | 'addEventListener' | 'removeEventListener'>
  sessions: Sessions
  now: () => number
  random: () => number
  /** True: only of peers that are wanted by name. Default: of all that connect. */
  onlyWanted?: boolean
  onUp(link: Link): void
  onDown(peer: string, reason: string): void
}

interface LiveLink {
  peer: string
  session: Session
  initiator: boolean
  rttMs: number | undefined
  timer: ReturnType<typeof setTimeout> | undefined
}

/** See {@link Links}. */
export function createLinks({ libp2p, sessions, now, random, onlyWanted, onUp, onDown }: LinksComponents): Links {
  const self = libp2p.peerId.toString()
  const links = new Map<string, LiveLink>()
  const attempts = new Map<string, ReturnType<typeof setTimeout>>()
  let running = false

  function want(peer: string): void {
    // One session a pair: the smaller PeerId opens it, the other only if nothing comes.
    schedule(peer, self < peer ? 0 : OPEN_GRACE_MS, 0)
  }

  const onConnect = (event: CustomEvent<PeerId>): void => want(event.detail.toString())

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
      if (isMeshError(error, 'unsupported') || libp2p.getConnections(peerIdFromString(peer)).length === 0) return
      retry(peer, attempt)
    }
  }

  function up(peer: string, session: Session, initiator: boolean): void {
    if (!running || links.has(peer) || !session.open) return
    clearTimeout(attempts.get(peer))
    attempts.delete(peer)
    const link: LiveLink = { peer, session, initiator, rttMs: undefined, timer: undefined }
    links.set(peer, link)
    void session.closed.then((error) => down(link, error?.message ?? 'the peer closed its session'))
    void watch(link)
    onUp(link)
  }

  function down(link: LiveLink, reason: string): void {
    if (links.get(link.peer) !== link) return
    clearTimeout(link.timer)
    links.delete(link.peer)
    const other = sessions.peek(link.peer)
    if (other !== undefined && other !== link.session) return up(link.peer, other, link.initiator)
    onDown(link.peer, reason)
    if (libp2p.getConnections(peerIdFromString(link.peer)).length > 0) retry(link.peer, 0)
  }

  /** Pings when it is due; any frame of the peer counts as a sign of life. */
  async function watch(link: LiveLink): Promise<void> {
    let missed = 0
    await measure(link)
    while (links.get(link.peer) === link) {
      // The passive side pings only if the other one has fallen silent.
      const silentFor = now() - link.session.lastHeardAt
      const interval = link.initiator ? PING_INTERVAL_MS : PING_INTERVAL_MS + PASSIVE_GRACE_MS
      if (missed === 0 && silentFor < interval - 50) {
        await pause(link, interval - silentFor)
        continue
      }
      missed = (await measure(link)) ? 0 : missed + 1
      if (missed >= MAX_MISSED_PONGS && links.get(link.peer) === link) {
        const error = new MeshError('unavailable', `no answer to ${missed} pings`)
        link.session.abort(error)
        for (const connection of libp2p.getConnections(peerIdFromString(link.peer))) connection.abort(error)
        down(link, error.message)
      }
    }
  }

  /** One ping; true if the peer answered in time. */
  async function measure(link: LiveLink): Promise<boolean> {
    const pong = link.session.ping().then(
      (ms) => {
        link.rttMs = link.rttMs === undefined ? ms : link.rttMs + (ms - link.rttMs) / 8
        return true
      },
      () => false
    )
    return Promise.race([pong, pause(link, PONG_TIMEOUT_MS).then(() => false)])
  }

  function pause(link: LiveLink, ms: number): Promise<void> {
    return new Promise((resolve) => {
      clearTimeout(link.timer)
      link.timer = setTimeout(resolve, ms)
      link.timer.unref?.()
    })
  }

  return {
    start() {
      running = true
      if (onlyWanted === true) return
      libp2p.addEventListener('peer:connect', onConnect)
      for (const peer of libp2p.getPeers()) schedule(peer.toString(), 0, 0)
    },
    stop() {
      running = false
      libp2p.removeEventListener('peer:connect', onConnect)
      for (const timer of attempts.values()) clearTimeout(timer)
      attempts.clear()
      for (const link of links.values()) clearTimeout(link.timer)
      links.clear()
    },
    get: (peer) => links.get(peer),
    all: () => [...links.values()],
    accept: (peer, session) => up(peer, session, false),
    want
  }
}
