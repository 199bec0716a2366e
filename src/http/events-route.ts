import { matchName } from '../../protocols/glob.ts'
import { Hono } from 'hono'
import { MeshError } from '../errors.ts'
import type { Mesh, MeshEvent } from '../mesh-api.ts'
import { accepts } from './call-routes.ts'
import { cloudEventOf } from './cloud-event.ts'
import { observedEvents, type Observed } from './observed-events.ts'
import { STREAM_HEADERS, pullStream } from './pull-stream.ts'

/** Time between two heartbeats of an event stream, in ms: below the 30 s after which proxies drop silent connections. */
export const HEARTBEAT_MS = 15_000
/** Longest filter, in characters. */
const MAX_FILTER_LENGTH = 128

/** What the event stream needs beside the node. */
export interface EventsRouteInit {
  mesh: Mesh
  /** Default {@link HEARTBEAT_MS}. */
  heartbeatMs?: number
  /** Ends all event streams when aborted: the server closes. */
  closing?: AbortSignal
}

/** Both have one reader each. `line` is undefined for what nobody wants. */
interface Stream<T> {
  events: AsyncIterator<T>
  line(event: T): string | undefined
}

/**
 * `GET /mesh/events`: what happens from now on, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)
 * if the client accepts those, else one JSON object a line. `?filter=` is a glob over names of what happens at this node; `?events=` a pattern of
 * events that capabilities of the mesh raise: then each object is a CloudEvent, and with `?sources=true` some are `{"sources"}`: which nodes are observed, at
 * once and when that changes, as a server-sent event of that name. A WebSocket at the same path gets the same, see `serve-websocket.ts`.
 */
export function eventsRoute({ mesh, heartbeatMs = HEARTBEAT_MS, closing }: EventsRouteInit): Hono {
  return new Hono().get('/events', (context) => {
    const { filter, events: pattern, sources } = context.req.query()
    if (filter !== undefined && pattern !== undefined)
      throw new MeshError('invalid_argument', 'give filter or events: one stream has one of them', { key: 'events' })
    if (sources !== undefined && (pattern === undefined || !['true', 'false'].includes(sources)))
      throw new MeshError('invalid_argument', 'sources must be true or false, and goes with events', { key: 'sources' })
    if (filter !== undefined && filter.length > MAX_FILTER_LENGTH)
      throw new MeshError('invalid_argument', `filter must have at most ${MAX_FILTER_LENGTH} characters`, { key: 'filter' })
    const sse = accepts(context.req.header('accept'), 'text/event-stream')
    const abort = new AbortController()
    const signal = AbortSignal.any([context.req.raw.signal, abort.signal, ...(closing ? [closing] : [])])
    const pace = { heartbeatMs: sse ? heartbeatMs : undefined, signal }
    const lines =
      pattern === undefined
        ? eventLines(nodeEvents(mesh, filter ?? '*', sse, signal), pace)
        : eventLines(observed(observedEvents(mesh, pattern, { signal, sources: sources === 'true' }), sse), pace)
    return new Response(
      pullStream(lines, () => abort.abort()),
      { headers: { 'content-type': sse ? 'text/event-stream' : 'application/x-ndjson', ...STREAM_HEADERS } }
    )
  })
}

function nodeEvents(mesh: Mesh, filter: string, sse: boolean, signal: AbortSignal): Stream<MeshEvent> {
  return {
    events: mesh.events({ signal })[Symbol.asyncIterator](),
    line(event) {
      if (!matchName(filter, event.event)) return undefined
      return sse ? `event: ${event.event}\ndata: ${JSON.stringify(event)}\n\n` : `${JSON.stringify(event)}\n`
    }
  }
}

/** Copies have no `event` field: a reader of a pattern does not know which names to listen to, and `message` gets all of them. */
function observed(events: AsyncIterator<Observed>, sse: boolean): Stream<Observed> {
  return {
    events,
    line(one) {
      const isOfSources = 'sources' in one
      const json = JSON.stringify(isOfSources ? one : cloudEventOf(one))
      if (!sse) return `${json}\n`
      return `${isOfSources ? 'event: sources\n' : ''}data: ${json}\n\n`
    }
  }
}

async function* eventLines<T>(
  { events, line }: Stream<T>,
  { heartbeatMs, signal }: { heartbeatMs: number | undefined; signal: AbortSignal }
): AsyncGenerator<string, void, void> {
  // One read stays pending over heartbeats; a read that was dropped would lose its event. Both end the same wait, and leave nothing on what lives longer.
  let result: IteratorResult<T, unknown> | undefined
  let failed = false
  let wake: (() => void) | undefined
  const read = (): void =>
    void events.next().then(
      (next) => {
        result = next
        wake?.()
      },
      () => {
        failed = true
        wake?.()
      }
    )
  read()
  try {
    for (;;) {
      if (result === undefined && !failed)
        await new Promise<void>((resolve) => {
          const timer = heartbeatMs === undefined ? undefined : setTimeout(resolve, heartbeatMs)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      wake = undefined
      // A stream of events can only end; the reason is in the log of the node.
      if (failed || signal.aborted || result?.done === true) return
      if (result === undefined) {
        yield ': heartbeat\n\n'
        continue
      }
      const text = line(result.value)
      result = undefined
      read()
      if (text !== undefined) yield text
    }
  } finally {
    void events.return?.()
  }
}
