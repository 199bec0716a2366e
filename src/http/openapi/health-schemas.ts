/** What `/health/detailed` answers. */
import { BACKEND, CALLS } from './mesh-schemas.ts'
import { count, flag, list, mapOf, number, object, oneOf, text, type Schema } from './schema.ts'

const HealthPart = { status: oneOf(['ok', 'degraded', 'failing']), 'reason?': text('Why it is not `ok`.') }
const Health = object({
  status: oneOf(['ok', 'degraded', 'failing'], 'That of the worst part.'),
  parts: object({
    membership: object(HealthPart),
    transports: object({ ...HealthPart, listens: count(), connections: mapOf(count(), 'With how many nodes, by transport.') }),
    network: object({ ...HealthPart, state: text() }),
    backends: object({ ...HealthPart, backends: list(BACKEND) }),
    events: object({
      ...HealthPart,
      outbox: count('Events of this node that are not done.'),
      inbox: count('Events that it has accepted and not done.'),
      deadLetters: count()
    }),
    calls: object({ ...HealthPart, ...CALLS }),
    'eventLoop?': object({
      ...HealthPart,
      lagMs: number('How late timers run.'),
      utilization: number('How much of the time since the last reading it was at work, 0 to 1.')
    }),
    'memory?': object({ ...HealthPart, rssBytes: number(), heapUsedBytes: number(), heapLimitBytes: number() }),
    'disk?': object({ ...HealthPart, writable: flag(), freeBytes: number() })
  })
})

/** By its name. */
export const HEALTH_SCHEMAS: Record<string, Schema> = { Health }
