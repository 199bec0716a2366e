import { Hono } from 'hono'
import type { JsonObject } from '../../protocols/json.ts'
import { MAX_TREATY_CODE_LENGTH } from '../../protocols/treaty/code.ts'
import { MAX_TREATY_REASON } from '../../protocols/treaty/messages.ts'
import { MeshError } from '../errors.ts'
import type { Mesh, TreatyOffer } from '../mesh-api.ts'
import { isTexts, readJsonObject, refuseUnknownKeys } from './json-body.ts'

/** `/mesh/treaties`: treaties with other meshes. */
export function treatyRoutes({ mesh }: { mesh: Mesh }): Hono {
  const { treaties } = mesh
  return new Hono()
    .get('/treaties', (context) => context.json({ mesh: mesh.status().mesh, treaties: treaties.list() }))
    .post('/treaties', async (context) => context.json(await treaties.accept(await codeOf(context.req.raw)), 201))
    .post('/treaties/show', async (context) => context.json(await treaties.show(await codeOf(context.req.raw))))
    .post('/treaties/offers', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['mesh', 'name', 'lends', 'borrows', 'forMs'])
      return context.json(await treaties.offer(offerOf(body)), 201)
    })
    .post('/treaties/revocations', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['treaty', 'reason'])
      const { treaty, reason = '' } = body
      if (typeof treaty !== 'string')
        throw new MeshError('invalid_argument', 'treaty must be a serial number, or the name of a mesh', { key: 'treaty' })
      if (typeof reason !== 'string' || reason.length > MAX_TREATY_REASON)
        throw new MeshError('invalid_argument', `reason must be a text of at most ${MAX_TREATY_REASON} characters`, {
          key: 'reason'
        })
      return context.json(await treaties.revoke(treaty, reason), 201)
    })
}

async function codeOf(request: Request): Promise<string> {
  const body = await readJsonObject(request)
  refuseUnknownKeys('key', Object.keys(body), ['code'])
  const { code } = body
  if (typeof code !== 'string' || code.length > MAX_TREATY_CODE_LENGTH)
    throw new MeshError('invalid_argument', 'code must be that of a treaty', { key: 'code' })
  return code
}

function offerOf({ mesh, name, lends, borrows, forMs }: JsonObject): TreatyOffer {
  const wrong = (key: string, want: string): never => {
    throw new MeshError('invalid_argument', `${key} must be ${want}`, { key })
  }
  if (typeof mesh !== 'string') return wrong('mesh', 'the id of a mesh')
  if (name !== undefined && typeof name !== 'string') return wrong('name', 'a text')
  if (lends !== undefined && !isTexts(lends)) return wrong('lends', 'a list of globs over types')
  if (borrows !== undefined && !isTexts(borrows)) return wrong('borrows', 'a list of globs over types')
  if (forMs !== undefined && typeof forMs !== 'number') return wrong('forMs', 'a number')
  return {
    mesh,
    ...(name !== undefined && { name }),
    ...(lends !== undefined && { lends }),
    ...(borrows !== undefined && { borrows }),
    ...(forMs !== undefined && { forMs })
  }
}
