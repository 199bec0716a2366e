/** What is kept of events over a restart: two logs of records, each as JSON. */
import type { JsonObject } from '../../protocols/json.ts'
import type { PayloadStore } from './payload-store.ts'

/** A log of records that outlives the process. */
export interface EventLog {
  /** What it held at the start, oldest first; nothing any more once `onCompact` says who keeps it from then on. */
  readonly initial: readonly JsonObject[]
  /**
   * Resolves once the record is kept, and all before it. What could not be kept is tried again without being asked, as part of what `onCompact` gives.
   * @param flush default true; false: the end of the process does not lose it, a power cut may, unless one after it was flushed.
   * @throws MeshError `unavailable` with `details.reason` `not_kept`: it is not, the disk is full perhaps.
   */
  append(record: JsonObject, flush?: boolean): Promise<void>
  /** @param records all that is still to be kept, all that was appended included: asked for when the log is written anew. */
  onCompact(records: () => Iterable<JsonObject>): void
}

/** Where a node keeps its events. */
export interface EventStore {
  /** Of what this node has raised. */
  readonly outbox: EventLog
  /** Of what it has accepted for its capabilities. */
  readonly inbox: EventLog
  /** Payloads that are too large for their events: of those that this node has raised. */
  readonly outboxPayloads: PayloadStore
  /** Of those that it has accepted. */
  readonly inboxPayloads: PayloadStore
}
