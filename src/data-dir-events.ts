/** The events of a node in its data directory: `events-out.log` and `events-in.log`, mode 0600, and the payloads that are too large for them in directories beside them. Node only. */
import { join } from 'node:path'
import { openEventLog, type EventLogFile } from './data-dir-event-log.ts'
import { openPayloadFiles } from './data-dir-payloads.ts'
import type { EventStore } from './triggers/event-store.ts'

/** An {@link EventStore} that is files. */
export interface EventFiles extends EventStore {
  readonly outbox: EventLogFile
  readonly inbox: EventLogFile
  /** Resolves when all is on disk, or could not be written. Nothing may be appended after it. */
  close(): Promise<void>
}

/** Reads the events of a data directory, and keeps them there. @param onTrouble told in a sentence what is wrong. Never rejects. */
export async function openEventFiles(dir: string, onTrouble: (message: string) => void): Promise<EventFiles> {
  const [outbox, inbox, outboxPayloads, inboxPayloads] = await Promise.all([
    openEventLog(join(dir, 'events-out.log'), onTrouble),
    openEventLog(join(dir, 'events-in.log'), onTrouble),
    openPayloadFiles(join(dir, 'events-out.payloads'), onTrouble),
    openPayloadFiles(join(dir, 'events-in.payloads'), onTrouble)
  ])
  return {
    outbox,
    inbox,
    outboxPayloads,
    inboxPayloads,
    close: async () => void (await Promise.all([outbox, inbox, outboxPayloads, inboxPayloads].map((one) => one.close())))
  }
}
