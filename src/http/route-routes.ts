import { Hono } from 'hono'
import { MeshError, errorToJson, isMeshError } from '../errors.ts'
import type { Explanation, Mesh, TraceHop, Understanding } from '../mesh-api.ts'
import { readPreference } from './preference.ts'
import { STREAM_HEADERS, pullStream } from './pull-stream.ts'

/** A line of a trace. An error is the last one: the way ended before the node. */
export type TraceLine = TraceHop | { error: ReturnType<typeof errorToJson> }

/** Why a call would go where; `meaning` where the target was words. */
export type RouteAnswer = Explanation & { meaning?: Understanding }

/**
 * `GET /mesh/routes`, `GET /mesh/route?target=`, whose target may be words, `GET /mesh/meaning?text=`, and `GET /mesh/trace?target=`, which answers one JSON object a line, each as soon as
 * its hop has answered. A client that goes cancels the trace.
 */
export function routeRoutes({ mesh }: { mesh: Mesh }): Hono {
  return new Hono()
    .get('/routes', (context) => context.json(mesh.routes()))
    .get('/meaning', async (context) => {
      const { text = '', tool, type } = context.req.query()
      const { signal } = context.req.raw
      return context.json(
        await mesh.understand(text, { signal, ...(tool !== undefined && { tool }), ...(type !== undefined && { type }) })
      )
    })
    .get('/route', async (context) => {
      const { target, tool, node, prefer, maxLatencyMs } = context.req.query()
      const notNode = context.req.queries('notNode')
      const preference = readPreference({ prefer, notNode, node, maxLatencyMs: maxLatencyMs && milliseconds(maxLatencyMs) })
      const place = { ...preference, ...(node !== undefined && { node }) }
      const explain = (of: string, ids?: string[]): Explanation => mesh.explain(of, tool, { ...place, ...(ids && { ids }) })
      return context.json(await explainTarget(mesh, explain, targetOf(target), { tool, signal: context.req.raw.signal }))
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

/** A name, or else what the words mean. */
async function explainTarget(
  mesh: Mesh,
  explain: (target: string, ids?: string[]) => Explanation,
  target: string,
  { tool, signal }: { tool: string | undefined; signal: AbortSignal }
): Promise<RouteAnswer> {
  try {
    return explain(target)
  } catch (error) {
    if (!isMeshError(error, 'unknown_capability')) throw error
    const meaning = await mesh.understand(target, { signal, ...(tool !== undefined && { tool }) })
    const { outcome, matches, text } = meaning
    const ids = [...new Set(matches.map(({ capability }) => capability))]
    if (outcome === 'none') throw isName(target) || error.details['near'] !== undefined ? error : meantByNone(meaning, ids)
    if (outcome === 'ambiguous')
      throw new MeshError('ambiguous', `${quoted(meaning)} may mean ${ids.join(' or ')}; name one of them, or say more`, {
        target: text,
        matches
      })
    // Of several it is one of these that does it, not another of their type.
    return { ...(ids.length === 1 ? explain(ids[0]!) : explain(matches[0]!.type, ids)), target: text, meaning }
  }
}

/** As ids and types look, perhaps with a node: who says something else has not mistyped a name. */
function isName(target: string): boolean {
  const at = target.lastIndexOf('@')
  return /^[a-z0-9][a-z0-9._:/-]*$/.test(at > 0 ? target.slice(0, at) : target)
}

/** What was asked, as far as it is said again. */
function quoted({ text, characters }: Understanding): string {
  return `"${text}${characters > text.length ? '…' : ''}"`
}

function meantByNone(meaning: Understanding, ids: readonly string[]): MeshError {
  const { text, matches } = meaning
  const near = ids.length === 0 ? '' : `; what comes nearest is ${ids.join(', ')}, and not near enough`
  const message = `no capability is meant by ${quoted(meaning)}${near}. Say it in other words, as the descriptions and examples of \`atmo capabilities\` do, or name one of them`
  return new MeshError('unknown_capability', message, { target: text, matches })
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
