/** A node that draws all calls to itself: it advertises every origin as its next neighbour, as near as the protocol lets it. */
import { INFINITE, MIN_COST } from '../../../src/core/routing/metric.ts'
import type { RouteRow } from '../../../src/core/routing/router-messages.ts'
import type { SequenceNumber } from '../../../src/core/routing/sequence.ts'
import { compareSequence } from '../../../src/core/routing/sequence.ts'
import { createGradientPolicy, type GradientMessage } from './gradient.ts'
import type { CreatePolicy } from './policy.ts'

const ROW_BYTES = 14

/** Lies with true sequence numbers, since those are signed. */
export const createLiarPolicy: CreatePolicy = (init) => {
  const newest = new Map<number, SequenceNumber>()
  const links = new Set<number>()
  const lie = (row: RouteRow): RouteRow => {
    const known = newest.get(row.origin)
    return row.origin === init.self || known === undefined
      ? row
      : { origin: row.origin, incarnation: known.incarnation, sequence: known.sequence, metric: MIN_COST, hops: 1 }
  }
  const twist = (message: GradientMessage): GradientMessage =>
    message.kind === 'effect' && message.effect.kind === 'update'
      ? { kind: 'effect', effect: { ...message.effect, rows: message.effect.rows.map(lie) } }
      : message
  const policy = createGradientPolicy()({
    ...init,
    send: (link, message, bytes, rows) => init.send(link, twist(message as GradientMessage), bytes, rows)
  })

  /** Tells all who listen, whatever they want. */
  function spread(rows: readonly RouteRow[]): void {
    const fresh = rows.filter(({ origin, incarnation, sequence, metric }) => {
      const known = newest.get(origin)
      if (origin === init.self || metric === INFINITE) return false
      if (known !== undefined && compareSequence(incarnation, sequence, known.incarnation, known.sequence) <= 0) return false
      newest.set(origin, { incarnation, sequence })
      return true
    })
    if (fresh.length === 0) return
    for (const link of links) {
      const effect = { kind: 'update', link, rows: fresh.map(lie), full: false } as const
      init.send(link, { kind: 'effect', effect } satisfies GradientMessage, fresh.length * ROW_BYTES, fresh.length)
    }
  }

  return {
    ...policy,
    get wakeAt() {
      return policy.wakeAt
    },
    linkUp(link, neighbour, rttMs, now) {
      links.add(link)
      policy.linkUp(link, neighbour, rttMs, now)
    },
    linkDown(link, now) {
      links.delete(link)
      policy.linkDown(link, now)
    },
    message(link, message, now) {
      const said = message as GradientMessage
      if (said.kind === 'effect' && said.effect.kind === 'update') spread(said.effect.rows)
      policy.message(link, message, now)
    }
  }
}
