import { Hono } from 'hono'
import type { Mesh } from '../mesh-api.ts'
import { healthOf, type NodeReadings } from './health.ts'

/** What the route needs. */
export interface HealthRoutesInit {
  mesh: Mesh
  /** Default: nothing is said of the process. */
  readings: (() => Promise<NodeReadings>) | undefined
}

/** `GET /health/detailed`: the state of each part; 503 if one is failing, for those that look at the status alone. */
export function healthRoutes({ mesh, readings }: HealthRoutesInit): Hono {
  return new Hono().get('/detailed', async (context) => {
    const health = healthOf(mesh, await readings?.())
    return context.json(health, health.status === 'failing' ? 503 : 200)
  })
}
