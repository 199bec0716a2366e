/** What goes wrong in a simulation, and when. Made of a seed before the simulation begins, so that a part of it can be run again. */
import type { Network } from './network.ts'
import type { Topology } from './topologies.ts'

/** Kinds of faults. `amnesia` is a node that stops and starts at once. */
export const FAULT_KINDS = ['link', 'node', 'amnesia', 'partition', 'cost', 'flap', 'loss', 'reorder', 'duplicate'] as const
/** One of {@link FAULT_KINDS}. */
export type FaultKind = (typeof FAULT_KINDS)[number]

/** One fault; it heals by itself after `lastsMs`. */
export interface Fault {
  kind: FaultKind
  atMs: number
  lastsMs: number
  /** Index of a link or a node, or a number that splits the network. */
  target: number
  /** Of a cost: the new round trip, ms. Of weather: the share of messages. */
  amount: number
}

/** Faults one after another, often while others last. */
export function planFaults(
  topology: Topology,
  options: { count: number; kinds: readonly FaultKind[]; fromMs: number; everyMs: number },
  random: () => number
): Fault[] {
  const { count, kinds, fromMs, everyMs } = options
  let at = fromMs
  return Array.from({ length: count }, () => {
    at += -Math.log(1 - random()) * everyMs
    const kind = kinds[Math.floor(random() * kinds.length)]!
    const ofNode = kind === 'node' || kind === 'amnesia'
    return {
      kind,
      atMs: at,
      lastsMs: kind === 'amnesia' ? 5 : 200 + random() * 20 * everyMs,
      target: Math.floor(random() * (ofNode ? topology.nodes : topology.edges.length)),
      amount: kind === 'cost' ? 1 + random() * random() * 300 : 0.02 + random() * 0.2
    }
  })
}

/** Kinds that come and go at once, for {@link planSeparateFaults}. */
const SUDDEN_KINDS: readonly FaultKind[] = ['link', 'node', 'amnesia', 'partition', 'cost']

/** Faults that are each alone: one at a time, and healed half of the time before the next. */
export function planSeparateFaults(
  topology: Topology,
  options: { count: number; kinds: readonly FaultKind[] | undefined; fromMs: number; everyMs: number },
  random: () => number
): Fault[] {
  const { count, fromMs, everyMs } = options
  const sudden = SUDDEN_KINDS.filter((kind) => options.kinds?.includes(kind) ?? true)
  const kinds = sudden.length > 0 ? sudden : SUDDEN_KINDS
  const faults = planFaults(topology, { count, kinds, fromMs, everyMs }, random)
  return faults.map((fault, index) => ({ ...fault, atMs: fromMs + index * everyMs + 1, lastsMs: everyMs / 2 }))
}

/** Puts faults into a network. @returns when the last has healed, ms. */
export function applyFaults(network: Network, topology: Topology, faults: readonly Fault[]): number {
  /** How many faults hold a link or a node down. */
  const held = new Map<string, number>()
  const hold = (key: string, by: 1 | -1): boolean => {
    const before = held.get(key) ?? 0
    held.set(key, before + by)
    return by === 1 ? before === 0 : before === 1
  }
  const link = (index: number, up: boolean): void => {
    if (hold(`link ${index}`, up ? -1 : 1)) network.setLink(index, up)
  }
  const node = (index: number, up: boolean): void => {
    if (hold(`node ${index}`, up ? -1 : 1)) (up ? network.startNode : network.stopNode)(index)
  }
  let healedAt = 0
  for (const fault of faults) {
    const { kind, atMs, lastsMs, target, amount } = fault
    const end = atMs + lastsMs
    healedAt = Math.max(healedAt, end)
    const during = (begin: () => void, heal: () => void): void => {
      network.at(atMs, begin)
      network.at(end, heal)
    }
    switch (kind) {
      case 'link':
        during(
          () => link(target, false),
          () => link(target, true)
        )
        break
      case 'node':
      case 'amnesia':
        during(
          () => node(target, false),
          () => node(target, true)
        )
        break
      case 'partition': {
        const cut = cutOf(topology, target)
        during(
          () => cut.forEach((index) => link(index, false)),
          () => cut.forEach((index) => link(index, true))
        )
        break
      }
      case 'cost': {
        const before = topology.edges[target]!.rttMs
        during(
          () => network.setCost(target, amount),
          () => network.setCost(target, before)
        )
        break
      }
      case 'flap':
        for (let at = atMs; at < end; at += 1_000) {
          network.at(at, () => link(target, false))
          network.at(Math.min(end, at + 500), () => link(target, true))
        }
        break
      case 'loss':
      case 'reorder':
      case 'duplicate':
        during(
          () => network.setWeather({ loss: 0, reorder: 0, duplicate: 0, [kind]: amount }),
          () => network.setWeather({ loss: 0, reorder: 0, duplicate: 0 })
        )
    }
  }
  return healedAt
}

/** Links between the nodes up to the end of a link and the others. */
export function cutOf({ edges, nodes }: Topology, target: number): number[] {
  const border = Math.max(1, Math.min(nodes - 1, Math.max(edges[target]!.a, edges[target]!.b)))
  return edges.flatMap(({ a, b }, index) => (a < border !== b < border ? [index] : []))
}
