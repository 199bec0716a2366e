/** Links of a network in virtual time and the sessions over them: what carries messages between nodes, and what goes wrong with that. */
import type { EventQueue } from './event-queue.ts'
import type { Policy } from './policies/policy.ts'
import type { Edge, Topology } from './topologies.ts'

/** A message that is lost comes this much later, since links are reliable, ms. */
const RETRANSMIT_MS = 200
/** A message that is out of order, with those of other links, comes up to this much later, ms. */
const REORDER_MS = 300
/** A dial takes this long and up to as much more, ms. */
const DIAL_MS = { least: 20, spread: 80 }
/** Nobody is at the other end. */
const NOBODY = -1

/** Shares of messages that are lost, delayed and doubled. */
export interface Weather {
  loss: number
  reorder: number
  duplicate: number
}

/** A link of the network; `up` as it is, whatever the ends know. */
export interface NetworkLink extends Edge {
  up: boolean
}

/** What was sent, in all. */
export interface Traffic {
  messages: number
  bytes: number
  rows: number
  /** Messages with rows. */
  updates: number
}

/** What all can see of links and sessions, and do to them. */
export interface NetworkLinks {
  readonly links: readonly NetworkLink[]
  readonly traffic: Traffic
  /** True if both ends have a session over the link, and are up. */
  hasSession(link: number): boolean
  /**
   * True if the session of a node with a neighbour is there at both ends, so that a frame sent over it arrives; also over a link that is down
   * by now. False while the node has not noticed that the neighbour has ended the session, as when that has restarted.
   */
  isLive(node: number, neighbour: number): boolean
  /** What the policy of a node calls its session with a neighbour; -1 if there is none. */
  linkTo(node: number, neighbour: number): number
  /** The node at the other end of a session, or -1; and the round trip of its link, ms. */
  peerOf(node: number, link: number): number
  rttOf(node: number, link: number): number
  setLink(index: number, up: boolean): void
  setCost(index: number, rttMs: number): void
  setWeather(weather: Weather): void
}

/** A message on its way. */
export interface Delivery {
  peer: number
  place: number
  session: number
  message: unknown
}

/** See {@link createNetworkLinks}. */
export interface NodeLinks extends NetworkLinks {
  send(node: number, link: number, message: unknown, bytes: number, rows: number): void
  /** A message has come. */
  deliver(delivery: Delivery): void
  /** A node dials all its neighbours: it has started. */
  dialAll(node: number): void
  /** A node that is gone has no sessions any more; its neighbours notice. */
  dropAll(node: number): void
}

/** What links are given. */
export interface NodeLinksInit {
  topology: Topology
  /** Of each node; undefined while it is down. */
  policies: readonly (Policy | undefined)[]
  queue: Pick<EventQueue<Delivery | (() => void)>, 'add'>
  random: () => number
  now: () => number
  /** The policy of a node has been told something: it may want to wake at another time. */
  schedule(node: number): void
  /** A session began or ended. */
  onTruth(): void
}

interface Session {
  /** Node at the other end, and the index of the link there. */
  peer: number
  peerPlace: number
  /** The last message to the peer comes no earlier than the one before. */
  lastAt: number
  id: number
}

