import { Hono } from 'hono'
import { ERROR_CODES, MeshError } from '../errors.ts'
import type { FireView, Mesh } from '../mesh-api.ts'
import { refusal } from './errors.ts'
import { IDEMPOTENCY_KEY, idempotencyKeyOf } from './idempotency-key.ts'
import { readJsonIfAny } from './json-body.ts'

/** Longest time that a request may wait for a handler, in ms. */
export const MAX_WAIT_MS = 60_000
/** Reasons for which the same may go well later. */
const LATER: readonly string[] = ['full', 'unanswered', 'expired', 'busy', 'unavailable']

/** In words, where the name does not say enough. */
const REASONS: Readonly<Record<string, string>> = {
  full: 'there is no room for it (full): atmo events shows what waits',
  no_route: 'its trigger has no routeHint, and this node has no default sink (events.sink)'
}

/** `POST /trigger/CAPABILITY/EVENT`: the body is the payload, any JSON, or none: then it is null; with the header `Idempotency-Key` it is fired once. 200: a handler has it; 202: it waits for one, or goes with others. */
export function fireRoute({ mesh }: { mesh: Mesh }): Hono {
  return new Hono().post('/:capability/:event', async (context) => {
    const { capability, event } = context.req.param()
    const waitMs = waitOf(context.req.query('waitMs'))
    const key = idempotencyKeyOf(context.req.header(IDEMPOTENCY_KEY))
    const payload = await readJsonIfAny(context.req.raw)
    const options = { ...(waitMs !== undefined && { waitMs }), ...(key !== undefined && { key }) }
    const view = await mesh.fire(capability, event, payload ?? null, options)
    if (view.outcome === 'dropped') throw dropped(view)
    return context.json(view, view.outcome === 'delivered' ? 200 : 202)
  })
}

/** `/mesh/outbox`: events of this node that are not done. */
export function outboxRoutes({ mesh }: { mesh: Mesh }): Hono {
  return new Hono()
    .get('/outbox', (context) => context.json(mesh.waitingEvents()))
    .delete('/outbox/:id', (context) => {
      const id = context.req.param('id')
      mesh.discardEvent(id)
      return context.json({ id })
    })
}

/** `/mesh/dead-letters`: events that nobody did. */
export function deadLetterRoutes({ mesh }: { mesh: Mesh }): Hono {
  return new Hono()
    .get('/dead-letters', (context) => context.json({ letters: mesh.deadLetters() }))
    .post('/dead-letters/:id/replay', (context) => {
      const id = context.req.param('id')
      mesh.replayDeadLetter(id)
      return context.json({ id })
    })
    .delete('/dead-letters/:id', (context) => {
      const id = context.req.param('id')
      mesh.discardDeadLetter(id)
      return context.json({ id })
    })
}

/** An event that goes nowhere is a failure of the request, and says so. */
export function dropped({ reason = 'unknown', ...view }: Pick<FireView, 'reason'> & Partial<FireView>): MeshError {
  const isLater = LATER.includes(reason)
  const { tried = [] } = view
  // What a handler says of an event is not what this node says of the request.
  const isRefused = tried.length > 0 && Object.hasOwn(ERROR_CODES, reason)
  const message = isRefused
    ? `the event is refused by ${tried.join(', ')} (${reason}); atmo dead-letters shows what was said`
    : `the event goes nowhere: ${REASONS[reason] ?? reason}`
  return refusal({ status: isLater ? 503 : 409 }, isLater ? 'unavailable' : 'conflict', message, { ...view, reason })
}

function waitOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const waitMs = Number(text)
  if (text.trim() === '' || !(waitMs >= 0 && waitMs <= MAX_WAIT_MS))
    throw new MeshError('invalid_argument', `waitMs must be 0 to ${MAX_WAIT_MS}`, { key: 'waitMs' })
  return waitMs
}
