/** The events of a node in its data directory: `events-out.log` and `events-in.log`, mode 0600. Node only. */
import { join } from 'node:path'
import { openEventLog, type EventLogFile } from './data-dir-event-log.ts'
import type { EventStore } from './triggers/event-store.ts'

/** An {@link EventStore} that is two files. */
export interface EventFiles extends EventStore {
  readonly outbox: EventLogFile
  readonly inbox: EventLogFile
  /** Resolves when all is on disk, or could not be written. Nothing may be appended after it. */
  close(): Promise<void>
}

/** Reads the events of a data directory, and keeps them there. @param onTrouble told in a sentence what is wrong. Never rejects. */
export async function openEventFiles(dir: string, onTrouble: (message: string) => void): Promise<EventFiles> {
  const [outbox, inbox] = await Promise.all([
    openEventLog(join(dir, 'events-out.log'), onTrouble),
    openEventLog(join(dir, 'events-in.log'), onTrouble)
  ])
  return {
    outbox,
    inbox,
    close: async () => void (await Promise.all([outbox.close(), inbox.close()]))
  }
}
