import { isFree } from './outbox-leg.ts'
import type { OutboxEntry } from './outbox-room.ts'

/** Why an event of the outbox is not done: nobody is there who handles it, an older one of its subject goes first, handlers have as many events as may be out at once, whoever was asked has not answered, or has not taken it, or has it and is gone, or has it and works on it. */
export type PendingReason = 'no_handler' | 'behind' | 'full' | 'unanswered' | 'refused' | 'away' | 'accepted'

/** An event that is not done, as the outbox sees it. */
export interface PendingEvent<E> {
  event: E
  /** Monotonic ms. */
  expiresAt: number
  reason: PendingReason
  /** Who has it, or is being asked. */
  handlers: string[]
  /** Times that no answer, or a bad one, came. */
  tries: number
  /** Who has done it, of several. */
  handled: string[]
  /** Of the last failure. */
  code?: string | undefined
  message?: string | undefined
}

/** What an event waits for: of several handlings, what is furthest from done. */
export function pendingOf<E>({ event, expiresAt, legs, handled, code, message }: OutboxEntry<E>): PendingEvent<E> {
  const open = legs.filter(({ state }) => state !== 'done' && state !== 'failed')
  return {
    event,
    expiresAt,
    reason: reasonOf(open),
    handlers: open.flatMap(({ handler }) => handler ?? []),
    tries: legs.reduce((sum, { tries }) => sum + tries, 0),
    handled: [...handled],
    code,
    message
  }
}

function reasonOf(open: OutboxEntry<unknown>['legs']): PendingReason {
  if (open.length === 0 || open.some(({ state }) => state === 'idle')) return 'no_handler'
  if (open.some(({ state }) => state === 'full')) return 'full'
  const free = open.filter(isFree)
  if (free.length > 0) return free.some(({ asked }) => asked.size > 0) ? 'refused' : 'behind'
  if (open.some(({ state }) => state === 'offered' || state === 'sent')) return 'unanswered'
  return open.some(({ state }) => state === 'waiting') ? 'away' : 'accepted'
}
