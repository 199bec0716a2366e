/** A network in virtual time: nodes that run a policy, links with delays, and what goes wrong with both. */
import { createEventQueue } from './event-queue.ts'
import { createNetworkLinks, type Delivery, type NetworkLinks } from './network-links.ts'
import type { CreatePolicy, Policy } from './policies/policy.ts'
import type { Topology } from './topologies.ts'

/** No next hop. */
export const NOWHERE = -1

/** See {@link createNetwork}. */
export interface Network extends NetworkLinks {
  readonly now: number
  readonly origins: readonly number[]
  /** Undefined while a node is down. */
  policy(node: number): Policy | undefined
  /** Next hops of all nodes to an origin, by its place in `origins`; {@link NOWHERE} where there is none. */
  nextHops(place: number): Int32Array
  /** Place of a node in `origins`, or -1. */
  placeOf(origin: number): number
  /** Does something with the policy of a node, if it is up. */
  act(node: number, action: (policy: Policy, now: number) => void): void
  /** Runs until a time, in ms. */
  run(until: number): void
  /** Runs `action` at a time. */
  at(time: number, action: () => void): void
  /** A node goes: all that it knows is lost. */
  stopNode(node: number): void
  startNode(node: number): void
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

/** A number is a tick of that node. */
type Happening = number | Delivery | (() => void)

/** Builds it; all nodes start at time 0, within 100 ms. */
export function createNetwork(init: NetworkInit): Network {
  const { topology, origins, createPolicy, typesOf, random, onChange } = init
  const queue = createEventQueue<Happening>()
  let now = 0

  const places = new Int32Array(topology.nodes).fill(-1)
  origins.forEach((origin, place) => (places[origin] = place))
  const hops = origins.map(() => new Int32Array(topology.nodes).fill(NOWHERE))

  const policies: (Policy | undefined)[] = Array.from({ length: topology.nodes }, () => undefined)
  const incarnations = new Uint32Array(topology.nodes)
  const wakeAt = new Float64Array(topology.nodes).fill(Infinity)
  const onTruth = (): void => init.onTruth?.()
  const { send, deliver, dialAll, dropAll, ...links } = createNetworkLinks({
    topology,
    policies,
    queue,
    random,
    now: () => now,
    schedule,
    onTruth
  })

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
    dialAll(node)
  }

  for (let node = 0; node < topology.nodes; node++) queue.add(random() * 100, () => startNode(node))

  return {
    ...links,
    get now() {
      return now
    },
    origins,
    policy: (node) => policies[node],
    nextHops: (place) => hops[place]!,
    placeOf: (origin) => places[origin]!,
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
    stopNode(node) {
      if (policies[node] === undefined) return
      policies[node] = undefined
      // Before the sessions: who is told of their end looks at the ways that are left.
      for (const row of hops) row[node] = NOWHERE
      dropAll(node)
    },
    startNode
  }
}
