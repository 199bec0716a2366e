/** A member that swallows calls: it advertises the best routes to everybody, and drops what it is given. How many calls arrive all the same. */
import { createNeighbourTrust, type Blame, type Outcome } from '../../src/core/routing/neighbour-trust.ts'
import { createNetwork, type Network } from './network.ts'
import { createOracle } from './oracle.ts'
import { createGradientPolicy } from './policies/gradient.ts'
import { createLiarPolicy } from './policies/liar.ts'
import { createRandom } from './random.ts'
import { TOPOLOGIES, type Topology } from './topologies.ts'

/** Nodes of a network, unless it is said otherwise. */
export const BYZANTINE_NODES = 30
/** Calls that each node makes to a chance node in a second, and how long it waits for an answer, ms. */
const CALLS_PER_SECOND = 3
const TIMEOUT_MS = 500
/** Calls begin after this, ms; those count that begin later than `graceMs` after that. */
const BOOT_MS = 5_000
const GRACE_MS = 30_000
const TICK_MS = 1_000
/** An attack is withstood if this share of the honest success is reached. */
export const WITHSTOOD_SHARE = 0.95

/**
 * What the one that swallows says: nothing at all; or as much as it takes that the hop before does not find it silent (the path, and the first bytes of
 * a connection, which anybody can write; a refusal; an end without a byte; all that goes before a call): nodes judge all of these alike.
 */
export const TRICKS = ['silent', 'evades'] as const
/** One of {@link TRICKS}. */
export type Trick = (typeof TRICKS)[number]

/** What is simulated. */
export interface ByzantineOptions {
  nodes: number
  seed: number
  /** Counted for so long, ms. */
  countMs: number
}

/** Shares of first tries that were answered. */
export interface ByzantineReport {
  seed: number
  nodes: number
  attacker: number
  /** Of its links, and of all pairs of others those whose shortest path goes through it. */
  links: number
  onPath: number
  calls: number
  honest: number
  undefended: number
  /** By what the attacker does. */
  defended: Record<Trick, DefendedShare>
  holds: boolean
}

/** Of calls in the first half minute, and after it. */
export interface DefendedShare {
  atFirst: number
  share: number
  demotions: number
}

/** Runs the same network with an honest node, with an attacker, and with each kind of attacker against nodes that watch what comes back. */
export function simulateByzantine(options: ByzantineOptions): ByzantineReport {
  const topology = TOPOLOGIES.geometric!(options.nodes, createRandom(options.seed))
  const { attacker, onPath } = chooseAttacker(topology)
  const honest = run(topology, options, attacker, {})
  const undefended = run(topology, options, attacker, { trick: 'silent', watches: false })
  const defended = TRICKS.map((trick) => [trick, run(topology, options, attacker, { trick, watches: true })] as const)
  return {
    seed: options.seed,
    nodes: topology.nodes,
    attacker,
    links: topology.edges.filter(({ a, b }) => a === attacker || b === attacker).length,
    onPath,
    calls: honest.calls,
    honest: honest.share,
    undefended: undefended.share,
    defended: Object.fromEntries(
      defended.map(([trick, { share, atFirst, demotions }]) => [trick, { share, atFirst, demotions }])
    ) as Record<Trick, DefendedShare>,
    holds: defended.every(([, { share }]) => share >= WITHSTOOD_SHARE * honest.share)
  }
}

interface Run {
  calls: number
  share: number
  atFirst: number
  demotions: number
}

