import { Hono } from 'hono'
import { CAPABILITY_STATUSES } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { CapabilityQuery, Mesh } from '../mesh-api.ts'
import { readJsonObject, refuseUnknownKeys } from './json-body.ts'

/** What the mesh routes need beside the node. */
export interface MeshRoutesInit {
  mesh: Mesh
  /** Stops the node after the answer has been given. Must not throw. */
  stop: () => void
}

/** `/mesh/status`, `/mesh/peers`, `/mesh/capabilities`, `/mesh/stop`. */
export function meshRoutes({ mesh, stop }: MeshRoutesInit): Hono {
  return new Hono()
    .get('/status', (context) => context.json(mesh.status()))
    .get('/peers', (context) => context.json({ peers: mesh.peers() }))
    .post('/peers', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['multiaddr'])
      if (typeof body['multiaddr'] !== 'string')
        throw new MeshError('invalid_argument', 'multiaddr must be a string', { key: 'multiaddr' })
      await mesh.addPeer(body['multiaddr'], { signal: context.req.raw.signal })
      return context.json({ added: body['multiaddr'] })
    })
    .get('/capabilities', (context) => context.json({ capabilities: mesh.capabilities(capabilityQuery(context.req.query())) }))
    .post('/stop', async (context) => {
      refuseUnknownKeys('key', Object.keys(await readJsonObject(context.req.raw)), [])
      stop()
      return context.json({ stopping: true }, 202)
    })
}

function capabilityQuery(given: Record<string, string>): CapabilityQuery {
  const { status, ...query } = given
  if (status === undefined) return query
  const known = CAPABILITY_STATUSES.find((one) => one === status)
  if (!known)
    throw new MeshError('invalid_argument', `status must be one of ${CAPABILITY_STATUSES.join(', ')}`, { key: 'status' })
  return { ...query, status: known }
}
