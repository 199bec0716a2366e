/** A network in virtual time: nodes that run a policy, links with delays, and what goes wrong with both. */
import { createEventQueue } from './event-queue.ts'
import type { CreatePolicy, Policy } from './policies/policy.ts'
import type { Edge, Topology } from './topologies.ts'

/** A message that is lost comes this much later, since links are reliable, ms. */
const RETRANSMIT_MS = 200
/** A message that is out of order, with those of other links, comes up to this much later, ms. */
const REORDER_MS = 300
/** A dial takes this long and up to as much more, ms. */
const DIAL_MS = { least: 20, spread: 80 }
/** No next hop. */
export const NOWHERE = -1

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

/** See {@link createNetwork}. */
export interface Network {
  readonly now: number
  readonly links: readonly NetworkLink[]
  readonly origins: readonly number[]
  readonly traffic: Traffic
  /** Undefined while a node is down. */
  policy(node: number): Policy | undefined
  /** Next hops of all nodes to an origin, by its place in `origins`; {@link NOWHERE} where there is none. */
  nextHops(place: number): Int32Array
  /** Place of a node in `origins`, or -1. */
  placeOf(origin: number): number
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
  /** Does something with the policy of a node, if it is up. */
  act(node: number, action: (policy: Policy, now: number) => void): void
  /** Runs until a time, in ms. */
  run(until: number): void
  /** Runs `action` at a time. */
  at(time: number, action: () => void): void
  setLink(index: number, up: boolean): void
  setCost(index: number, rttMs: number): void
  /** A node goes: all that it knows is lost. */
  stopNode(node: number): void
  startNode(node: number): void
  setWeather(weather: Weather): void
}

/** What a network is given. */
export interface NetworkInit {
  topology: Topology
  /** Nodes that others want routes to. */
  origins: readonly number[]
  createPolicy: (node: number) => CreatePolicy
  typesOf: (origin: number) => readonly number[]
  random: () => number
  /** The next hop of a node to an origin has changed; `place` is that of the origin. */
  onChange(node: number, place: number): void
  /** A session began or ended, or a node went: what can be reached is another thing now. */
  onTruth?(): void
}

interface Session {
  /** Node at the other end, and the index of the link there. */
  peer: number
  peerPlace: number
  /** The last message to the peer comes no earlier than the one before. */
  lastAt: number
  id: number
}

interface Delivery {
  peer: number
  place: number
  session: number
  message: unknown
}

/** A number is a tick of that node. */
type Happening = number | Delivery | (() => void)

