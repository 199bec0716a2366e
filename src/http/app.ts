/** The local API as one fetch handler: Request in, Response out. It sees the {@link Mesh} type and nothing else of the node. */
import { Hono } from 'hono'
import type { Agents } from '../agents/agents.ts'
import type { Hooks } from '../mesh-api-hooks.ts'
import type { Mesh } from '../mesh-api.ts'
import { PROGRAM } from '../version.ts'
import { agentRoutes } from './agent-routes.ts'
import { callRoutes } from './call-routes.ts'
import { changeRoutes, type MeshChange } from './change-routes.ts'
import { discoverRoutes } from './discover-routes.ts'
import { refusal, errorResponse } from './errors.ts'
import { eventsRoute } from './events-route.ts'
import { hostGuard, tokenGuard, type GuardInit } from './guard.ts'
import { healthRoutes } from './health-routes.ts'
import type { NodeReadings } from './health.ts'
import { hookRoutes } from './hook-routes.ts'
import { mcpErrors } from './mcp/mcp-errors.ts'
import { mcpRoute } from './mcp-route.ts'
import { memberRoutes } from './member-routes.ts'
import { meshRoutes } from './mesh-routes.ts'
import { openAiErrors } from './openai/openai-errors.ts'
import { openAiRoutes } from './openai/routes.ts'
import { openApiRoutes } from './openapi-routes.ts'
import { queryGuard } from './query.ts'
import { exampleRoutes } from './example-routes.ts'
import { routeRoutes } from './route-routes.ts'
import { deadLetterRoutes, fireRoute, outboxRoutes } from './trigger-routes.ts'
import { treatyRoutes } from './treaty-routes.ts'

/** What the local API is built from. */
export interface AppInit extends GuardInit {
  mesh: Mesh
  /** Those of the node. Default: it has none. */
  agents?: Agents
  /** Those of its backends. Default: none. */
  hooks?: Hooks
  /** Stops the node, after the answer; default: `mesh.stop()`. */
  stop?: () => void
  /** Changes the mesh of the node. Default: it cannot. */
  change?: MeshChange
  /** What the process is like. Default: nothing is said of it. */
  readings?: () => Promise<NodeReadings>
  /** Ends the event streams when the server closes. */
  closing?: AbortSignal
  /** Time between heartbeats of an event stream in ms. */
  heartbeatMs?: number
}

/** Anything that answers a request, as of the Fetch standard. @param served what the server knows of it beside. */
export type FetchHandler = (request: Request, served?: object) => Response | Promise<Response>

/** Those that the local API answers. */
const METHODS = ['GET', 'POST', 'PUT', 'DELETE'] as const

/** Builds the local API, as a fetch handler. See {@link createRouter}. */
export function createApp(init: AppInit): FetchHandler {
  const app = createRouter(init)
  return (request, served) => app.fetch(request, served)
}

/** Builds the routes of the local API. Every answer is JSON or a stream of it; every error has the shape `{"error":{"code","message","details"}}`, those of `/v1` and `/mcp` that of their clients. */
export function createRouter(init: AppInit): Hono {
  const { mesh, closing, heartbeatMs } = init
  const stop = init.stop ?? (() => void mesh.stop())
  const app = new Hono()
  app.onError((error) => errorResponse(error))
  app.notFound(({ req: { method, path } }) => {
    // RFC 9110, 15.5.6: what is there answers other methods.
    const allow = METHODS.filter((one) => app.router.match(one, path)[0].some(([[, route]]) => route.method === one))
    if (allow.length === 0)
      return errorResponse(refusal({ status: 404 }, 'unsupported', `there is nothing at ${method} ${path}`, { path }))
    const init = { status: 405, headers: { allow: allow.join(', ') } }
    return errorResponse(refusal(init, 'unsupported', `${path} takes ${allow.join(' and ')}, not ${method}`, { path, allow }))
  })
  app.use(async (context, next) => {
    await next()
    // Its body goes nowhere: a stream would never be told.
    if (context.req.method === 'HEAD') await context.res.body?.cancel()
    context.res.headers.set('x-content-type-options', 'nosniff')
    context.res.headers.set('server', PROGRAM)
  })
  app.use('/v1/*', openAiErrors())
  app.use('/mcp/*', mcpErrors())
  app.use(hostGuard(init))
  // For supervisors and load balancers, which may add a parameter against caches: says that the process answers, and nothing about it.
  app.get('/health', (context) => context.json({ status: 'ok' }))
  app.route('/', openApiRoutes())
  // Each hook has a secret of its own.
  app.route('/hooks', hookRoutes({ mesh, hooks: init.hooks }))
  app.use(tokenGuard(init))
  app.use(queryGuard())
  app.route('/health', healthRoutes({ mesh, readings: init.readings }))
  app.route('/discover', discoverRoutes({ mesh }))
  app.route('/mesh', meshRoutes({ mesh, stop }))
  app.route('/mesh', memberRoutes({ mesh }))
  app.route('/mesh', routeRoutes({ mesh }))
  app.route('/mesh', exampleRoutes({ mesh }))
  app.route('/mesh', treatyRoutes({ mesh }))
  app.route('/mesh', agentRoutes({ mesh, agents: init.agents }))
  app.route('/mesh', changeRoutes({ change: init.change }))
  app.route('/mesh', eventsRoute({ mesh, heartbeatMs, closing }))
  app.route('/mesh', outboxRoutes({ mesh }))
  app.route('/mesh', deadLetterRoutes({ mesh }))
  app.route('/capabilities', callRoutes({ mesh }))
  app.route('/v1', openAiRoutes({ mesh }))
  app.route('/trigger', fireRoute({ mesh }))
  app.route('/mcp', mcpRoute({ mesh, closing }))
  return app
}
