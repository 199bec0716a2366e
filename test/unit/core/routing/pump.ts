/** A few routers that hear each other at once, without a network between: for tests of one rule. */
import type { RouterEffect, RouterEvent } from '../../../../src/core/routing/router-messages.ts'
import { createRouter, type Router, type RouterInit } from '../../../../src/core/routing/router.ts'

/** Routers 0, 1, 2 …: each calls its link to another by the number of that one. */
export interface Pump {
  readonly routers: Router[]
  /** All that was sent, as text: the trace of a run. */
  readonly trace: string[]
  now: number
  connect(a: number, b: number, cost: number): void
  disconnect(a: number, b: number): void
  step(node: number, event: RouterEvent): void
  /** Lets time pass, and all that is due in it. */
  pass(ms: number): void
  /** Next hops from a node to an origin, both included; undefined if they do not arrive. */
  path(from: number, origin: number): number[] | undefined
  /** Effects of a kind that a node has had. */
  count(node: number, kind: RouterEffect['kind']): number
}

/** Makes it. All want routes to all. */
export function createPump(nodes: number, init: Partial<RouterInit> = {}): Pump {
  const routers = Array.from({ length: nodes }, (_, self) =>
    createRouter({ self, sequence: { incarnation: 1, sequence: 0 }, random: () => 0.5, ...init })
  )
  const counts = new Map<string, number>()
  const connected = new Set<string>()
  const all = Array.from({ length: nodes }, (_, node) => node)
  /** In order, as links are. */
  const waiting: { node: number; event: RouterEvent }[] = []
  let isBusy = false
  const keyOf = (a: number, b: number): string => `${Math.min(a, b)} ${Math.max(a, b)}`

  function take(node: number, event: RouterEvent): void {
    for (const effect of routers[node]!.step(event, pump.now)) {
      const key = `${node} ${effect.kind}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
      pump.trace.push(`${pump.now} ${node} ${JSON.stringify(effect)}`)
      if (effect.kind === 'route' || !connected.has(keyOf(node, effect.link))) continue
      const there = { ...effect, link: node }
      pump.step(effect.link, there.kind === 'request' ? { ...there, proven: true } : there)
    }
  }

  const pump: Pump = {
    routers,
    trace: [],
    now: 0,
    connect(a, b, cost) {
      connected.add(keyOf(a, b))
      // Both ends have the session before the first row comes over it.
      waiting.push({ node: a, event: { kind: 'link-up', link: b, node: b, cost } })
      pump.step(b, { kind: 'link-up', link: a, node: a, cost })
      pump.step(a, { kind: 'wants', link: b, add: all, drop: [] })
      pump.step(b, { kind: 'wants', link: a, add: all, drop: [] })
    },
    disconnect(a, b) {
      connected.delete(keyOf(a, b))
      pump.step(a, { kind: 'link-down', link: b })
      pump.step(b, { kind: 'link-down', link: a })
    },
    step(node, event) {
      waiting.push({ node, event })
      if (isBusy) return
      isBusy = true
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) take(next.node, next.event)
      isBusy = false
    },
    pass(ms) {
      const until = pump.now + ms
      for (;;) {
        const at = Math.min(...routers.map(({ wakeAt }) => wakeAt))
        if (at > until) break
        pump.now = Math.max(pump.now, at)
        for (const [node, router] of routers.entries()) if (router.wakeAt <= pump.now) pump.step(node, { kind: 'tick' })
      }
      pump.now = until
    },
    path(from, origin) {
      const path = [from]
      for (let node = from; node !== origin;) {
        const next = routers[node]!.route(origin)?.nextHop
        if (next === undefined || path.includes(next)) return undefined
        path.push(next)
        node = next
      }
      return path
    },
    count: (node, kind) => counts.get(`${node} ${kind}`) ?? 0
  }
  return pump
}
