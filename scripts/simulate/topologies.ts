/** Networks to simulate: who can connect with whom, and what the link costs. */

/** A link. Its delay one way is half of its cost. */
export interface Edge {
  a: number
  b: number
  /** Round trip, ms. */
  rttMs: number
}

/** Nodes 0 to `nodes` - 1. */
export interface Topology {
  name: string
  nodes: number
  edges: Edge[]
}

/** Makes a network of about so many nodes. */
type Make = (nodes: number, random: () => number) => Topology

const lanRtt = (random: () => number): number => 1 + random() * 9
const wanRtt = (random: () => number): number => 10 + random() * 70

function named(name: string, nodes: number, edges: Edge[]): Topology {
  return { name, nodes, edges }
}

const line: Make = (nodes, random) =>
  named(
    'line',
    nodes,
    Array.from({ length: nodes - 1 }, (_, n) => ({ a: n, b: n + 1, rttMs: lanRtt(random) }))
  )

const ring: Make = (nodes, random) => {
  const { edges } = line(nodes, random)
  if (nodes > 2) edges.push({ a: nodes - 1, b: 0, rttMs: lanRtt(random) })
  return named('ring', nodes, edges)
}

const grid: Make = (nodes, random) => {
  const width = Math.max(1, Math.round(Math.sqrt(nodes)))
  const height = Math.max(1, Math.round(nodes / width))
  const edges: Edge[] = []
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const n = y * width + x
      if (x + 1 < width) edges.push({ a: n, b: n + 1, rttMs: lanRtt(random) })
      if (y + 1 < height) edges.push({ a: n, b: n + width, rttMs: lanRtt(random) })
    }
  return named('grid', width * height, edges)
}

/** Local networks of ten, in each of which all see all, joined in a ring by their first two. */
const lans: Make = (nodes, random) => {
  const size = 10
  const count = Math.max(1, Math.round(nodes / size))
  const edges: Edge[] = []
  for (let lan = 0; lan < count; lan++) {
    for (let a = 0; a < size; a++)
      for (let b = a + 1; b < size; b++) edges.push({ a: lan * size + a, b: lan * size + b, rttMs: lanRtt(random) })
    const next = (lan + 1) % count
    if (count > 2 || (count === 2 && lan === 0)) edges.push({ a: lan * size, b: next * size + 1, rttMs: wanRtt(random) })
  }
  return named('lans', count * size, edges)
}

/** Points in a square that see who is near; the parts are joined where they are nearest. Numbered from left to right, so that a partition is a cut through the square. */
const geometric: Make = (nodes, random) => {
  const points = Array.from({ length: nodes }, () => ({ x: random(), y: random() })).sort((a, b) => a.x - b.x)
  const distance = (a: number, b: number): number => Math.hypot(points[a]!.x - points[b]!.x, points[a]!.y - points[b]!.y)
  const radius = Math.sqrt(7 / (Math.PI * nodes))
  const edges: Edge[] = []
  // Cells of the size of the radius: only neighbours are compared.
  const side = Math.max(1, Math.floor(1 / radius))
  const cells = new Map<number, number[]>()
  const cellOf = (n: number): [number, number] => [
    Math.min(side - 1, Math.floor(points[n]!.x * side)),
    Math.min(side - 1, Math.floor(points[n]!.y * side))
  ]
  for (let n = 0; n < nodes; n++) {
    const [x, y] = cellOf(n)
    for (let dx = -1; dx <= 1; dx++)
      for (let dy = -1; dy <= 1; dy++)
        for (const m of cells.get((x + dx) * side + y + dy) ?? [])
          if (x + dx >= 0 && y + dy >= 0 && y + dy < side && distance(n, m) < radius)
            edges.push({ a: m, b: n, rttMs: 1 + (distance(n, m) / radius) * 9 })
    const own = x * side + y
    cells.set(own, [...(cells.get(own) ?? []), n])
  }
  return join(named('geometric', nodes, edges), random)
}

/** Each node has six links on average, to anybody. */
const randomGraph: Make = (nodes, random) => {
  const edges: Edge[] = []
  const seen = new Set<number>()
  for (let n = 0; n < nodes * 3; n++) {
    const [a, b] = [Math.floor(random() * nodes), Math.floor(random() * nodes)].sort((x, y) => x - y) as [number, number]
    if (a === b || seen.has(a * nodes + b)) continue
    seen.add(a * nodes + b)
    edges.push({ a, b, rttMs: lanRtt(random) })
  }
  return join(named('random', nodes, edges), random)
}

/** Each node hangs on one that was there before: no link has another way round. */
const tree: Make = (nodes, random) =>
  named(
    'tree',
    nodes,
    Array.from({ length: nodes - 1 }, (_, n) => ({ a: Math.floor(random() * (n + 1)), b: n + 1, rttMs: lanRtt(random) }))
  )

/** Joins what is not connected, by links from each part to the first. */
function join(topology: Topology, random: () => number): Topology {
  const parent = Array.from({ length: topology.nodes }, (_, n) => n)
  const root = (n: number): number => {
    while (parent[n] !== n) n = parent[n] = parent[parent[n]!]!
    return n
  }
  for (const { a, b } of topology.edges) parent[root(a)] = root(b)
  for (let n = 1; n < topology.nodes; n++)
    if (root(n) !== root(0)) {
      topology.edges.push({ a: n - 1, b: n, rttMs: 10 })
      parent[root(n)] = root(n - 1)
      if (root(n) !== root(0)) {
        topology.edges.push({ a: Math.floor(random() * n), b: n, rttMs: 10 })
        parent[root(n)] = root(0)
      }
    }
  return topology
}

/** By name. */
export const TOPOLOGIES: Readonly<Record<string, Make>> = { line, ring, tree, grid, lans, geometric, random: randomGraph }
