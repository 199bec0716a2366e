import { INFINITE } from './metric.ts'
import { CELL, NO_LINK, SLOT } from './route-table.ts'
import type { RouterLink } from './router-links.ts'
import type { SequenceRequest } from './router-messages.ts'
import type { RouterOutbox } from './router-outbox.ts'
import type { RoutingState } from './routing-state.ts'
import { REQUEST_TTL, createSequenceRequests } from './sequence-requests.ts'
import { compareSequence, type SequenceNumber } from './sequence.ts'

/** Newer sequence numbers: asked for, passed on, and given, where this node is the origin. RFC 8966, 3.8.1.2 and 3.8.2.1. */
export interface SequenceDesk {
  /** Own sequence number. */
  readonly own: SequenceNumber
  /**
   * Asks all neighbours that have a route to an origin, and again until it is feasible. `starving`: this node has no route. `isUseful`: false: not
   * now, but as soon as it is.
   */
  ask(slot: number, starving: boolean, isUseful: boolean): void
  /** Asks one more neighbour, whose route has come since. */
  askToo(link: RouterLink, slot: number): void
  stop(origin: number): void
  /** A neighbour asks. `proven`: the origin once signed the number before. */
  answer(link: RouterLink, request: SequenceRequest, proven: boolean): void
  /** Others have a number of this node that is newer than its own: it goes on after it. */
  outbid(number: SequenceNumber): void
  isAwaited(origin: number, incarnation: number, sequence: number): boolean
  /** Does what is due. */
  tick(): void
  readonly nextAt: number
}

/** See {@link SequenceDesk}. @param first own number; newer than any that was used. @param isUseful asked before it is asked again. */
export function createSequenceDesk(
  state: RoutingState,
  outbox: Pick<RouterOutbox, 'tellOwn' | 'answer'>,
  self: number,
  first: SequenceNumber,
  isUseful: (slot: number) => boolean
): SequenceDesk {
  const { table, links } = state
  const requests = createSequenceRequests()
  let own: SequenceNumber = first

  const isAfter = (a: SequenceNumber, b: SequenceNumber): boolean =>
    compareSequence(a.incarnation, a.sequence, b.incarnation, b.sequence) > 0

  const metricOf = (slot: number, link: RouterLink): number => table.words[table.cellAt(slot, link.index) + CELL.metric]!
  const originOf = (slot: number): number => table.words[table.slotAt(slot) + SLOT.origin]!

  const isUsefulNow = (origin: number): boolean => {
    const slot = table.slot(origin)
    return slot >= 0 && isUseful(slot)
  }

  const requestFor = (slot: number): SequenceRequest => ({
    origin: originOf(slot),
    incarnation: table.words[table.slotAt(slot) + SLOT.bestIncarnation]!,
    sequence: table.words[table.slotAt(slot) + SLOT.bestSequence]! + 1,
    ttl: REQUEST_TTL
  })

  function send(link: RouterLink | undefined, slot: number): void {
    if (link !== undefined && metricOf(slot, link) !== INFINITE)
      state.effects.push({ kind: 'request', link: link.index, ...requestFor(slot) })
  }

  /** At once, or when it may. */
  function raise(wanted?: SequenceNumber): void {
    const next = requests.raise(wanted, state.now)
    if (next === undefined) return
    own = next
    for (const link of links) if (link !== undefined) outbox.tellOwn(link)
  }

  /** To the next hop, or if that asks itself, to all who have a route. */
  function passOn(link: RouterLink, slot: number, { origin, incarnation, sequence, ttl }: SequenceRequest): void {
    const via = table.selected(slot)
    const isNextHop = via !== NO_LINK && via !== link.index
    for (const other of links) {
      if (other === undefined || other === link) continue
      if (isNextHop ? other.index === via : metricOf(slot, other) !== INFINITE)
        state.effects.push({ kind: 'request', link: other.index, origin, incarnation, sequence, ttl: ttl - 1 })
    }
  }

  return {
    get own() {
      return own
    },
    ask(slot, starving, isUseful) {
      if (requests.begin({ ...requestFor(slot), starving, isUseful }, state.now)) for (const link of links) send(link, slot)
    },
    askToo(link, slot) {
      if (requests.isAsking(originOf(slot))) send(link, slot)
    },
    stop: (origin) => requests.end(origin),
    answer(link, request, proven) {
      if (request.origin === self) {
        const isNext = request.incarnation === own.incarnation && request.sequence === own.sequence + 1
        return isAfter(request, own) && (isNext || proven) ? raise(request) : outbox.tellOwn(link)
      }
      const slot = table.slot(request.origin)
      if (slot < 0) return
      const via = table.selected(slot)
      const at = via === NO_LINK ? -1 : table.cellAt(slot, via)
      const has =
        at >= 0 &&
        !isAfter(request, {
          incarnation: table.words[at + CELL.incarnation]!,
          sequence: table.words[at + CELL.sequence]!
        })
      if (has) return outbox.answer(link, [request.origin])
      const onward = via === link.index ? NO_LINK : via
      if (request.ttl > 1 && requests.passOn(request, onward, proven, state.now)) passOn(link, slot, request)
    },
    outbid({ incarnation, sequence }) {
      const next = { incarnation, sequence: sequence + 1 }
      if (isAfter(next, own)) raise(next)
    },
    isAwaited: (origin, incarnation, sequence) => requests.isAwaited(origin, incarnation, sequence, state.now),
    tick() {
      if (state.now >= requests.nextAt) {
        for (const slot of requests.due(state.now, isUsefulNow).map(table.slot)) for (const link of links) send(link, slot)
      }
      raise()
    },
    get nextAt() {
      return requests.nextAt
    }
  }
}
