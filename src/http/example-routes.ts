import { Hono } from 'hono'
import { MeshError } from '../errors.ts'
import type { Mesh } from '../mesh-api.ts'
import { readJsonObject, refuseUnknownKeys } from './json-body.ts'

/** Largest body of a new example, in bytes: its text is far shorter. */
const MAX_EXAMPLE_BYTES = 64 * 1024

/** `/mesh/meaning/examples`: what this node has learned of what words mean. */
export function exampleRoutes({ mesh: { examples } }: { mesh: Pick<Mesh, 'examples'> }): Hono {
  return new Hono()
    .get('/meaning/examples', (context) => context.json(examples.list()))
    .post('/meaning/examples', async (context) => {
      const body = await readJsonObject(context.req.raw, MAX_EXAMPLE_BYTES)
      refuseUnknownKeys('key', Object.keys(body), ['text', 'capability'])
      const { text, capability } = body
      for (const [key, value] of Object.entries({ text, capability }))
        if (typeof value !== 'string') throw new MeshError('invalid_argument', `${key} must be a string`, { key })
      return context.json(await examples.learn(text as string, capability as string), 201)
    })
    .delete('/meaning/examples', async (context) => {
      const { capability, text } = context.req.query()
      const which = { ...(capability !== undefined && { capability }), ...(text !== undefined && { text }) }
      return context.json({ forgotten: await examples.forget(which) })
    })
}
