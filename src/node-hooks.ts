/** The hooks of a node: who asks without showing a secret learns nothing by it, not even which hooks there are. */
import { setTimeout as delay } from 'node:timers/promises'
import { createDecoys } from './backends/webhook-decoy.ts'
import { createTokenBuckets } from './core/token-buckets.ts'
import { MeshError, isMeshError } from './errors.ts'
import type { Hook, Hooks } from './mesh-api-hooks.ts'

/** Requests of one address that do not show a secret, a minute; more are told to come later. Who shows one is not counted, and never told so. */
export const FAILURES_PER_MINUTE = 30
/** Refusals come at multiples of this time after the request, in ms: what is done until then (reading a secret, comparing) does not show in it. */
const REFUSAL_STEP_MS = 20

/** Times are for tests. */
export interface HooksInit {
  /** Of this node, and kept over its restarts: hooks that there are not stay what they were by it. */
  secret: string
  /** Monotonic ms. */
  now?: () => number
  /** Waits until a refusal may be told. @param elapsedMs since the request came. */
  pause?: (elapsedMs: number) => Promise<unknown>
}

/** No hooks yet. */
export function createHooks({ now = () => performance.now(), pause = toNextStep, secret }: HooksInit): Hooks {
  const hooks = new Map<string, Hook>()
  const decoyOf = createDecoys(secret)
  const failures = createTokenBuckets({ perSecond: FAILURES_PER_MINUTE / 60, burst: FAILURES_PER_MINUTE }, now)
  return {
    add(name, hook) {
      if (hooks.has(name)) throw new MeshError('conflict', `there is a hook "${name}" already; rename one`, { name })
      hooks.set(name, hook)
      return () => {
        if (hooks.get(name) === hook) hooks.delete(name)
      }
    },
    async ask(name, request, fire) {
      const startedAt = now()
      const answer = await (hooks.get(name) ?? decoyOf(name))(request, fire)
      if (answer !== undefined && !isMeshError(answer)) return answer
      await pause(now() - startedAt)
      const address = request.from ?? ''
      if (failures.take(address)) {
        if (answer !== undefined) throw answer
        return undefined
      }
      const retryAfterMs = Math.ceil(failures.until(address, 1))
      throw new MeshError('busy', 'too many requests that show no secret came from here; come again later', { retryAfterMs })
    }
  }
}

const toNextStep = (elapsedMs: number): Promise<unknown> => delay(REFUSAL_STEP_MS - (elapsedMs % REFUSAL_STEP_MS))
