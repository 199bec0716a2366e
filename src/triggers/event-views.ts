/** Events of the outbox as programs see them. */
import type { DeadLetter } from '../core/triggers/dead-letters.ts'
import type { PendingEvent } from '../core/triggers/pending-events.ts'
import type { DeadLetterView, WaitingEventView } from '../mesh-api-events.ts'
import type { RaisedEvent } from './raise.ts'

/** Most events that are listed at once. */
export const MAX_LISTED_EVENTS = 1_000

/** @param wall what to add to monotonic ms for ms since 1970. */
export function waitingView(pending: PendingEvent<RaisedEvent>, wall: number): WaitingEventView {
  const { event, expiresAt, reason, handlers, tries } = pending
  const at = (ms: number): string => new Date(wall + ms).toISOString()
  return {
    ...said(event),
    since: at(expiresAt - event.expiresMs),
    expires: at(expiresAt),
    reason,
    handlers,
    tries,
    ...failure(pending)
  }
}

/** A dead letter. */
export function letterView(letter: DeadLetter<RaisedEvent>): DeadLetterView {
  return { ...said(letter.event), reason: letter.reason, ...failure(letter) }
}

function said({
  id,
  capability,
  event,
  subject,
  intent,
  priority
}: RaisedEvent): Pick<DeadLetterView, 'id' | 'capability' | 'event' | 'subject' | 'intent' | 'priority'> {
  return { id, capability, event, ...(subject !== undefined && { subject }), intent, priority }
}

function failure({
  code,
  message,
  handled
}: Pick<DeadLetter<RaisedEvent>, 'code' | 'message' | 'handled'>): Pick<DeadLetterView, 'code' | 'message' | 'handled'> {
  return { ...(code !== undefined && { code }), ...(message !== undefined && { message }), handled: [...handled] }
}
