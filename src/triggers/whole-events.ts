import type { OutboxLog } from './outbox-log.ts'
import type { PayloadKeeper } from './payload-keeper.ts'
import type { RaisedEvent } from './raise.ts'

/** What was kept over a restart, and refers to no payload or to one that is there: what has lost it is of no use, and the log forgets it. */
export function wholeEvents(
  log: OutboxLog | undefined,
  payloads: Pick<PayloadKeeper, 'restore' | 'tidy'>,
  count: (counter: string) => void
): Pick<OutboxLog, 'kept' | 'letters'> {
  function isWhole({ id, dataRef }: RaisedEvent, gone: Parameters<OutboxLog['note']>[0]): boolean {
    if (dataRef === undefined || payloads.restore(id, dataRef)) return true
    count('events.damaged')
    log?.note(gone)?.catch(() => count('events.not_kept'))
    return false
  }

  const kept = (log?.kept ?? []).filter(({ event }) => isWhole(event, { kind: 'withdrawn', event }))
  const letters = (log?.letters ?? []).filter(({ event }) => isWhole(event, { kind: 'erased', id: event.id }))
  payloads.tidy()
  return { kept, letters }
}
