import { Hono } from 'hono'
import { CAPABILITY_STATUSES } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { CapabilityQuery, CapabilityView, Mesh, Understanding } from '../mesh-api.ts'
import { readJsonObject, refuseUnknownKeys } from './json-body.ts'

/** What capabilities are looked for by. */
export const CAPABILITY_KEYS = [
  'id',
  'type',
  'domain',
  'tool',
  'trigger',
  'text',
  'keyword',
  'node',
  'status'
] as const satisfies (keyof CapabilityQuery)[]

/** Answer of `/discover`. */
export interface Discovered {
  /** Those that fit; with `words` those that may be meant, the best first. */
  capabilities: CapabilityView[]
  /** What the words mean, if there were any. */
  meaning?: Understanding
}

/**
 * `/discover`: what `GET /mesh/capabilities` finds, and with `words` what of it a request in words means, as `GET /mesh/meaning` says. The query may be in the
 * address, or in the body where it is too long for that.
 */
export function discoverRoutes({ mesh }: { mesh: Pick<Mesh, 'capabilities' | 'understand'> }): Hono {
  return new Hono()
    .get('/', async ({ req, json }) => json(await discover(mesh, req.query(), req.raw.signal)))
    .post('/', async ({ req, json }) => json(await discover(mesh, await textsOf(req.raw), req.raw.signal)))
}

/** @throws MeshError `invalid_argument`. */
export function capabilityQuery(given: Record<string, string>): CapabilityQuery {
  const { status, ...query } = given
  if (status === undefined) return query
  const known = CAPABILITY_STATUSES.find((one) => one === status)
  if (!known)
    throw new MeshError('invalid_argument', `status must be one of ${CAPABILITY_STATUSES.join(', ')}`, { key: 'status' })
  return { ...query, status: known }
}

async function discover(
  mesh: Pick<Mesh, 'capabilities' | 'understand'>,
  { words, ...given }: Record<string, string>,
  signal: AbortSignal
): Promise<Discovered> {
  const query = capabilityQuery(given)
  const fitting = mesh.capabilities(query)
  if (words === undefined) return { capabilities: fitting }
  if (words.trim() === '') throw new MeshError('invalid_argument', 'say what is wanted, in words', { key: 'words' })
  const { tool, type } = query
  const meaning = await mesh.understand(words, {
    signal,
    ...(tool !== undefined && { tool }),
    ...(type !== undefined && { type })
  })
  const placeOf = (id: string): number => meaning.matches.findIndex(({ capability }) => capability === id)
  const isMeant = meaning.outcome !== 'none'
  return {
    capabilities: isMeant ? fitting.filter(({ id }) => placeOf(id) >= 0).sort((a, b) => placeOf(a.id) - placeOf(b.id)) : [],
    meaning
  }
}

async function textsOf(request: Request): Promise<Record<string, string>> {
  const body = await readJsonObject(request)
  refuseUnknownKeys('key', Object.keys(body), ['words', ...CAPABILITY_KEYS])
  for (const [key, value] of Object.entries(body))
    if (typeof value !== 'string') throw new MeshError('invalid_argument', `${key} must be a text`, { key })
  return body as Record<string, string>
}
