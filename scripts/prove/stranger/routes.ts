import type { Mesh } from '../../../src/mesh-api.ts'
import { callRoutes } from '../../../src/http/call-routes.ts'
import { eventsRoute } from '../../../src/http/events-route.ts'
import { memberRoutes } from '../../../src/http/member-routes.ts'
import { meshRoutes } from '../../../src/http/mesh-routes.ts'

/** A route of the local API with its parameters filled in. */
export interface Route {
  method: string
  path: string
}

/** Every route of the local API that needs a token, read from the API itself. */
export function apiRoutes(): Route[] {
  // Only asked for its routes; nothing is called.
  const mesh = {} as Mesh
  const groups = [
    ['/mesh', meshRoutes({ mesh, stop: () => undefined })],
    ['/mesh', memberRoutes({ mesh })],
    ['/mesh', eventsRoute({ mesh })],
    ['/capabilities', callRoutes({ mesh })]
  ] as const
  return groups.flatMap(([base, app]) =>
    app.routes.map(({ method, path }) => ({ method, path: `${base}${path}`.replace(/:\w+/g, 'x') }))
  )
}

/** Ways to come without the token. */
export const CREDENTIALS: Record<string, string>[] = [
  {},
  { authorization: `Bearer ${'A'.repeat(43)}` },
  { authorization: `Basic ${Buffer.from('admin:admin').toString('base64')}` },
  { origin: 'http://stranger.example' },
  { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' },
  { host: 'stranger.example' }
]
