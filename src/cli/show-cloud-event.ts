import type { JsonValue } from '../../protocols/json.ts'
import { shortId } from '../../protocols/short-id.ts'
import { decodeSource, type EventSource } from '../../protocols/trigger/event-names.ts'
import { plain, type Colors } from './output.ts'

/** An event as the local API tells of it, as far as it is shown. */
export interface CloudEvent {
  source: string
  type: string
  priority: string
  subject?: string
  intent: string
  coalesced?: number
  lost?: number
  data?: JsonValue
  dataref?: string
  datasize?: number
}

/** Longest payload that is shown, in characters. */
const MAX_SHOWN = 500

/** Who raised it. @throws MeshError `protocol_error` if it does not say. */
export function sourceOf({ source }: CloudEvent): EventSource {
  return decodeSource(source)
}

/** One event as one line for people. @param where what its node is called; default: the end of its PeerId. */
export function showCloudEvent(event: CloudEvent, colors: Colors, where?: string): string {
  const { bold, dim, magenta, red, yellow } = colors
  const { type, priority, subject, intent, coalesced = 1, lost = 0 } = event
  const { node, capability } = sourceOf(event)
  const sign = priority === 'critical' ? red('!!') : priority === 'high' ? yellow('!') : magenta('!')
  const about = subject === undefined ? '' : ` ${plain(subject)}`
  const times = coalesced > 1 ? yellow(` x${coalesced}`) : ''
  const missed = lost > 0 ? `${yellow(`(${lost} before it are lost)`)} ` : ''
  const time = dim(new Date().toTimeString().slice(0, 8))
  const what = `${sign} ${bold(plain(type))}${about}${times} ${plain(capability)} on ${plain(where ?? shortId(node))}: ${plain(intent)}`
  const payload = payloadOf(event)
  return `${time} ${missed}${what}${payload === '' ? '' : ` ${dim(plain(payload))}`}\n`
}

function payloadOf({ data = null, dataref, datasize }: CloudEvent): string {
  if (dataref !== undefined) return `${datasize} bytes, ${dataref}`
  if (data === null) return ''
  const text = JSON.stringify(data)
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}
