import { Hono } from 'hono'
import { MeshError } from '../errors.ts'
import { readJsonObject, refuseUnknownKeys } from './json-body.ts'

/** Another mesh for the node that runs, which starts anew in it after the answer has been given. */
export interface MeshChange {
  /** @param obtained what a member of that mesh gave this node. @throws MeshError `conflict` if it has to leave another one first, `invalid_config` if what was given is damaged. */
  enter(obtained: { state: string; peer: { id: string; address: string } }): Promise<{ id: string; name: string }>
  /** @param force also if this node is the only owner. @throws MeshError `conflict`. */
  leave(force: boolean): Promise<{ id: string; name: string }>
}

/** `/mesh/enter`, `/mesh/leave`: for `atmo join` and `atmo leave` beside a node that runs. */
export function changeRoutes({ change }: { change: MeshChange | undefined }): Hono {
  const changeable = (): MeshChange => {
    if (change === undefined) throw new MeshError('unsupported', 'this node does not change its mesh while it runs')
    return change
  }
  return new Hono()
    .post('/enter', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['state', 'peer'])
      const { state, peer } = body
      const { id, address } = (peer ?? {}) as Record<string, unknown>
      if (typeof state !== 'string' || typeof id !== 'string' || typeof address !== 'string')
        throw new MeshError('invalid_argument', 'state must be a text, and peer say id and address')
      return context.json(await changeable().enter({ state, peer: { id, address } }), 202)
    })
    .post('/leave', async (context) => {
      const body = await readJsonObject(context.req.raw)
      refuseUnknownKeys('key', Object.keys(body), ['force'])
      if (body['force'] !== undefined && typeof body['force'] !== 'boolean')
        throw new MeshError('invalid_argument', 'force must be true or false', { key: 'force' })
      return context.json(await changeable().leave(body['force'] === true), 202)
    })
}
