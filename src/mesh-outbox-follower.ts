/** What else follows from what becomes of events that go out: who waits for it is told, keys and payloads are let go, and it is counted. */
import type { FiredKeys } from './core/triggers/fired-keys.ts'
import type { OutboxEffect } from './core/triggers/outbox-contract.ts'
import type { MeshComponents } from './mesh-components.ts'
import type { FireWaits } from './mesh-fire-waits.ts'
import type { PayloadKeeper } from './triggers/payload-keeper.ts'
import type { RaisedEvent } from './triggers/raise.ts'

/** What it needs. */
export interface OutboxFollowerComponents extends Pick<MeshComponents, 'now' | 'log'> {
  keys: FiredKeys
  waits: FireWaits
  payloads: Pick<PayloadKeeper, 'release'>
  /** Whether an event is in the outbox. */
  isWaiting(id: string): boolean
  count(counter: string): void
}

/** All but sending. */
export type FollowedEffect = Exclude<OutboxEffect<RaisedEvent>, { kind: 'send' }>

/** Does what follows from an effect of the outbox. */
export function createOutboxFollower(components: OutboxFollowerComponents): (effect: FollowedEffect) => void {
  const { keys, waits, payloads, isWaiting, now, log, count } = components
  return (effect) => {
    switch (effect.kind) {
      case 'accepted':
      case 'handled':
        return waits.taken(effect.id, effect.handler)
      case 'settled':
        if (effect.event.key !== undefined) keys.done(effect.event.key, effect.event.id, effect.by, now(), effect.event.digest)
        for (const handler of effect.by) waits.taken(effect.event.id, handler)
        payloads.release(effect.event.id)
        return count('events.done')
      case 'withdrawn':
        if (effect.event.key !== undefined) keys.forget(effect.event.key)
        count('events.withdrawn')
        payloads.release(effect.event.id)
        return waits.dropped(effect.event.id, 'withdrawn')
      case 'dropped':
        if (effect.event.key !== undefined) keys.forget(effect.event.key)
        count(`events.dropped.${effect.reason}`)
        payloads.release(effect.event.id)
        return waits.dropped(effect.event.id, effect.reason)
      case 'dead': {
        const { event, reason, code } = effect.letter
        if (event.key !== undefined) keys.forget(event.key)
        count(`events.dead.${reason}`)
        log('warn', `"${event.event}" of "${event.capability}" is a dead letter (${code ?? reason}): atmo dead-letters`)
        return waits.dropped(event.id, code ?? reason)
      }
      case 'erased':
        // It may have gone out anew.
        if (!isWaiting(effect.id)) payloads.release(effect.id)
        return
      case 'append':
        // Of a dead letter that goes out anew.
        if (effect.event.key !== undefined) keys.begin(effect.event.key, effect.event.id, effect.event.digest)
        return
      case 'routed':
    }
  }
}
