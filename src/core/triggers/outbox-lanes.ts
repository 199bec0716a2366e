import { isFree, type Leg } from './outbox-leg.ts'

/** An event, as far as its place among others matters. */
export interface LaneEntry {
  /** `of`: source and subject. Left out: it has no order. */
  readonly event: { of?: string }
  /** Higher for what was raised later. */
  readonly order: number
}

/** Which events of one subject are not sent yet, so that none overtakes an older one on its way to a handler that wants them in order. */
export interface OutboxLanes {
  /** Its state is another. @param quietly it makes way for an older one: nobody is to follow it. */
  moved(leg: Leg, entry: LaneEntry, quietly?: boolean): void
  leave(leg: Leg): void
  /** True if an older one of its lane is with nobody. */
  isBehind(leg: Leg, entry: LaneEntry): boolean
  /** The same, or one is with the link of its handler, and has not gone. */
  isAhead(leg: Leg, entry: LaneEntry): boolean
  /** The oldest that is with nobody of each lane that one has left since the last call, and so on. @param go true if it is with its link now. */
  follow(go: (leg: Leg) => boolean): void
}

interface Place {
  order: number
  /** Of those that are with nobody. */
  lane: string
  /** Where it stands: there, or among those with one link. */
  at: string
}

/** See {@link OutboxLanes}. */
export function createOutboxLanes(): OutboxLanes {
  /** Each oldest first. */
  const lanes = new Map<string, Leg[]>()
  const places = new Map<Leg, Place>()
  const left = new Set<string>()
  const laneOf = ({ fixed }: Leg, of: string): string => (fixed === undefined ? of : `${of} ${fixed}`)
  const linkLaneOf = (leg: Leg, of: string): string => `${laneOf(leg, of)} > ${leg.handler}`
  const orderOf = (leg: Leg): number => places.get(leg)!.order
  const hasOlder = (name: string, leg: Leg, order: number): boolean => {
    const first = lanes.get(name)?.[0]
    return first !== undefined && first !== leg && orderOf(first) < order
  }

  function enter(leg: Leg, place: Place): void {
    places.set(leg, place)
    const lane = lanes.get(place.at)
    if (lane === undefined) return void lanes.set(place.at, [leg])
    let at = lane.length
    while (at > 0 && orderOf(lane[at - 1]!) > place.order) at--
    lane.splice(at, 0, leg)
  }

  function leave(leg: Leg, quietly = false): void {
    const place = places.get(leg)
    if (place === undefined) return
    places.delete(leg)
    const lane = lanes.get(place.at)!
    lane.splice(lane.indexOf(leg), 1)
    if (lane.length === 0) lanes.delete(place.at)
    if (!quietly && lanes.has(place.lane)) left.add(place.lane)
  }

  return {
    moved(leg, { event: { of }, order }, quietly) {
      if (of === undefined || leg.isOvertaken) return leave(leg)
      const lane = laneOf(leg, of)
      const at = isFree(leg) ? lane : leg.state === 'offered' ? linkLaneOf(leg, of) : undefined
      if (places.get(leg)?.at === at) return
      leave(leg, quietly)
      if (at !== undefined) enter(leg, { order, lane, at })
    },
    leave,
    isBehind: (leg, { event: { of }, order }) => of !== undefined && !leg.isOvertaken && hasOlder(laneOf(leg, of), leg, order),
    isAhead(leg, { event: { of }, order }) {
      if (of === undefined || leg.isOvertaken) return false
      return hasOlder(laneOf(leg, of), leg, order) || hasOlder(linkLaneOf(leg, of), leg, order)
    },
    follow(go) {
      for (const name of left) {
        for (let first = lanes.get(name)?.[0]; first !== undefined && go(first); first = lanes.get(name)?.[0]);
        left.delete(name)
      }
    }
  }
}
