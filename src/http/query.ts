/** Query parameters of the local API: which route takes which, and the one place where all others are refused. */
import type { MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import { MeshError } from '../errors.ts'
import type { CapabilityQuery } from '../mesh-api.ts'
import { refuseUnknownKeys } from './json-body.ts'
import { PREFERENCE_KEYS } from './preference.ts'

/** Routes that take parameters. What does not stand here takes none: a new route need not think of it. */
const PARAMETERS: Record<string, readonly string[]> = {
  'GET /mesh/capabilities': [
    'id',
    'type',
    'domain',
    'tool',
    'trigger',
    'text',
    'node',
    'status'
  ] satisfies (keyof CapabilityQuery)[],
  'GET /mesh/events': ['filter', 'events', 'sources'],
  'GET /mesh/meaning': ['text', 'tool', 'type'],
  'GET /mesh/route': ['target', 'tool', 'node', ...PREFERENCE_KEYS],
  'GET /mesh/trace': ['target'],
  ...Object.fromEntries(['GET', 'POST', 'DELETE'].map((method) => [`${method} /mcp`, ['tools', 'timeoutMs']])),
  'POST /trigger/:capability/:event': ['waitMs']
}

/** Parameters that may be given several times. Of two values of any other one would be lost without a word. */
const LISTS: readonly string[] = ['notNode']

/** Refuses parameters that the route does not know, as `invalid_argument` that names those that it does. */
export function queryGuard(): MiddlewareHandler {
  return async (context, next) => {
    // A middleware is of all methods; where there is nothing else, there is nothing to take parameters.
    const route = matchedRoutes(context).findLast(({ method }) => method !== 'ALL')
    if (route !== undefined) {
      // Not the object that Hono makes of them: names such as `constructor` get lost there.
      const given = [...new URL(context.req.url).searchParams.keys()]
      refuseUnknownKeys('query parameter', given, PARAMETERS[`${route.method} ${route.path}`] ?? [])
      const twice = given.find((key, at) => given.indexOf(key) !== at && !LISTS.includes(key))
      if (twice !== undefined) throw new MeshError('invalid_argument', `give ${twice} once`, { key: twice })
    }
    await next()
  }
}
