import { hasTaker, isFree, type Leg } from './outbox-leg.ts'

/** An event, as far as its place among others matters. */
export interface LaneEntry {
  /** `of`: source and subject. Left out: it has no order. */
  readonly event: { of?: string }
  /** Higher for what was raised later. */
  readonly order: number
  readonly legs: readonly Leg[]
  /** Who has done it. */
  readonly handled: readonly string[]
}

/** Which events of a subject are not sent yet, so that none overtakes an older one on its way to a handler that wants them in order. */
export interface OutboxLanes<N extends LaneEntry> {
  /** A leg has another state, or another handler. @param quietly it makes way for an older one: nobody is to follow it. */
  moved(entry: N, leg: Leg, quietly?: boolean): void
  leave(entry: N): void
  /** True if an older one of its subject that could go to the handler as well is with nobody. */
  isBehind(entry: N, leg: Leg, handler: string): boolean
  /** The same, or one is with the link of the handler, and has not gone. */
  isAhead(entry: N, leg: Leg, handler: string): boolean
  /** True if it is not known of an older one that is with nobody whether it could go to the handler. */
  isUnsure(entry: N, leg: Leg, handler: string): boolean
  /** One that waits for who has accepted it goes there after older ones: `follow` says when there are none. As long as nothing else becomes of it. */
  defer(entry: N, leg: Leg): void
  /** True if it is not the first of those of its subject that are with the link of its handler, or wait for that one. */
  isFollower(leg: Leg): boolean
  /** Those that are behind, of each subject of which one has left its place since the last call, the oldest first, as long as they go. */
  follow(go: (entry: N, leg: Leg) => void): void
}

/** What they need. */
export interface OutboxLanesInit<N> {
  /** Whether an event may go to a handler, as things stand. */
  reaches(entry: N, handler: string): boolean
  /** Whether that is not known, and it may. */
  mayReach(entry: N, handler: string): boolean
  /** What decides where it may go, beside its subject: the same for events that reach the same handlers. */
  wayOf(entry: N): string
}

interface Spot<N> {
  entry: N
  leg: Leg
}

/** Legs that may go to the same handlers, and so stand behind each other at each of them; or those with one link. The oldest first. */
interface Lane<N> {
  fixed: string | undefined
  /** Handlers that have the same event for another of its legs, or had it. */
  excluded: readonly string[]
  spots: Spot<N>[]
}

interface Subject<N> {
  /** Of those that are with nobody: few, however many they are. */
  free: Map<string, Lane<N>>
  links: Map<string, Lane<N>>
  /** Those that are behind, and those that are deferred. */
  behind: Set<Leg>
}

interface Spread {
  key: string
  excluded: readonly string[]
}

interface Place<N> extends Spread {
  lanes: Map<string, Lane<N>>
  /** Whom it kept others from; undefined: whoever it could go to. */
  handler: string | undefined
}

const NOBODY: readonly string[] = []

