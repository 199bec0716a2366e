import type { MeshEvent } from '../../protocols/trigger/messages.ts'
import type { ArrivedEvent } from './handling.ts'

/** An event as the inbox knows it. */
export function arrivedOf(given: {
  event: MeshEvent
  encoded: Uint8Array
  /** Id of the capability here. */
  handler: string
  /** PeerId of the source, as the connection proved it. */
  peer: string
  /** PeerIds on whose behalf it speaks. */
  causes: readonly string[]
  /** See {@link ArrivedEvent.lost}. */
  lost?: number | undefined
  /** Monotonic ms. */
  expiresAt: number
}): ArrivedEvent {
  const { event, encoded, handler, peer, causes, lost, expiresAt } = given
  return {
    node: peer,
    id: event.id,
    handler,
    priority: event.priority,
    bytes: encoded.length,
    of: `${peer} ${event.source.capability} ${event.subject ?? ''}`,
    sequence: event.sequence,
    lost,
    expiresAt,
    event,
    encoded,
    causes: [...causes, peer]
  }
}
