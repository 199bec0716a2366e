import { Hono } from 'hono'
import { ROLES } from '../../protocols/member/messages.ts'
import { MAX_REASON } from '../../protocols/member/revocation.ts'
import { MeshError } from '../errors.ts'
import type { InviteOptions, Mesh } from '../mesh-api.ts'
import { isTexts, readJsonObject, refuseUnknownKeys } from './json-body.ts'

/** `/mesh/members`, `/mesh/invites`, `/mesh/door`, `/mesh/revocations`, `/mesh/rotations`, `/mesh/approvals`, `/mesh/descriptors/accept`. */
export function memberRoutes({ mesh }: { mesh: Mesh }): Hono {
  return new Hono()
    .get('/members', (context) => context.json({ mesh: mesh.status().mesh, members: mesh.members() }))
    .post('/invites', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['role', 'forward', 'tags'])
      return context.json(mesh.invite(inviteOptions(body)), 201)
    })
    .post('/door', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['role', 'forward', 'tags'])
      return context.json(mesh.openDoor(inviteOptions(body)), 201)
    })
    .get('/approvals', (context) => context.json({ approvals: mesh.approvals() }))
    .get('/approvals/:id', (context) => context.json(mesh.approval(context.req.param('id'))))
    .post('/approvals/:id', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['allow', 'forMs'])
      const { allow, forMs } = body
      if (typeof allow !== 'boolean') throw new MeshError('invalid_argument', 'allow must be true or false', { key: 'allow' })
      if (forMs !== undefined && typeof forMs !== 'number')
        throw new MeshError('invalid_argument', 'forMs must be a number', { key: 'forMs' })
      return context.json(mesh.approve(context.req.param('id'), allow, forMs === undefined ? {} : { forMs }))
    })
    .post('/descriptors/accept', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['node', 'capability', 'hash'])
      const { node, capability, hash } = body
      if (typeof node !== 'string') throw new MeshError('invalid_argument', 'node must be a name or a PeerId', { key: 'node' })
      if (typeof capability !== 'string')
        throw new MeshError('invalid_argument', 'capability must be an id', { key: 'capability' })
      if (hash !== undefined && typeof hash !== 'string')
        throw new MeshError('invalid_argument', 'hash must be a text', { key: 'hash' })
      return context.json(mesh.acceptDescriptor(node, capability, { hash }))
    })
    .post('/rotations', async (context) => {
      refuseUnknownKeys('key', Object.keys(await readJsonObject(context.req.raw)), [])
      return context.json(await mesh.rotate(), 201)
    })
    .post('/revocations', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['node', 'reason'])
      const { node, reason = '' } = body
      if (typeof node !== 'string') throw new MeshError('invalid_argument', 'node must be a name or a PeerId', { key: 'node' })
      if (typeof reason !== 'string' || reason.length > MAX_REASON)
        throw new MeshError('invalid_argument', `reason must be a text of at most ${MAX_REASON} characters`, { key: 'reason' })
      return context.json(await mesh.revoke(node, reason), 201)
    })
}

function inviteOptions({ role, forward, tags }: Record<string, unknown>): InviteOptions {
  const known = ROLES.find((one) => one === role)
  if (role !== undefined && known === undefined)
    throw new MeshError('invalid_argument', `role must be one of ${ROLES.join(', ')}`, { key: 'role' })
  if (forward !== undefined && typeof forward !== 'boolean')
    throw new MeshError('invalid_argument', 'forward must be true or false', { key: 'forward' })
  if (tags !== undefined && !isTexts(tags))
    throw new MeshError('invalid_argument', 'tags must be a list of texts', { key: 'tags' })
  return {
    ...(known !== undefined && { role: known }),
    ...(forward !== undefined && { forward }),
    ...(tags !== undefined && { tags })
  }
}
