import type { Priority } from '../../../protocols/trigger/messages.ts'

/** How long the first answer is waited for, ms; twice as long each time after that. */
export const ACK_WAIT_MS = 5_000
/** At most. */
export const MAX_ACK_WAIT_MS = 60_000
/** For critical events always. */
export const CRITICAL_ACK_WAIT_MS = 1_000
/** So much of it is chance, so that what failed together does not come again together. */
export const JITTER = 0.2
/** How long who has accepted an event, and is gone since, may take to come back before another gets it, ms. */
export const RETURN_MS = 30_000

/** How long an answer is waited for, or a handler that has failed is left alone, ms. @param tries before this one. */
export function ackWaitMs(priority: Priority, tries: number, random: () => number): number {
  const waitMs =
    priority === 'critical' ? CRITICAL_ACK_WAIT_MS : Math.min(MAX_ACK_WAIT_MS, ACK_WAIT_MS * 2 ** Math.min(tries, 10))
  return Math.round(waitMs * (1 - JITTER * random()))
}

/** Who has accepted an event, and is there though the way to it was lost, is asked again after so long, ms: always before another gets it. Without chance: what was lost together comes again in its order. */
export function askTakerMs(priority: Priority): number {
  return Math.min(ACK_WAIT_MS, returnMs(priority) / 2)
}

/** See {@link RETURN_MS}; of critical events as long as for an answer. */
export function returnMs(priority: Priority): number {
  return priority === 'critical' ? CRITICAL_ACK_WAIT_MS : RETURN_MS
}
