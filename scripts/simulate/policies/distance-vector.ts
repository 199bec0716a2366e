/** Distance vector as in textbooks (RFC 2453): one route per origin, triggered and periodic updates, split horizon with poisoned reverse. */
import type { CreatePolicy } from './policy.ts'

/** No route: metrics count up to this, ms. */
const INFINITY_MS = 2_000
/** All rows are told this often, and changed ones after this time, half of which is chance, ms. */
const PERIOD_MS = 30_000
const TRIGGER_MS = 50
const MESSAGE_BYTES = 8
const ROW_BYTES = 14
/** A route to this node itself. */
const HERE = -1

interface DistanceRow {
  origin: number
  metric: number
}

interface DistanceRoute {
  metric: number
  /** Link to the next hop; it stays when the route is lost, so that the loss is told to all. */
  link: number
}

interface DistanceLink {
  neighbour: number
  cost: number
}

/** Makes it. */
export const createDistanceVectorPolicy: CreatePolicy = ({ self, isOrigin, random, send, changed }) => {
  const links = new Map<number, DistanceLink>()
  const routes = new Map<number, DistanceRoute>()
  const dirty = new Set<number>()
  let triggeredAt = Infinity
  let periodAt = random() * PERIOD_MS
  if (isOrigin) routes.set(self, { metric: 0, link: HERE })

  const clamp = (metric: number): number => Math.min(INFINITY_MS, metric)

  function set(origin: number, metric: number, link: number, now: number): void {
    const before = routes.get(origin)
    if (before === undefined ? metric >= INFINITY_MS : before.metric === metric && before.link === link) return
    const hop = before === undefined || before.metric >= INFINITY_MS ? -1 : before.link
    routes.set(origin, { metric: clamp(metric), link })
    dirty.add(origin)
    triggeredAt = Math.min(triggeredAt, now + TRIGGER_MS * (0.5 + random()))
    const next = metric >= INFINITY_MS ? -1 : link
    if (next !== hop) changed(origin, next < 0 ? -1 : links.get(next)!.neighbour)
  }

  function tell(link: number, origins: Iterable<number>): void {
    const rows: DistanceRow[] = []
    for (const origin of origins) {
      const route = routes.get(origin)!
      rows.push({ origin, metric: route.link === link ? INFINITY_MS : route.metric })
    }
    if (rows.length > 0) send(link, rows, MESSAGE_BYTES + rows.length * ROW_BYTES, rows.length)
  }

  return {
    linkUp(link, neighbour, rttMs) {
      links.set(link, { neighbour, cost: rttMs })
      tell(link, routes.keys())
    },
    linkDown(link, now) {
      for (const [origin, route] of routes) if (route.link === link) set(origin, INFINITY_MS, link, now)
      links.delete(link)
    },
    cost(link, rttMs, now) {
      const known = links.get(link)
      if (known === undefined) return
      const by = rttMs - known.cost
      known.cost = rttMs
      for (const [origin, { link: via, metric }] of routes)
        if (via === link && metric < INFINITY_MS) set(origin, clamp(metric + by), link, now)
    },
    message(link, message, now) {
      const { cost } = links.get(link)!
      for (const { origin, metric } of message as DistanceRow[]) {
        if (origin === self) continue
        const total = clamp(metric + cost)
        const route = routes.get(origin)
        if (route === undefined || route.link === link || total < route.metric) set(origin, total, link, now)
      }
    },
    tick(now) {
      if (now >= triggeredAt) {
        for (const link of links.keys()) tell(link, dirty)
        dirty.clear()
        triggeredAt = Infinity
      }
      if (now < periodAt) return
      for (const link of links.keys()) tell(link, routes.keys())
      periodAt = now + PERIOD_MS
    },
    get wakeAt() {
      return Math.min(triggeredAt, periodAt)
    },
    nextHop(origin) {
      const route = routes.get(origin)
      return route === undefined || route.metric >= INFINITY_MS ? undefined : links.get(route.link)?.neighbour
    }
  }
}
