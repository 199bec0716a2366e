import { Hono } from 'hono'
import { MeshError } from '../errors.ts'
import type { Mesh } from '../mesh-api.ts'
import { capabilityQuery } from './discover-routes.ts'
import { readJsonObject, refuseUnknownKeys } from './json-body.ts'
import { topologyOf } from './topology.ts'

/** What the mesh routes need beside the node. */
export interface MeshRoutesInit {
  mesh: Mesh
  /** Stops the node after the answer has been given. Must not throw. */
  stop: () => void
}

/** `/mesh/status`, `/mesh/nodes`, `/mesh/topology`, `/mesh/capabilities`, `/mesh/stop`. */
export function meshRoutes({ mesh, stop }: MeshRoutesInit): Hono {
  return new Hono()
    .get('/status', (context) => context.json(mesh.status()))
    .get('/nodes', (context) => context.json({ nodes: mesh.peers() }))
    .post('/nodes', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['multiaddr'])
      if (typeof body['multiaddr'] !== 'string')
        throw new MeshError('invalid_argument', 'multiaddr must be a string', { key: 'multiaddr' })
      await mesh.addPeer(body['multiaddr'], { signal: context.req.raw.signal })
      return context.json({ added: body['multiaddr'] })
    })
    .get('/topology', (context) => {
      const own = mesh.capabilities().flatMap(({ local, id }) => (local ? [id] : []))
      return context.json(topologyOf(mesh.status(), mesh.peers(), own))
    })
    .get('/capabilities', (context) => context.json({ capabilities: mesh.capabilities(capabilityQuery(context.req.query())) }))
    .post('/stop', async (context) => {
      refuseUnknownKeys('key', Object.keys(await readJsonObject(context.req.raw)), [])
      stop()
      return context.json({ stopping: true }, 202)
    })
}
