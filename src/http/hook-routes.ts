import { Hono } from 'hono'
import type { HookFire, Hooks } from '../mesh-api-hooks.ts'
import type { Mesh } from '../mesh-api.ts'
import { refusal } from './errors.ts'
import { readBytes } from './json-body.ts'
import { dropped } from './trigger-routes.ts'

/** Largest body of a request to a hook, in bytes: beside a payload of an event it has room for blanks. */
export const MAX_HOOK_BYTES = 256 * 1024

/** What the server gives with a request; where there is none, nobody knows where it comes from. */
interface Served {
  Bindings: { incoming?: { socket: { remoteAddress?: string } } } | undefined
}

/** `POST /hooks/NAME`: what another program tells, by a secret of its own. Answers as `/trigger` does, and says nothing of who is in the mesh. */
export function hookRoutes({ mesh, hooks }: { mesh: Pick<Mesh, 'fire'>; hooks: Hooks | undefined }): Hono<Served> {
  const fire: HookFire = async (...event) => {
    const { outcome, id, kept, reason } = await mesh.fire(...event)
    const told = { outcome, ...(id !== undefined && { id }), kept, ...(reason !== undefined && { reason }) }
    if (outcome === 'dropped') throw dropped(told)
    return told
  }
  return new Hono<Served>().post('/:name', async (context) => {
    const { raw, path } = context.req
    if (hooks === undefined) throw refusal({ status: 404 }, 'unsupported', `there is nothing at POST ${path}`, { path })
    const request = {
      header: (name: string) => raw.headers.get(name) ?? undefined,
      body: () => readBytes(raw, MAX_HOOK_BYTES),
      from: context.env?.incoming?.socket.remoteAddress
    }
    const answer = await hooks.ask(context.req.param('name'), request, fire)
    if (answer === undefined) throw notShown()
    return context.json(answer, answer.outcome === 'delivered' ? 200 : 202)
  })
}

/** One answer for all that can be wrong: each other one would tell something. */
function notShown(): Error {
  return refusal(
    { status: 401, headers: { 'www-authenticate': 'Bearer realm="atmosphere hook"' } },
    'permission_denied',
    'the request is not accepted: there is no such hook, or it does not show its secret, or one of both has a wrong clock'
  )
}
