/** What a person sees and does of the events that go out: what is not done, and what nobody did. */
import type { Outbox } from './core/triggers/outbox-contract.ts'
import { MeshError } from './errors.ts'
import type { MeshTriggers } from './mesh-api-events.ts'
import { MAX_LISTED_EVENTS, letterView, waitingView } from './triggers/event-views.ts'
import type { RaisedEvent } from './triggers/raise.ts'

/** Part of {@link MeshTriggers}. */
export type EventDesk = Pick<
  MeshTriggers,
  'waitingEvents' | 'discardEvent' | 'deadLetters' | 'replayDeadLetter' | 'discardDeadLetter'
>

/** What it needs. */
export interface EventDeskComponents {
  outbox: Outbox<RaisedEvent>
  /** Changes something, and does what follows from it. */
  change<T>(work: () => T): T
  /** Monotonic ms. */
  now: () => number
}

/** See {@link EventDesk}. */
export function createEventDesk({ outbox, change, now }: EventDeskComponents): EventDesk {
  function checkLetter(id: string): void {
    if (!outbox.deadLetters().some(({ event }) => event.id === id))
      throw new MeshError('not_found', `there is no dead letter "${id}" (any more); atmo dead-letters lists them`, { id })
  }

  return {
    waitingEvents() {
      const all = outbox.pending()
      const wall = Date.now() - now()
      const events = all.slice(0, MAX_LISTED_EVENTS).map((one) => waitingView(one, wall))
      return { events, total: all.length, unaccepted: outbox.waiting }
    },
    discardEvent(id) {
      if (!change(() => outbox.withdraw(id, now())))
        throw new MeshError('not_found', `no event "${id}" waits here (any more); atmo events lists them`, { id })
    },
    deadLetters: () => outbox.deadLetters().map(letterView),
    replayDeadLetter(id) {
      checkLetter(id)
      const added = change(() => outbox.replay(id, now()))
      if (added?.outcome === 'refused') throw new MeshError('busy', 'there is no room for it now', { reason: added.reason })
    },
    discardDeadLetter(id) {
      checkLetter(id)
      change(() => outbox.discard(id))
    }
  }
}
