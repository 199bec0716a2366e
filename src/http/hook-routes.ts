import { Hono } from 'hono'
import { isMeshError } from '../errors.ts'
import type { Hooks } from '../mesh-api-hooks.ts'
import type { Mesh } from '../mesh-api.ts'
import { refusal } from './errors.ts'
import { readBytes } from './json-body.ts'
import { dropped } from './trigger-routes.ts'

/** Largest body of a request to a hook, in bytes: beside a payload of an event it has room for blanks. */
export const MAX_HOOK_BYTES = 256 * 1024

/** `POST /hooks/NAME`: what another program tells, by a secret of its own. Answers as `/trigger` does, and says nothing of who is in the mesh. */
export function hookRoutes({ mesh, hooks }: { mesh: Pick<Mesh, 'fire'>; hooks: Hooks | undefined }): Hono {
  return new Hono().post('/:name', async (context) => {
    const { raw, path } = context.req
    const hook = hooks?.find(context.req.param('name'))
    if (hook === undefined) throw refusal({ status: 404 }, 'unsupported', `there is nothing at POST ${path}`, { path })
    const body = await readBytes(raw, MAX_HOOK_BYTES)
    const request = { body, header: (name: string) => raw.headers.get(name) ?? undefined }
    const answer = await hook(request, (...event) => mesh.fire(...event)).catch((error: unknown) => {
      throw withHeaders(error)
    })
    if (answer.outcome === 'dropped') throw dropped(answer)
    return context.json(answer, answer.outcome === 'delivered' ? 200 : 202)
  })
}

/** Programs read the status and headers, not what the error says. */
function withHeaders(error: unknown): unknown {
  if (!isMeshError(error)) return error
  const { code, message, details } = error
  if (code === 'permission_denied')
    return refusal({ status: 401, headers: { 'www-authenticate': 'Bearer realm="atmosphere hook"' } }, code, message, details)
  const { retryAfterMs } = details
  if (code !== 'busy' || typeof retryAfterMs !== 'number') return error
  return refusal({ status: 429, headers: { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) } }, code, message, details)
}
