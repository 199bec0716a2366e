import { Hono } from 'hono'
import { MeshError, errorToJson } from '../errors.ts'
import type { Mesh, TraceHop } from '../mesh-api.ts'
import { readPreference } from './preference.ts'
import { STREAM_HEADERS, pullStream } from './pull-stream.ts'

/** A line of a trace. An error is the last one: the way ended before the node. */
export type TraceLine = TraceHop | { error: ReturnType<typeof errorToJson> }

/**
 * `GET /mesh/routes`, `GET /mesh/route?target=`, and `GET /mesh/trace?target=`, which answers one JSON object a line, each as soon as
 * its hop has answered. A client that goes cancels the trace.
 */
export function routeRoutes({ mesh }: { mesh: Mesh }): Hono {
  return new Hono()
    .get('/routes', (context) => context.json(mesh.routes()))
    .get('/route', (context) => {
      const { target, tool, node, prefer, maxLatencyMs } = context.req.query()
      const notNode = context.req.queries('notNode')
      const preference = readPreference({ prefer, notNode, node, maxLatencyMs: maxLatencyMs && milliseconds(maxLatencyMs) })
      return context.json(mesh.explain(targetOf(target), tool, { ...preference, ...(node !== undefined && { node }) }))
    })
    .get('/trace', (context) => {
      const target = targetOf(context.req.query('target'))
      const abort = new AbortController()
      const signal = AbortSignal.any([context.req.raw.signal, abort.signal])
      return new Response(
        pullStream(traceLines(mesh.trace(target, { signal })), () => abort.abort()),
        { headers: { 'content-type': 'application/x-ndjson', ...STREAM_HEADERS } }
      )
    })
}

function targetOf(target: string | undefined): string {
  if (target === undefined || target === '')
    throw new MeshError('invalid_argument', 'name a target: ?target=…', { key: 'target' })
  return target
}

/** Text that is no number stays text: who reads it says what it must be. */
function milliseconds(text: string): number | string {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text
}

async function* traceLines(hops: AsyncIterable<TraceHop>): AsyncGenerator<string, void, void> {
  try {
    for await (const hop of hops) yield toLine(hop)
  } catch (error) {
    yield toLine({ error: errorToJson(error) })
  }
}

const toLine = (line: TraceLine) => `${JSON.stringify(line)}\n`
