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
/** Calls that a record remembers: older ones weigh half each time that it is reached. */
export const REMEMBERED_CALLS = 20
/** Pairs of a neighbour and an origin that are remembered; past it the one that was used least recently is forgotten. */
export const MAX_TRUST_RECORDS = 4_096
/** Of them those for which a neighbour is demoted at once. No other is then, until one of them ends; a neighbour in all always is. */
export const MAX_DEMOTIONS = MAX_TRUST_RECORDS / 2

/**
 * What came of something that a neighbour was given for an origin: an answer; an error; something that will be of no more use in a moment; or
 * nothing at all for as long as anybody needs. The last two count as {@link MIN_CALLS} errors for that origin.
 */
export type Outcome = 'ok' | 'failed' | 'useless' | 'silent'

/** What the router is to be told: see `blame` of RouterEvent. Without an origin it is about all but the neighbour itself. */
export interface Blame<Id> {
  neighbour: Id
  origin?: Id
  /** 0 takes a demotion back. */
  cost: number
}

/**
 * Which neighbours carry calls, by what came back of those that were handed to them: in all, and to each origin. What a neighbour says of
 * itself counts for nothing here. Calls to the neighbour itself are its own affair, and do not belong here. A session that ends changes nothing.
 */
export interface NeighbourTrust<Id> {
  /**
   * What became of something that was handed to a neighbour for an origin, at a monotonic time in ms.
   * @param own false for what was passed on for another node, which counts for that origin alone: its source may be in league with ends that
   * do not answer, and is not to decide whom this node thinks nothing of. Default true: a neighbour is demoted in all when of what this node
   * itself gave it less than half was of use, whether it is to blame or somebody further on: it is the worse way either way.
   */
  came(neighbour: Id, origin: Id, outcome: Outcome, now: number, own?: boolean): Blame<Id>[]
  /** Demotions that end by now. */
  tick(now: number): Blame<Id>[]
  /** When it wants a tick, ms. */
  readonly nextAt: number
  /** What is in force against a neighbour. */
  inForce(neighbour: Id): Blame<Id>[]
  /** True while a neighbour is demoted for this origin. */
  isDemotedFor(origin: Id): boolean
  /** Records that are kept. */
  readonly size: number
}

interface TrustRecord<Id> {
  neighbour: Id
  origin: Id | undefined
  ok: number
  failed: number
  /** Of a record of all: origins that calls failed to, as many as are looked at. */
  failedTo: Set<Id>
  /** Infinity: not demoted. */
  demotedUntil: number
  /** Since it was demoted. */
  probes: { ok: number; failed: number }
}

/** See {@link NeighbourTrust}. Ids are names of nodes, of any kind. */
export function createNeighbourTrust<Id extends string | number>(): NeighbourTrust<Id> {
  /** By neighbour and origin; those used last come last. */
  const records = new Map<string, TrustRecord<Id>>()
  const demoted = new Set<TrustRecord<Id>>()

  function recordOf(neighbour: Id, origin?: Id): TrustRecord<Id> {
    const key = `${neighbour} ${origin ?? ''}`
    const known = records.get(key)
    const record = known ?? {
      neighbour,
      origin,
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

  function count(record: TrustRecord<Id>, origin: Id, outcome: Outcome, now: number): Blame<Id> | undefined {
    const kind = outcome === 'ok' ? 'ok' : 'failed'
    if (demoted.has(record)) {
      record.probes[kind]++
      return undefined
    }
    const isOfAll = record.origin === undefined
    record[kind] += (outcome === 'silent' || outcome === 'useless') && !isOfAll ? MIN_CALLS : 1
    if (kind === 'failed' && isOfAll && record.failedTo.size < MIN_ORIGINS) record.failedTo.add(origin)
    const calls = record.ok + record.failed
    const isOfMany = !isOfAll || record.failedTo.size >= MIN_ORIGINS
    if (isOfMany && calls >= MIN_CALLS && record.ok < calls * MIN_SHARE) return demote(record, now)
    if (calls >= REMEMBERED_CALLS) {
      record.ok /= 2
      record.failed /= 2
    }
    return undefined
  }

  function demote(record: TrustRecord<Id>, now: number): Blame<Id> | undefined {
    if (record.origin !== undefined && demoted.size >= MAX_DEMOTIONS) return undefined
    record.demotedUntil = now + DEMOTED_MS
    record.probes = { ok: 0, failed: 0 }
    demoted.add(record)
    return blame(record, DEMOTED_COST)
  }

  const blame = ({ neighbour, origin }: TrustRecord<Id>, cost: number): Blame<Id> => ({
    neighbour,
    ...(origin !== undefined && { origin }),
    cost
  })

  function end(record: TrustRecord<Id>): void {
    demoted.delete(record)
    record.demotedUntil = Infinity
    record.ok = record.failed = 0
    record.failedTo.clear()
  }

  return {
    came(neighbour, origin, outcome, now, own = true) {
      const made = (own ? [recordOf(neighbour), recordOf(neighbour, origin)] : [recordOf(neighbour, origin)]).map((record) =>
        count(record, origin, outcome, now)
      )
      return made.filter((one) => one !== undefined)
    },
    tick(now) {
      const blames: Blame<Id>[] = []
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
    inForce: (neighbour) =>
      [...demoted].filter((record) => record.neighbour === neighbour).map((record) => blame(record, DEMOTED_COST)),
    isDemotedFor(origin) {
      for (const record of demoted) if (record.origin === origin) return true
      return false
    },
    get size() {
      return records.size
    }
  }
}
