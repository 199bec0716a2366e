/** Query parameters of the local API: the one place where those are refused that a route does not take. */
import type { MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import { MeshError } from '../errors.ts'
import { refuseUnknownKeys } from './json-body.ts'
import { OPERATIONS, routeOf } from './openapi/operations.ts'

/** Parameters of each route, as the document has them. What does not stand there takes none. */
const PARAMETERS = new Map(OPERATIONS.map((operation) => [routeOf(operation), Object.keys(operation.query ?? {})]))

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
      refuseUnknownKeys('query parameter', given, PARAMETERS.get(`${route.method} ${route.path}`) ?? [])
      const twice = given.find((key, at) => given.indexOf(key) !== at && !LISTS.includes(key))
      if (twice !== undefined) throw new MeshError('invalid_argument', `give ${twice} once`, { key: twice })
    }
    await next()
  }
}
