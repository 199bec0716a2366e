import type { JsonObject } from '../../protocols/json.ts'
import { encodeSource } from '../../protocols/trigger/event-names.ts'
import type { ObservedEvent } from '../mesh-api.ts'

/**
 * A copy of an event in the JSON format of CloudEvents 1.0, https://github.com/cloudevents/spec: the attributes of `protocols/trigger`, and `lost`, how many
 * copies before this one found no room. What is at its default is left out.
 */
export function cloudEventOf(event: ObservedEvent): JsonObject {
  const { mesh, node, capability, subject, time, routeHint, traceparent, depth, coalesced, dataRef, lost } = event
  return {
    specversion: '1.0',
    id: event.id,
    source: encodeSource({ mesh, node, capability }),
    type: event.type,
    ...(subject !== undefined && { subject }),
    ...(time !== undefined && { time }),
    datacontenttype: dataRef?.contentType ?? 'application/json',
    sequence: event.sequence,
    priority: event.priority,
    ...(routeHint !== undefined && { routehint: routeHint }),
    ...(traceparent !== undefined && { traceparent }),
    ...(depth > 0 && { hopdepth: depth }),
    intent: event.intent,
    ...(coalesced > 1 && { coalesced }),
    ...(lost > 0 && { lost }),
    ...(dataRef === undefined ? { data: event.payload } : { dataref: `sha256:${dataRef.hash}`, datasize: dataRef.size })
  }
}
