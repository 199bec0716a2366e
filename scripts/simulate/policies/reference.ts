/**
 * The gradient table of the Python original, at its commit 48dbc51: fewer hops win, nothing else does. Each table is told whole every 30 s.
 * As shipped nothing ever goes out of a table; as it was meant, rows are pruned and a closed connection takes its rows along.
 */
import type { CreatePolicy } from './policy.ts'

/** The table is told this often, ms. */
const EXPORT_EVERY_MS = 30_000
/** Rows in a message, and the hops of a row at most. */
const MAX_ROWS = 50
const MAX_HOPS = 5
/** A row as JSON with 384 floats, in base64. */
const ROW_BYTES = 11_000
/** As intended: a row goes when it is this old, ms. Only fewer hops make it young again. */
const PRUNE_AFTER_MS = 300_000

interface ReferenceRow {
  origin: number
  hops: number
}

interface ReferenceRoute {
  hops: number
  nextHop: number
  at: number
}

/** @param asIntended prune, and invalidate on disconnect, as the documents of the original say. */
export const createReferencePolicy =
  ({ asIntended = false } = {}): CreatePolicy =>
  ({ self, isOrigin, random, send, changed }) => {
    const neighbours = new Map<number, number>()
    const routes = new Map<number, ReferenceRoute>()
    let exportAt = random() * EXPORT_EVERY_MS

    function drop(origin: number): void {
      routes.delete(origin)
      changed(origin, -1)
    }

    function prune(now: number): void {
      if (!asIntended) return
      for (const [origin, { at }] of routes) if (now - at >= PRUNE_AFTER_MS) drop(origin)
    }

    return {
      linkUp(link, neighbour) {
        neighbours.set(link, neighbour)
      },
      linkDown(link) {
        const gone = neighbours.get(link)
        neighbours.delete(link)
        if (!asIntended) return
        for (const [origin, { nextHop }] of routes) if (nextHop === gone) drop(origin)
      },
      cost() {},
      message(link, message, now) {
        for (const { origin, hops } of message as ReferenceRow[]) {
          const known = routes.get(origin)
          if (origin === self || (known !== undefined && hops >= known.hops)) continue
          const nextHop = neighbours.get(link)!
          routes.set(origin, { hops, nextHop, at: now })
          if (known?.nextHop !== nextHop) changed(origin, nextHop)
        }
      },
      tick(now) {
        prune(now)
        exportAt = now + EXPORT_EVERY_MS
        const rows: ReferenceRow[] = isOrigin ? [{ origin: self, hops: 1 }] : []
        for (const [origin, { hops }] of routes) if (hops < MAX_HOPS) rows.push({ origin, hops: hops + 1 })
        const told = rows.slice(0, MAX_ROWS)
        if (told.length > 0) for (const link of neighbours.keys()) send(link, told, told.length * ROW_BYTES, told.length)
      },
      get wakeAt() {
        return exportAt
      },
      nextHop: (origin) => routes.get(origin)?.nextHop
    }
  }