/** Builds it; all nodes start at time 0, within 100 ms. */
export function createNetwork(init: NetworkInit): Network {
  const { topology, origins, createPolicy, typesOf, random, onChange } = init
  const queue = createEventQueue<Happening>()
  const links: NetworkLink[] = topology.edges.map((edge) => ({ ...edge, up: true }))
  const traffic: Traffic = { messages: 0, bytes: 0, rows: 0, updates: 0 }
  let weather: Weather = { loss: 0, reorder: 0, duplicate: 0 }
  let now = 0
  let lastSession = 0

  const places = new Int32Array(topology.nodes).fill(-1)
  origins.forEach((origin, place) => (places[origin] = place))
  const hops = origins.map(() => new Int32Array(topology.nodes).fill(NOWHERE))

  /** Links of each node; their place there is what its policy calls them. */
  const linksOf: number[][] = Array.from({ length: topology.nodes }, () => [])
  const ends = links.map(({ a, b }, index) => ({ a: linksOf[a]!.push(index) - 1, b: linksOf[b]!.push(index) - 1 }))
  const policies: (Policy | undefined)[] = Array.from({ length: topology.nodes }, () => undefined)
  const incarnations = new Uint32Array(topology.nodes)
  const sessions: (Session | undefined)[][] = linksOf.map((own) => own.map(() => undefined))
  const wakeAt = new Float64Array(topology.nodes).fill(Infinity)
  const onTruth = (): void => init.onTruth?.()

  function schedule(node: number): void {
    const at = policies[node]?.wakeAt ?? Infinity
    if (at >= wakeAt[node]!) return
    wakeAt[node] = at
    queue.add(Math.max(at, now), node)
  }

  function tick(node: number): void {
    // Ticks that came to be planned for sooner leave one behind.
    if (wakeAt[node]! > now) return
    wakeAt[node] = Infinity
    const policy = policies[node]
    if (policy !== undefined && policy.wakeAt <= now) policy.tick(now)
    schedule(node)
  }

  function send(from: number, place: number, message: unknown, bytes: number, rows: number): void {
    const session = sessions[from]![place]
    if (session === undefined) return
    traffic.messages++
    traffic.bytes += bytes
    traffic.rows += rows
    if (rows > 0) traffic.updates++
    let delay = (links[linksOf[from]![place]!]!.rttMs / 2) * (0.95 + random() * 0.1)
    while (weather.loss > 0 && random() < weather.loss) delay += RETRANSMIT_MS
    if (weather.reorder > 0 && random() < weather.reorder) delay += random() * REORDER_MS
    session.lastAt = Math.max(session.lastAt, now + delay)
    const delivery = { peer: session.peer, place: session.peerPlace, session: session.id, message }
    queue.add(session.lastAt, delivery)
    if (weather.duplicate > 0 && random() < weather.duplicate) queue.add(session.lastAt, delivery)
  }

  function deliver({ peer, place, session, message }: Delivery): void {
    const policy = policies[peer]
    // Of a session that is over there.
    if (policy === undefined || sessions[peer]![place]?.id !== session) return
    policy.message(place, message, now)
    schedule(peer)
  }

  function connect(index: number): void {
    const { a, b, rttMs, up } = links[index]!
    if (!up || policies[a] === undefined || policies[b] === undefined) return
    const at = ends[index]!
    if (sessions[a]![at.a] !== undefined || sessions[b]![at.b] !== undefined) return
    const id = ++lastSession
    sessions[a]![at.a] = { peer: b, peerPlace: at.b, lastAt: now, id }
    sessions[b]![at.b] = { peer: a, peerPlace: at.a, lastAt: now, id }
    onTruth()
    policies[a].linkUp(at.a, b, rttMs, now)
    policies[b].linkUp(at.b, a, rttMs, now)
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
      queue.add(now + random() * links[index]!.rttMs, () => {
        if (sessions[node]![place] !== session) return
        sessions[node]![place] = undefined
        policies[node]?.linkDown(place, now)
        schedule(node)
        reconnect(index)
      })
    }
  }

  function reconnect(index: number): void {
    queue.add(now + DIAL_MS.least + random() * DIAL_MS.spread, () => connect(index))
  }

  function changed(node: number, origin: number, nextHop: number): void {
    const place = places[origin]!
    if (place < 0) return
    hops[place]![node] = nextHop
    onChange(node, place)
  }

  function startNode(node: number): void {
    if (policies[node] !== undefined) return
    policies[node] = createPolicy(node)({
      self: node,
      incarnation: ++incarnations[node]!,
      isOrigin: places[node]! >= 0,
      origins,
      placeOf: (origin) => places[origin]!,
      random,
      send: (link, message, bytes, rows) => send(node, link, message, bytes, rows),
      changed: (origin, nextHop) => changed(node, origin, nextHop),
      typesOf
    })
    schedule(node)
    for (const link of linksOf[node]!) reconnect(link)
  }

  for (let node = 0; node < topology.nodes; node++) queue.add(random() * 100, () => startNode(node))

  return {
    get now() {
      return now
    },
    links,
    origins,
    traffic,
    policy: (node) => policies[node],
    nextHops: (place) => hops[place]!,
    placeOf: (origin) => places[origin]!,
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
    peerOf: (node, link) => sessions[node]![link]?.peer ?? NOWHERE,
    rttOf: (node, link) => links[linksOf[node]![link]!]!.rttMs,
    act(node, action) {
      const policy = policies[node]
      if (policy === undefined) return
      action(policy, now)
      schedule(node)
    },
    at: (time, action) => queue.add(time, action),
    run(until) {
      while (queue.nextAt <= until) {
        const next = queue.take()!
        now = next.at
        const { event } = next
        if (typeof event === 'number') tick(event)
        else if (typeof event === 'function') event()
        else deliver(event)
      }
      now = until
    },
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
        queue.add(now + random() * rttMs, () => {
          if (sessions[node]![place] === undefined) return
          policies[node]?.cost(place, link.rttMs, now)
          schedule(node)
        })
    },
    stopNode(node) {
      if (policies[node] === undefined) return
      policies[node] = undefined
      sessions[node]!.fill(undefined)
      for (const row of hops) row[node] = NOWHERE
      for (const link of linksOf[node]!) disconnect(link)
    },
    startNode,
    setWeather: (next) => (weather = next)
  }
}
