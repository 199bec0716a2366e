/** What of the outbox is being written down, and what waits for that before it is sent. */
import type { OutboxEffect } from '../core/triggers/outbox-contract.ts'
import { toMeshError } from '../errors.ts'
import type { OutboxLog } from './outbox-log.ts'
import type { RaisedEvent } from './raise.ts'

/** See {@link createOutboxKeeping}. */
export interface OutboxKeeping {
  /** Writes down what the outbox wants kept. What cannot be is sent all the same. */
  keep(effect: OutboxEffect<RaisedEvent>): void
  /** Whether an event that is being written down is kept, once that has ended; undefined: it is not being written now. */
  isKept(id: string): Promise<boolean> | undefined
  /**
   * What has a key is sent once it is written down: else a node that is killed in between knows nothing of it, and when it is fired again it is another
   * event. And so is what is about the same subject, to stay behind it.
   */
  send(event: RaisedEvent, handler: string): void
}

/** What it needs. */
export interface OutboxKeepingInit {
  /** Undefined: there is no disk. */
  stored: Pick<OutboxLog, 'note'> | undefined
  /** Resolves when the payload of an event that has one beside it is on disk. */
  written(id: string): Promise<void> | undefined
  send(event: RaisedEvent, handler: string): void
  onFailed(): void
  log: (level: 'info' | 'warn', message: string) => void
}

/** See {@link OutboxKeeping}. */
export function createOutboxKeeping({ stored, written, send, onFailed, log }: OutboxKeepingInit): OutboxKeeping {
  const keeping = new Map<string, Promise<boolean>>()
  /** How many of a subject wait for that before they are sent. */
  const unsent = new Map<string, number>()
  /** Told once, until it goes well again. */
  let isFailing = false

  return {
    keep(effect) {
      const noted = stored?.note(effect)
      const whole = effect.kind === 'append' ? noted?.then(() => written(effect.event.id)) : noted
      const kept = whole?.then(
        () => {
          isFailing = false
          return true
        },
        (error: unknown) => {
          onFailed()
          if (!isFailing) log('warn', toMeshError(error).message)
          isFailing = true
          return false
        }
      )
      if (kept === undefined || effect.kind !== 'append') return
      const { id } = effect.event
      keeping.set(
        id,
        kept.finally(() => keeping.delete(id))
      )
    },
    isKept: (id) => keeping.get(id),
    send(event, handler) {
      const { id, of } = event
      const kept = keeping.get(id)
      if (kept === undefined || (event.key === undefined && !unsent.has(of))) return send(event, handler)
      unsent.set(of, (unsent.get(of) ?? 0) + 1)
      void kept.then(() => {
        const left = unsent.get(of)! - 1
        if (left === 0) unsent.delete(of)
        else unsent.set(of, left)
        send(event, handler)
      })
    }
  }
}
