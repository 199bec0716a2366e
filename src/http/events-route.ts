import { matchName } from '../../protocols/glob.ts'
import { Hono } from 'hono'
import { MeshError } from '../errors.ts'
import type { Mesh, MeshEvent } from '../mesh-api.ts'
import { accepts } from './call-routes.ts'
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

/**
 * `GET /mesh/events`: events from now on, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)
 * if the client accepts those, else one JSON object a line. `?filter=` is a glob over event names.
 */
export function eventsRoute({ mesh, heartbeatMs = HEARTBEAT_MS, closing }: EventsRouteInit): Hono {
  return new Hono().get('/events', (context) => {
    const filter = context.req.query('filter') ?? '*'
    if (filter.length > MAX_FILTER_LENGTH)
      throw new MeshError('invalid_argument', `filter must have at most ${MAX_FILTER_LENGTH} characters`, { key: 'filter' })
    const sse = accepts(context.req.header('accept'), 'text/event-stream')
    const abort = new AbortController()
    const signal = AbortSignal.any([context.req.raw.signal, abort.signal, ...(closing ? [closing] : [])])
    const lines = eventLines(mesh.events({ signal })[Symbol.asyncIterator](), { filter, sse, heartbeatMs, signal })
    return new Response(
      pullStream(lines, () => abort.abort()),
      { headers: { 'content-type': sse ? 'text/event-stream' : 'application/x-ndjson', ...STREAM_HEADERS } }
    )
  })
}

async function* eventLines(
  events: AsyncIterator<MeshEvent>,
  { filter, sse, heartbeatMs, signal }: { filter: string; sse: boolean; heartbeatMs: number; signal: AbortSignal }
): AsyncGenerator<string, void, void> {
  const ended = new Promise<'ended'>((resolve) => {
    if (signal.aborted) resolve('ended')
    signal.addEventListener('abort', () => resolve('ended'), { once: true })
  })
  // One read stays pending over heartbeats; a read that was dropped would lose its event.
  let pending = events.next()
  try {
    while (true) {
      const next = await withHeartbeat(Promise.race([pending, ended]), sse ? heartbeatMs : undefined)
      if (next === 'heartbeat') {
        yield ': heartbeat\n\n'
        continue
      }
      if (next === 'ended' || next.done) return
      if (matchName(filter, next.value.event))
        yield sse ? `event: ${next.value.event}\ndata: ${JSON.stringify(next.value)}\n\n` : `${JSON.stringify(next.value)}\n`
      pending = events.next()
    }
  } catch {
    // A stream of events can only end; the reason is in the log of the node.
  } finally {
    pending.catch(() => {})
    void events.return?.()
  }
}

function withHeartbeat<T>(value: Promise<T>, afterMs: number | undefined): Promise<T | 'heartbeat'> {
  if (afterMs === undefined) return value
  let timer: ReturnType<typeof setTimeout> | undefined
  const heartbeat = new Promise<'heartbeat'>((resolve) => (timer = setTimeout(() => resolve('heartbeat'), afterMs)))
  return Promise.race([value, heartbeat]).finally(() => clearTimeout(timer))
}
