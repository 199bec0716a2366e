/** Reads the events of a backend as a node would. */
import type { Backend, TriggerEvent } from '../../src/backends/backend.ts'
import type { JsonObject } from '../../src/core/invoke.ts'
import { until, within } from './contract.ts'

/** Events of a backend from now on. */
export interface Watched {
  readonly events: TriggerEvent[]
  /** The first event that fits and was not given before; fails after a while. */
  next(event: string, fits?: (payload: JsonObject) => boolean): Promise<JsonObject>
  /** Ends `watch`, which must end soon. */
  stop(): Promise<void>
}

/** Starts `watch`. */
export function watchEvents(backend: Backend): Watched {
  const controller = new AbortController()
  const events: TriggerEvent[] = []
  const given = new Set<TriggerEvent>()
  const ended = (async () => {
    for await (const event of backend.watch!(controller.signal)) events.push(event)
  })()
  return {
    events,
    async next(event, fits = () => true) {
      const search = (): TriggerEvent | undefined =>
        events.find((one) => !given.has(one) && one.event === event && fits(one.payload as JsonObject))
      await until(() => search() !== undefined, `event ${event}`)
      const found = search()!
      given.add(found)
      return found.payload as JsonObject
    },
    async stop() {
      controller.abort()
      await within(ended, 'the end of watch')
    }
  }
}
