/** Events of the mesh as other programs read them: CloudEvents 1.0 in JSON, https://github.com/cloudevents/spec. Pure. */
import type { JsonObject, JsonValue } from '../../protocols/json.ts'
import { eventFields } from '../../protocols/trigger/event-fields.ts'
import { encodeSource } from '../../protocols/trigger/event-names.ts'
import type { ReceivedEvent } from '../mesh-api-events.ts'

/** Media type of a CloudEvent in JSON. */
export const CLOUD_EVENT_TYPE = 'application/cloudevents+json'

/** An event as a CloudEvent. `source` and `id` together are unique; `source` is the same as in `protocols/trigger`. */
export function cloudEventOf(event: ReceivedEvent): JsonObject {
  const { mesh, node, capability, payload, depth, coalesced } = event
  return {
    specversion: '1.0',
    source: encodeSource({ mesh, node, capability }),
    ...eventFields(event),
    // By it what comes back to the mesh is known not to go round without end.
    hopdepth: depth,
    ...(coalesced > 1 && { coalesced }),
    datacontenttype: 'application/json',
    data: payload
  }
}

/** How many events of the mesh a CloudEvent that comes back follows from; undefined for all else. */
export function hopDepthIn(value: JsonValue): number | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, 'hopdepth')) return undefined
  const { specversion, hopdepth } = value
  return specversion === '1.0' && Number.isSafeInteger(hopdepth) && (hopdepth as number) >= 0 ? (hopdepth as number) : undefined
}
