import { Hono } from 'hono'
import { matchName } from '../../protocols/glob.ts'
import { MeshError } from '../errors.ts'
import { EVENT_NAMES } from '../mesh-api-live.ts'
import type { Mesh } from '../mesh-api.ts'
import { accepts } from './call-routes.ts'
import { cloudEventOf } from './cloud-event.ts'
import { createEventLog, type Logged } from './event-log.ts'
import { observedEvents, type Observed } from './observed-events.ts'
import { STREAM_HEADERS, pullStream } from './pull-stream.ts'

/** Time between two heartbeats of an event stream, in ms: below the 30 s after which proxies drop silent connections. */
export const HEARTBEAT_MS = 15_000
/** Event streams that are open at once, of all kinds. */
export const MAX_EVENT_STREAMS = 64
/** Longest list of names, in characters. */
const MAX_TYPE_LENGTH = 256

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
 * if the client accepts those, else one JSON object a line. `?type=` are globs over names of what happens at this node, with commas; who is too slow is told
 * how many it missed (`lagged`), and a client of server-sent events that comes back (`Last-Event-ID`) goes on where it was. `?events=` is a pattern of
 * events that capabilities of the mesh raise: then each object is a CloudEvent, and with `?sources=true` some are `{"sources"}`: which nodes are observed, at
 * once and when that changes, as a server-sent event of that name. A WebSocket at the same path gets the same, see `serve-websocket.ts`.
 */
export function eventsRoute({ mesh, heartbeatMs = HEARTBEAT_MS, closing }: EventsRouteInit): Hono {
  const log = createEventLog(mesh, closing)
  let open = 0
  return new Hono().get('/events', (context) => {
    const { type, events: pattern, sources } = context.req.query()
    if (type !== undefined && pattern !== undefined)
      throw new MeshError('invalid_argument', 'give type or events: one stream has one of them', { key: 'events' })
    if (sources !== undefined && (pattern === undefined || !['true', 'false'].includes(sources)))
      throw new MeshError('invalid_argument', 'sources must be true or false, and goes with events', { key: 'sources' })
    const isWanted = wantedBy(type)
    if (open >= MAX_EVENT_STREAMS)
      throw new MeshError('busy', `${MAX_EVENT_STREAMS} event streams are open, and that is the most`, {
        limit: MAX_EVENT_STREAMS
      })
    const sse = accepts(context.req.header('accept'), 'text/event-stream')
    const abort = new AbortController()
    const signal = AbortSignal.any([context.req.raw.signal, abort.signal, ...(closing ? [closing] : [])])
    const pace = { heartbeatMs: sse ? heartbeatMs : undefined, signal }
    const after = sse ? context.req.header('last-event-id') : undefined
    const lines =
      pattern === undefined
        ? eventLines(nodeEvents(log.read(signal, { after, resumable: sse }), isWanted, sse), pace)
        : eventLines(observed(observedEvents(mesh, pattern, { signal, sources: sources === 'true' }), sse), pace)
    if (!signal.aborted) {
      open++
      signal.addEventListener('abort', () => open--, { once: true })
    }
    return new Response(
      pullStream(counted(lines, abort), () => abort.abort()),
      { headers: { 'content-type': sse ? 'text/event-stream' : 'application/x-ndjson', ...STREAM_HEADERS } }
    )
  })
}

/** A stream that ends by itself is over as well. */
async function* counted(lines: AsyncGenerator<string, void, void>, abort: AbortController): AsyncGenerator<string, void, void> {
  try {
    yield* lines
  } finally {
    abort.abort()
  }
}

/** @throws MeshError `invalid_argument` for a glob that nothing will ever fit: it would wait for ever, and say nothing. */
function wantedBy(type: string | undefined): (name: string) => boolean {
  if (type === undefined) return () => true
  if (type.length > MAX_TYPE_LENGTH)
    throw new MeshError('invalid_argument', `type must have at most ${MAX_TYPE_LENGTH} characters`, { key: 'type' })
  const globs = type.split(',').map((glob) => glob.trim())
  const idle = globs.find((glob) => !EVENT_NAMES.some((name) => matchName(glob, name)))
  if (idle !== undefined)
    throw new MeshError('invalid_argument', `nothing that happens is called '${idle}'; known are: ${EVENT_NAMES.join(', ')}`, {
      key: 'type',
      known: [...EVENT_NAMES]
    })
  return (name) => name === 'lagged' || globs.some((glob) => matchName(glob, name))
}

function nodeEvents(events: AsyncIterator<Logged>, isWanted: (name: string) => boolean, sse: boolean): Stream<Logged> {
  return {
    events,
    line({ id, event }) {
      if (!isWanted(event.event)) return undefined
      const json = JSON.stringify(event)
      return sse ? `id: ${id}\nevent: ${event.event}\ndata: ${json}\n\n` : `${json}\n`
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
