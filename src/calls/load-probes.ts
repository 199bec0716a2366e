import { Cancellation } from '../core/cancellation.ts'
import type { Candidate } from '../core/dispatch/candidate.ts'
import type { Dispatcher } from '../core/dispatch/dispatcher.ts'
import { rttOf } from '../core/dispatch/expected-time.ts'
import type { Invoke } from '../core/invoke.ts'
import { hasWay, type Provider } from '../core/provider-classes.ts'
import { MeshError } from '../errors.ts'

/** A call waits at most this long for answers to its probes, in ms. */
export const MAX_PROBE_WAIT_MS = 50
/** What an answer takes beside the round trip, in ms. */
const ANSWER_MS = 5
/** A probe that is not answered within this time, in ms, is given up; until then a late answer is of use to the next call. */
export const PROBE_TIMEOUT_MS = 1_000
/** Who refuses a probe, or does not know what that is, is not asked again for so long, in ms. */
export const PROBE_PAUSE_MS = 10_000
/** Providers that are left in peace at once; of others the oldest are asked again. */
export const MAX_PAUSED = 1_024

/** Asks providers how busy they are. */
export interface LoadProbes {
  /** Resolves when all have answered, or too much time has passed. Never rejects. */
  ask(candidates: readonly Candidate[], tool: string, causes: readonly string[] | undefined): Promise<void>
}

/** What they need. */
export interface LoadProbesComponents {
  self: string
  invokeAt(provider: Provider): Invoke
  dispatcher: Pick<Dispatcher, 'feedback'>
  now: () => number
}

/** Several calls at a time share the probes that are on their way. */
export function createLoadProbes({ self, invokeAt, dispatcher, now }: LoadProbesComponents): LoadProbes {
  const asked = new Map<Candidate, Promise<void>>()
  const paused = new Map<string, number>()

  async function probe(provider: Provider, tool: string, causes: readonly string[] | undefined): Promise<void> {
    const cancellation = new Cancellation()
    const late = setTimeout(() => cancellation.abort(new MeshError('cancelled', 'no answer in time')), PROBE_TIMEOUT_MS)
    const request = {
      capability: provider.offer.capability.id,
      tool,
      input: null,
      caller: self,
      causes,
      question: {
        only: true,
        answer: (load: Parameters<Dispatcher['feedback']>[1]) => dispatcher.feedback(provider, load, now())
      }
    }
    try {
      for await (const item of invokeAt(provider)(request, cancellation)) void item
    } catch {
      paused.delete(provider.node)
      paused.set(provider.node, now() + PROBE_PAUSE_MS)
      if (paused.size > MAX_PAUSED) paused.delete(paused.keys().next().value!)
    } finally {
      clearTimeout(late)
      asked.delete(provider)
    }
  }

  return {
    async ask(candidates, tool, causes) {
      const able = (candidates as readonly Provider[]).filter(
        ({ node, offer }) => hasWay(offer) && (paused.get(node) ?? -Infinity) <= now()
      )
      if (able.length === 0) return
      const answers = able.map((provider) => {
        const running = asked.get(provider) ?? probe(provider, tool, causes)
        asked.set(provider, running)
        return running
      })
      let timer: ReturnType<typeof setTimeout> | undefined
      const waitMs = Math.min(MAX_PROBE_WAIT_MS, ANSWER_MS + 2 * Math.max(...able.map(rttOf)))
      await Promise.race([Promise.all(answers), new Promise((resolve) => (timer = setTimeout(resolve, waitMs)))])
      clearTimeout(timer)
    }
  }
}