function run(
  topology: Topology,
  { seed, countMs }: ByzantineOptions,
  attacker: number,
  { trick, watches = false }: { trick?: Trick; watches?: boolean }
): Run {
  const random = createRandom(seed ^ 0xb12a)
  const honestPolicy = createGradientPolicy()
  const network = createNetwork({
    topology,
    origins: Array.from({ length: topology.nodes }, (_, node) => node),
    createPolicy: (node) => (trick !== undefined && node === attacker ? createLiarPolicy : honestPolicy),
    typesOf: () => [0],
    random,
    onChange() {}
  })
  const trusts = Array.from({ length: topology.nodes }, () => createNeighbourTrust<number>())
  const counts = { first: { calls: 0, ok: 0 }, later: { calls: 0, ok: 0 } }
  let demotions = 0
  const swallows = (node: number): boolean => trick !== undefined && node === attacker

  function apply(node: number, blames: Blame<number>[]): void {
    for (const { neighbour, origin, cost } of blames) {
      demotions += Number(cost > 0)
      const link = network.linkTo(node, neighbour)
      if (link >= 0) network.act(node, (policy, now) => policy.blame?.(link, origin, cost, now))
    }
  }

  function call(from: number, to: number): void {
    const count = network.now < BOOT_MS + GRACE_MS ? counts.first : counts.later
    count.calls++
    const { hops, isAnswered, rttMs } = follow(network, from, to, swallows)
    count.ok += Number(isAnswered)
    if (!watches) return
    network.at(network.now + (isAnswered ? rttMs : TIMEOUT_MS), () => {
      hops.forEach(({ node, next }, n) => {
        const isLast = n === hops.length - 1
        const outcome = isAnswered ? 'ok' : judge(trick!, n === 0, isLast)
        if (next !== to) apply(node, trusts[node]!.came(next, to, outcome, network.now, n === 0))
      })
    })
  }

  const others = Array.from({ length: topology.nodes }, (_, node) => node).filter((node) => node !== attacker)
  const endsAt = BOOT_MS + GRACE_MS + countMs
  for (const from of others) {
    const next = (): void => {
      const to = others[Math.floor(random() * others.length)]!
      if (to !== from) call(from, to)
      network.at(network.now - (Math.log(1 - random()) * 1_000) / CALLS_PER_SECOND, next)
    }
    network.at(BOOT_MS + random() * 1_000, next)
    const tick = (): void => {
      apply(from, trusts[from]!.tick(network.now))
      network.at(network.now + TICK_MS, tick)
    }
    network.at(BOOT_MS, tick)
  }
  network.run(endsAt)
  const share = ({ calls, ok }: { calls: number; ok: number }): number => ok / Math.max(1, calls)
  return { calls: counts.later.calls, share: share(counts.later), atFirst: share(counts.first), demotions }
}

/** What a node makes of a circuit that was swallowed, as in `src/net/forwarder.ts` and `reach.ts`. */
function judge(trick: Trick, isSource: boolean, isBesideIt: boolean): Outcome {
  if (trick === 'silent') return isBesideIt ? 'silent' : 'failed'
  return isSource ? 'useless' : 'failed'
}

interface Followed {
  hops: { node: number; next: number }[]
  isAnswered: boolean
  rttMs: number
}

/** Where a call goes that begins now; a call is much faster than routes change. */
function follow(network: Network, from: number, to: number, swallows: (node: number) => boolean): Followed {
  const hops: Followed['hops'] = []
  const seen = new Set<number>()
  const hopsTo = network.nextHops(network.placeOf(to))
  let rttMs = 0
  for (let node = from; node !== to;) {
    seen.add(node)
    const next = hopsTo[node]!
    const link = next < 0 ? -1 : network.linkTo(node, next)
    // No route, or back to where it has been: whoever has it says so.
    if (link < 0 || seen.has(next)) return { hops: [], isAnswered: false, rttMs }
    hops.push({ node, next })
    if (swallows(next)) return { hops, isAnswered: false, rttMs }
    rttMs += network.rttOf(node, link)
    node = next
  }
  return { hops, isAnswered: true, rttMs }
}

/** The node on most shortest paths without which the others still reach each other. */
function chooseAttacker(topology: Topology): { attacker: number; onPath: number } {
  const network = createNetwork({
    topology,
    origins: [],
    createPolicy: () => () => ({ ...IDLE }),
    typesOf: () => [],
    random: () => 0.5,
    onChange() {}
  })
  network.run(1_000)
  const { nodes, edges } = topology
  const distances = Array.from({ length: nodes }, (_, node) => createOracle(network, nodes, () => true).distances(node))
  let best = { attacker: 0, onPath: -1 }
  for (let attacker = 0; attacker < nodes; attacker++) {
    const oracle = createOracle(network, nodes, (link) => edges[link]!.a !== attacker && edges[link]!.b !== attacker)
    const parts = new Set(oracle.parts().filter((_, node) => node !== attacker))
    if (parts.size > 1) continue
    let through = 0
    for (let a = 0; a < nodes; a++)
      for (let b = 0; b < nodes; b++)
        if (a !== b && a !== attacker && b !== attacker)
          through += Number(Math.abs(distances[a]![attacker]! + distances[attacker]![b]! - distances[a]![b]!) < 1e-9)
    const onPath = through / ((nodes - 1) * (nodes - 2))
    if (onPath > best.onPath) best = { attacker, onPath }
  }
  return best
}

const IDLE = {
  linkUp() {},
  linkDown() {},
  cost() {},
  message() {},
  tick() {},
  wakeAt: Infinity,
  nextHop: () => undefined
}