/** Builds them: all links are up, and nobody has a session yet. */
export function createNetworkLinks({ topology, policies, queue, random, now, schedule, onTruth }: NodeLinksInit): NodeLinks {
  const links: NetworkLink[] = topology.edges.map((edge) => ({ ...edge, up: true }))
  const traffic: Traffic = { messages: 0, bytes: 0, rows: 0, updates: 0 }
  let weather: Weather = { loss: 0, reorder: 0, duplicate: 0 }
  let lastSession = 0

  /** Links of each node; their place there is what its policy calls them. */
  const linksOf: number[][] = Array.from({ length: topology.nodes }, () => [])
  const ends = links.map(({ a, b }, index) => ({ a: linksOf[a]!.push(index) - 1, b: linksOf[b]!.push(index) - 1 }))
  const sessions: (Session | undefined)[][] = linksOf.map((own) => own.map(() => undefined))

  function send(node: number, place: number, message: unknown, bytes: number, rows: number): void {
    const session = sessions[node]![place]
    if (session === undefined) return
    traffic.messages++
    traffic.bytes += bytes
    traffic.rows += rows
    if (rows > 0) traffic.updates++
    let delay = (links[linksOf[node]![place]!]!.rttMs / 2) * (0.95 + random() * 0.1)
    while (weather.loss > 0 && random() < weather.loss) delay += RETRANSMIT_MS
    if (weather.reorder > 0 && random() < weather.reorder) delay += random() * REORDER_MS
    session.lastAt = Math.max(session.lastAt, now() + delay)
    const delivery = { peer: session.peer, place: session.peerPlace, session: session.id, message }
    queue.add(session.lastAt, delivery)
    if (weather.duplicate > 0 && random() < weather.duplicate) queue.add(session.lastAt, delivery)
  }

  function deliver({ peer, place, session, message }: Delivery): void {
    const policy = policies[peer]
    // Of a session that is over there.
    if (policy === undefined || sessions[peer]![place]?.id !== session) return
    policy.message(place, message, now())
    schedule(peer)
  }

  function connect(index: number): void {
    const { a, b, rttMs, up } = links[index]!
    if (!up || policies[a] === undefined || policies[b] === undefined) return
    const at = ends[index]!
    if (sessions[a]![at.a] !== undefined || sessions[b]![at.b] !== undefined) return
    const id = ++lastSession
    sessions[a]![at.a] = { peer: b, peerPlace: at.b, lastAt: now(), id }
    sessions[b]![at.b] = { peer: a, peerPlace: at.a, lastAt: now(), id }
    onTruth()
    policies[a].linkUp(at.a, b, rttMs, now())
    policies[b].linkUp(at.b, a, rttMs, now())
    schedule(a)
    schedule(b)
  }

  const endsOf = (index: number): readonly (readonly [number, number])[] => [
    [links[index]!.a, ends[index]!.a],
    [links[index]!.b, ends[index]!.b]
  ]

  /** Each end notices for itself, as a closed connection is noticed: after half a round trip or so. */
  function disconnect(index: number): void {
    onTruth()
    for (const [node, place] of endsOf(index)) {
      const session = sessions[node]![place]
      if (session === undefined) continue
      queue.add(now() + random() * links[index]!.rttMs, () => {
        if (sessions[node]![place] !== session) return
        sessions[node]![place] = undefined
        policies[node]?.linkDown(place, now())
        schedule(node)
        reconnect(index)
      })
    }
  }

  function reconnect(index: number): void {
    queue.add(now() + DIAL_MS.least + random() * DIAL_MS.spread, () => connect(index))
  }

  return {
    links,
    traffic,
    send,
    deliver,
    dialAll(node) {
      for (const link of linksOf[node]!) reconnect(link)
    },
    dropAll(node) {
      sessions[node]!.fill(undefined)
      for (const link of linksOf[node]!) disconnect(link)
    },
    hasSession(index) {
      const { a, b, up } = links[index]!
      const at = ends[index]!
      const session = sessions[a]![at.a]
      return (
        up &&
        session !== undefined &&
        session.id === sessions[b]![at.b]?.id &&
        policies[a] !== undefined &&
        policies[b] !== undefined
      )
    },
    isLive(node, neighbour) {
      const session = sessions[node]!.find((own) => own?.peer === neighbour)
      return session !== undefined && sessions[neighbour]![session.peerPlace]?.id === session.id
    },
    linkTo: (node, neighbour) => sessions[node]!.findIndex((session) => session?.peer === neighbour),
    peerOf: (node, link) => sessions[node]![link]?.peer ?? NOBODY,
    rttOf: (node, link) => links[linksOf[node]![link]!]!.rttMs,
    setLink(index, up) {
      const link = links[index]!
      if (link.up === up) return
      link.up = up
      if (up) reconnect(index)
      else disconnect(index)
    },
    setCost(index, rttMs) {
      const link = links[index]!
      link.rttMs = rttMs
      for (const [node, place] of endsOf(index))
        queue.add(now() + random() * rttMs, () => {
          if (sessions[node]![place] === undefined) return
          policies[node]?.cost(place, link.rttMs, now())
          schedule(node)
        })
    },
    setWeather: (next) => (weather = next)
  }
}
