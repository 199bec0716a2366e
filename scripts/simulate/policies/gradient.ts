/** The router of the product, as a policy of the simulator. */
import { INFINITE, costFromMs } from '../../../src/core/routing/metric.ts'
import { MAX_ROWS_PER_LINK } from '../../../src/core/routing/router-links.ts'
import type { RouterEffect, RouterEvent } from '../../../src/core/routing/router-messages.ts'
import { createRouter, type RouterInit } from '../../../src/core/routing/router.ts'
import type { CreatePolicy } from './policy.ts'

/** Bytes of a message without rows, of a row, and of a proof of a sequence number; as in the gradient protocol. */
const MESSAGE_BYTES = 8
const ROW_BYTES = 14
const PROOF_BYTES = 66

/** What routers say to each other here. */
export type GradientMessage =
  { kind: 'wants'; origins: readonly number[] | undefined } | { kind: 'effect'; effect: Exclude<RouterEffect, { kind: 'route' }> }

/** @param options limits of the router; default: as in the product. */
export const createGradientPolicy =
  (options: Pick<RouterInit, 'maxTold' | 'maxOrigins' | 'nearestPerType'> = {}): CreatePolicy =>
  ({ self, incarnation, random, send, changed, origins, placeOf, typesOf }) => {
    const router = createRouter({ self, sequence: { incarnation, sequence: 0 }, random, ...options })
    /** By place of the origin: 1 if the router has its types. */
    const typed = new Uint8Array(origins.length)
    const neighbours: number[] = []
    /** By link and place of the origin: a number made of the sequence number that was last told. */
    const proofs: (Uint8Array | undefined)[] = []

    function step(event: RouterEvent, now: number): void {
      for (const effect of router.step(event, now)) {
        if (effect.kind === 'route') {
          changed(effect.origin, effect.link < 0 ? -1 : neighbours[effect.link]!)
          continue
        }
        const rows = effect.kind === 'update' ? effect.rows.length : Number(effect.kind === 'request')
        send(
          effect.link,
          { kind: 'effect', effect } satisfies GradientMessage,
          MESSAGE_BYTES + rows * ROW_BYTES + proofBytes(effect),
          rows
        )
      }
    }

    function learnTypes(origin: number, now: number): void {
      const place = placeOf(origin)
      if (typed[place] !== 0) return
      typed[place] = 1
      step({ kind: 'types', origin, types: typesOf(origin) }, now)
    }

    /** A sequence number goes with its proof when the neighbour has not heard it from here. */
    function proofBytes(effect: RouterEffect): number {
      if (effect.kind === 'request') return PROOF_BYTES
      if (effect.kind !== 'update') return 0
      const told = (proofs[effect.link] ??= new Uint8Array(origins.length))
      let bytes = 0
      for (const row of effect.rows) {
        const place = placeOf(row.origin)
        const number = ((row.incarnation << 4) + row.sequence) & 0xff
        if (row.metric === INFINITE || told[place] === number) continue
        told[place] = number
        bytes += PROOF_BYTES
      }
      return bytes
    }

    return {
      linkUp(link, neighbour, rttMs, now) {
        proofs[link] = undefined
        neighbours[link] = neighbour
        step({ kind: 'link-up', link, node: neighbour, cost: costFromMs(rttMs) }, now)
        // Who is told the nearest alone is one who wants all.
        const wanted = origins.length <= MAX_ROWS_PER_LINK && options.maxTold !== 0 ? origins : undefined
        send(link, { kind: 'wants', origins: wanted } satisfies GradientMessage, MESSAGE_BYTES, 0)
      },
      linkDown: (link, now) => step({ kind: 'link-down', link }, now),
      cost: (link, rttMs, now) => step({ kind: 'cost', link, cost: costFromMs(rttMs) }, now),
      message(link, message, now) {
        const said = message as GradientMessage
        if (said.kind === 'wants') {
          const all = said.origins === undefined ? { all: true } : {}
          return step({ kind: 'wants', link, ...all, add: said.origins ?? [], drop: [] }, now)
        }
        const { effect } = said
        // Written out: each spread is a copy of a kind of its own, and there are millions.
        switch (effect.kind) {
          case 'update':
            for (const { origin } of effect.rows) learnTypes(origin, now)
            return step({ kind: 'update', link, rows: effect.rows, full: effect.full }, now)
          case 'request': {
            const { origin, incarnation, sequence, ttl } = effect
            return step({ kind: 'request', link, origin, incarnation, sequence, ttl, proven: true }, now)
          }
          case 'digest':
            return step({ kind: 'digest', link, digest: effect.digest, count: effect.count }, now)
          case 'dump':
            return step({ kind: 'dump', link }, now)
        }
      },
      blame: (link, origin, cost, now) => step({ kind: 'blame', link, ...(origin !== undefined && { origin }), cost }, now),
      tick: (now) => step({ kind: 'tick' }, now),
      get wakeAt() {
        return router.wakeAt
      },
      nextHop: (origin) => router.route(origin)?.nextHop,
      feasibleDistance(origin) {
        if (origin === self) return [Infinity, 0, 0]
        const best = router.feasibleDistance(origin)
        return best === undefined ? undefined : [best.incarnation, best.sequence, best.metric]
      }
    }
  }