/** See {@link OutboxLanes}. */
export function createOutboxLanes<N extends LaneEntry>({ reaches, mayReach, wayOf }: OutboxLanesInit<N>): OutboxLanes<N> {
  const subjects = new Map<string, Subject<N>>()
  const places = new Map<Leg, Place<N>>()
  /** Subjects of which one has left its place, and whom it kept others from. */
  const left = new Map<Subject<N>, Set<string | undefined>>()

  function subjectOf(of: string): Subject<N> {
    let subject = subjects.get(of)
    if (subject === undefined) subjects.set(of, (subject = { free: new Map(), links: new Map(), behind: new Set() }))
    return subject
  }

  /** Where those that may go anywhere, and that nobody has, stand: the same place for all of an event. */
  function openLane(entry: N): Spread {
    const { legs, handled } = entry
    const isAlone = legs.length === 1 && handled.length === 0
    const excluded = isAlone ? [] : [...handled, ...legs.flatMap(({ handler }) => handler ?? [])].sort()
    return { key: ['', ...excluded, wayOf(entry)].join('\n'), excluded }
  }

  /** Where a leg belongs now. */
  function placeOf(subject: Subject<N>, entry: N, leg: Leg, open: Spread | undefined): Place<N> | undefined {
    const { fixed, handler, isOvertaken } = leg
    if (isOvertaken) return undefined
    if (isFree(leg)) {
      const { key, excluded } =
        fixed === undefined ? (open ?? openLane(entry)) : { key: `${fixed}\n${wayOf(entry)}`, excluded: NOBODY }
      return { lanes: subject.free, key, excluded, handler: fixed }
    }
    // Who has accepted it and is to have it again may have given it back, unheard: what follows goes there after it.
    if (leg.state !== 'offered' && !(leg.state === 'waiting' && hasTaker(leg))) return undefined
    return { lanes: subject.links, key: handler!, excluded: NOBODY, handler }
  }

  function put(entry: N, leg: Leg, place: Place<N>): void {
    const { lanes, key, excluded } = place
    places.set(leg, place)
    let lane = lanes.get(key)
    if (lane === undefined) lanes.set(key, (lane = { fixed: leg.fixed, excluded, spots: [] }))
    const { spots } = lane
    let at = spots.length
    while (at > 0 && spots[at - 1]!.entry.order > entry.order) at--
    spots.splice(at, 0, { entry, leg })
  }

  function remove(subject: Subject<N>, leg: Leg, quietly: boolean): void {
    const place = places.get(leg)
    if (place === undefined) return
    places.delete(leg)
    const { spots } = place.lanes.get(place.key)!
    spots.splice(
      spots.findIndex((spot) => spot.leg === leg),
      1
    )
    if (spots.length === 0) place.lanes.delete(place.key)
    if (quietly) return
    const whom = left.get(subject) ?? new Set()
    left.set(subject, whom.add(place.handler))
  }

  function tidy(of: string, subject: Subject<N>): void {
    if (subject.free.size + subject.links.size === 0) subjects.delete(of)
  }

  function settle(subject: Subject<N>, entry: N, leg: Leg, quietly: boolean, open?: Spread): void {
    if (leg.state === 'behind') subject.behind.add(leg)
    else subject.behind.delete(leg)
    const next = placeOf(subject, entry, leg, open)
    const before = places.get(leg)
    if (before?.lanes === next?.lanes && before?.key === next?.key) return
    remove(subject, leg, quietly)
    if (next !== undefined) put(entry, leg, next)
  }

  /** Whether one of those that are with nobody is older, does not have the handler already, and holds it. */
  function isBehind({ event: { of }, order }: N, leg: Leg, handler: string, holds = reaches): boolean {
    if (of === undefined || leg.isOvertaken) return false
    for (const { fixed, excluded, spots } of subjects.get(of)?.free.values() ?? []) {
      const { entry: first } = spots[0]!
      if (first.order >= order || (fixed !== undefined && fixed !== handler) || excluded.includes(handler)) continue
      if (holds(first, handler)) return true
    }
    return false
  }

  return {
    moved(entry, leg, quietly = false) {
      const { of } = entry.event
      if (of === undefined) return
      const subject = subjectOf(of)
      settle(subject, entry, leg, quietly)
      // Where it is, the others do not go; where it was, they may.
      if (leg.fixed === undefined && entry.legs.length > 1) {
        const open = openLane(entry)
        for (const other of entry.legs) if (other !== leg && isFree(other)) settle(subject, entry, other, quietly, open)
      }
      tidy(of, subject)
    },
    leave({ event: { of }, legs }) {
      const subject = of === undefined ? undefined : subjects.get(of)
      if (subject === undefined) return
      for (const leg of legs) {
        subject.behind.delete(leg)
        remove(subject, leg, false)
      }
      tidy(of!, subject)
    },
    defer({ event: { of } }, leg) {
      if (of !== undefined) subjectOf(of).behind.add(leg)
    },
    isBehind,
    isUnsure: (entry, leg, handler) => isBehind(entry, leg, handler, mayReach),
    isAhead(entry, leg, handler) {
      const { of } = entry.event
      if (of === undefined || leg.isOvertaken) return false
      const first = subjects.get(of)?.links.get(handler)?.spots[0]
      return (first !== undefined && first.entry.order < entry.order) || isBehind(entry, leg, handler)
    },
    isFollower(leg) {
      const place = places.get(leg)
      return place !== undefined && !isFree(leg) && place.lanes.get(place.key)!.spots[0]!.leg !== leg
    },
    follow(go) {
      for (const [subject, whom] of left) {
        left.delete(subject)
        if (subject.behind.size === 0) continue
        const lanes = [...subject.free.values()].filter(
          ({ fixed, spots }) =>
            subject.behind.has(spots[0]!.leg) && (fixed === undefined || whom.has(undefined) || whom.has(fixed))
        )
        lanes.push(...[...subject.links.values()].filter(({ spots }) => subject.behind.has(spots[0]!.leg)))
        lanes.sort((a, b) => a.spots[0]!.entry.order - b.spots[0]!.entry.order)
        for (const { spots } of lanes)
          for (let first = spots[0]; first !== undefined && subject.behind.has(first.leg); first = spots[0]) {
            go(first.entry, first.leg)
            if (spots[0] === first) break
          }
      }
    }
  }
}
