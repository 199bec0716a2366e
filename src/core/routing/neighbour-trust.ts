/** Origins that calls must have failed to before a neighbour is demoted in all: of one alone, that one may be at fault. */
export const MIN_ORIGINS = 3
/** Calls after which the share of those that came back is looked at. */
export const MIN_CALLS = 5
/** A neighbour through which less than this share comes back is demoted. */
export const MIN_SHARE = 0.5
/** What a demotion adds to routes, in units of a metric: 10 s. A route that is the only one stays. */
export const DEMOTED_COST = 100_000
/** A demotion lasts this long, ms; and as long again if calls were tried meanwhile and none came back. */
export const DEMOTED_MS = 60_000
/** Share of calls that go through a demoted neighbour, to see whether it has become better. */
export const PROBE_SHARE = 0.01
/** Calls that a record remembers: older ones weigh half each time that it is reached. */
export const REMEMBERED_CALLS = 20
/** Pairs of a neighbour and an origin that are remembered; past it the one that was used least recently is forgotten. */
export const MAX_TRUST_RECORDS = 4_096

/** What the router is to be told: see `blame` of RouterEvent. Without an origin it is about all but the neighbour itself. */
export interface Blame {
  link: number
  origin?: number
  /** 0 takes a demotion back. */
  cost: number
}

/**
 * Which neighbours carry calls, by what came back of those that were handed to them: in all, and to each origin. What a neighbour says of
 * itself counts for nothing here. Calls to the neighbour itself are its own affair, and are not counted.
 */
export interface NeighbourTrust {
  /** A call for an origin was handed to a neighbour. */
  sent(link: number, origin: number, isNeighbourItself: boolean): void
  /** What became of such a call, at a monotonic time in ms. @param weight for how many it counts at its origin, such as one that had no answer at all. Default 1. */
  came(link: number, origin: number, ok: boolean, now: number, weight?: number): Blame[]
  /** A demoted neighbour that a call to this origin is to try, or undefined for nearly all. */
  probe(origin: number): number | undefined
  /** Demotions that end by now. */
  tick(now: number): Blame[]
  /** When it wants a tick, ms. */
  readonly nextAt: number
  /** The session is over, and what was remembered of it. */
  forget(link: number): void
  /** Records that are kept. */
  readonly size: number
}

interface TrustRecord {
  link: number
  origin: number | undefined
  pending: number
  ok: number
  failed: number
  /** Of a record of all: origins that calls failed to, as many as are looked at. */
  failedTo: Set<number>
  /** Infinity: not demoted. */
  demotedUntil: number
  /** Since it was demoted. */
  probes: { ok: number; failed: number }
}

/** @param random from 0 to under 1. */
export function createNeighbourTrust({ random }: { random: () => number }): NeighbourTrust {
  /** By link and origin; those used last come last. */
  const records = new Map<string, TrustRecord>()
  const demoted = new Set<TrustRecord>()

  const keyOf = (link: number, origin?: number): string => `${link} ${origin ?? ''}`

  function recordOf(link: number, origin?: number): TrustRecord {
    const key = keyOf(link, origin)
    const known = records.get(key)
    const record = known ?? {
      link,
      origin,
      pending: 0,
      ok: 0,
      failed: 0,
      failedTo: new Set(),
      demotedUntil: Infinity,
      probes: { ok: 0, failed: 0 }
    }
    records.delete(key)
    records.set(key, record)
    if (known === undefined && records.size > MAX_TRUST_RECORDS) evict()
    return record
  }

  /** Those in force stay, so that each demotion is taken back one day. */
  function evict(): void {
    for (const [key, record] of records) {
      if (demoted.has(record)) continue
      records.delete(key)
      return
    }
  }

  function count(record: TrustRecord, origin: number, ok: boolean, now: number, weight: number): Blame | undefined {
    record.pending = Math.max(0, record.pending - 1)
    if (demoted.has(record)) {
      record.probes[ok ? 'ok' : 'failed']++
      return undefined
    }
    record[ok ? 'ok' : 'failed'] += record.origin === undefined ? 1 : weight
    if (!ok && record.origin === undefined && record.failedTo.size < MIN_ORIGINS) record.failedTo.add(origin)
    const calls = record.ok + record.failed
    const isOfMany = record.origin !== undefined || record.failedTo.size >= MIN_ORIGINS
    if (isOfMany && calls >= MIN_CALLS && record.ok < calls * MIN_SHARE) return demote(record, now)
    if (calls >= REMEMBERED_CALLS) {
      record.ok /= 2
      record.failed /= 2
    }
    return undefined
  }

  function demote(record: TrustRecord, now: number): Blame | undefined {
    // No room to remember more of them: a neighbour that fails so many is demoted in all.
    if (demoted.size >= MAX_TRUST_RECORDS / 2) return undefined
    record.demotedUntil = now + DEMOTED_MS
    record.probes = { ok: 0, failed: 0 }
    demoted.add(record)
    return blame(record, DEMOTED_COST)
  }

  const blame = ({ link, origin }: TrustRecord, cost: number): Blame => ({ link, ...(origin !== undefined && { origin }), cost })

  function end(record: TrustRecord): void {
    demoted.delete(record)
    record.demotedUntil = Infinity
    record.ok = record.failed = 0
    record.failedTo.clear()
  }

  return {
    sent(link, origin, isNeighbourItself) {
      if (isNeighbourItself) return
      recordOf(link).pending++
      recordOf(link, origin).pending++
    },
    came(link, origin, ok, now, weight = 1) {
      const blames: Blame[] = []
      for (const key of [keyOf(link), keyOf(link, origin)]) {
        const record = records.get(key)
        // Of a call that nobody handed over here, or one that is long forgotten.
        if (record === undefined || record.pending === 0) continue
        const made = count(record, origin, ok, now, weight)
        if (made !== undefined) blames.push(made)
      }
      return blames
    },
    probe(origin) {
      if (demoted.size === 0 || random() >= PROBE_SHARE) return undefined
      const able = [...demoted].filter((record) => record.origin === undefined || record.origin === origin)
      return able[Math.floor(random() * able.length)]?.link
    },
    tick(now) {
      const blames: Blame[] = []
      for (const record of demoted) {
        if (record.demotedUntil > now) continue
        const { ok, failed } = record.probes
        if (failed > 0 && ok < (ok + failed) * MIN_SHARE) {
          record.demotedUntil = now + DEMOTED_MS
          record.probes = { ok: 0, failed: 0 }
          continue
        }
        end(record)
        blames.push(blame(record, 0))
      }
      return blames
    },
    get nextAt() {
      let next = Infinity
      for (const { demotedUntil } of demoted) if (demotedUntil < next) next = demotedUntil
      return next
    },
    forget(link) {
      for (const [key, record] of records) {
        if (record.link !== link) continue
        records.delete(key)
        demoted.delete(record)
      }
    },
    get size() {
      return records.size
    }
  }
}
