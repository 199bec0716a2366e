import { Hono } from 'hono'
import { ROLES } from '../../protocols/member/messages.ts'
import { MeshError } from '../errors.ts'
import type { InviteOptions, Mesh } from '../mesh-api.ts'
import { readJsonObject, refuseUnknownKeys } from './json-body.ts'

/** `/mesh/members`, `/mesh/invites`. */
export function memberRoutes({ mesh }: { mesh: Mesh }): Hono {
  return new Hono()
    .get('/members', (context) => context.json({ mesh: mesh.status().mesh, members: mesh.members() }))
    .post('/invites', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['role', 'forward'])
      return context.json(mesh.invite(inviteOptions(body)), 201)
    })
}

function inviteOptions({ role, forward }: Record<string, unknown>): InviteOptions {
  const known = ROLES.find((one) => one === role)
  if (role !== undefined && known === undefined)
    throw new MeshError('invalid_argument', `role must be one of ${ROLES.join(', ')}`, { key: 'role' })
  if (forward !== undefined && typeof forward !== 'boolean')
    throw new MeshError('invalid_argument', 'forward must be true or false', { key: 'forward' })
  return { ...(known !== undefined && { role: known }), ...(forward !== undefined && { forward }) }
}
