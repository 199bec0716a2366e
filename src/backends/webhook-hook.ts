/** One hook: checks who asks, sees that nothing comes twice or too often, and raises an event. */
import { isDeeper } from '../../protocols/json.ts'
import type { JsonValue } from '../../protocols/json.ts'
import { MAX_JSON_DEPTH } from '../../protocols/shape.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError } from '../errors.ts'
import type { Hook, HookAnswer } from '../mesh-api-hooks.ts'
import { hopDepthIn } from './cloud-event.ts'
import { readSecret } from './secret-source.ts'
import type { SecretInit } from './secret-source.ts'
import type { WebhookInConfig, WebhookSecret } from './webhook-config.ts'
import {
  MIN_SECRET,
  TOLERANCE_S,
  checkBearer,
  checkGitHub,
  checkStandard,
  isWebhookId,
  webhookKeys
} from './webhook-signature.ts'
import type { SignedRequest } from './webhook-signature.ts'

/** Requests of one hook that raise an event, a minute, if nothing is given. */
export const DEFAULT_PER_MINUTE = 120
/** How long what came is known again, in ms: as long as a signature holds, with a clock that is wrong either way. */
export const REMEMBER_MS = 2 * TOLERANCE_S * 1_000

/** What hooks need. Times are for tests. */
export interface HookInit extends SecretInit {
  /** Wall clock, ms since 1970: signatures have a time. */
  clock?: () => number
  /** Monotonic ms. */
  now?: () => number
}

/** What is behind the names of a secret; undefined if none is named. Throws `unavailable`. */
export async function secretOf({ secretEnv, secretFile }: WebhookSecret, init: SecretInit): Promise<string | undefined> {
  return readSecret({ variable: secretEnv, file: secretFile }, init)
}

/** Why a hook cannot check anybody. Never throws. */
export async function hookProblem(config: WebhookInConfig, init: SecretInit): Promise<string | undefined> {
  try {
    await checkerOf(config, init)
    return undefined
  } catch (error) {
    return `hook "${config.hook}": ${(error as Error).message}`
  }
}

/** Makes the hook that raises an event of `capability`. What is remembered is bounded by what it takes a minute. */
export function createHook(capability: string, config: WebhookInConfig, init: HookInit): Hook {
  const { clock = Date.now, now = () => performance.now() } = init
  const { event, perMinute = DEFAULT_PER_MINUTE } = config
  const rate = createTokenBuckets({ perSecond: perMinute / 60, burst: perMinute }, now)
  /** By their ids, the oldest first. */
  const answers = new Map<string, { at: number; answer: Promise<HookAnswer> }>()

  function forgetOld(): void {
    for (const [id, { at }] of answers) {
      if (now() - at < REMEMBER_MS) return
      answers.delete(id)
    }
  }

  /** What went nowhere may come again. */
  function remember(id: string, answer: Promise<HookAnswer>): void {
    answers.set(id, { at: now(), answer })
    const forget = (): void => void (answers.get(id)?.answer === answer && answers.delete(id))
    answer.then(({ outcome }) => outcome === 'dropped' && forget(), forget)
  }

  return async (request, fire) => {
    const check = await checkerOf(config, init)
    const id = check(request, clock() / 1_000)
    forgetOld()
    const before = id === undefined ? undefined : answers.get(id)
    if (before !== undefined) return { ...(await before.answer), duplicate: true }
    if (!rate.take(event)) {
      const retryAfterMs = Math.ceil(rate.until(event, 1))
      throw new MeshError('busy', `this hook takes ${perMinute} requests a minute; come again later`, { retryAfterMs })
    }
    const payload = payloadOf(request.body)
    const depth = hopDepthIn(payload)
    const raised = fire(capability, event, payload, depth === undefined ? undefined : { depth })
    const answer = raised.then(({ outcome, id: eventId, kept, reason }) => ({
      outcome,
      ...(eventId !== undefined && { id: eventId }),
      kept,
      ...(reason !== undefined && { reason })
    }))
    if (id !== undefined) remember(id, answer)
    return answer
  }
}

/** Checks a request. @returns what tells it from others, if it has that. @throws MeshError `permission_denied`. */
type Checker = (request: SignedRequest, nowS: number) => string | undefined

async function checkerOf(config: WebhookInConfig, init: SecretInit): Promise<Checker> {
  const { check = 'standard' } = config
  const secret = (await secretOf(config, init)) ?? ''
  if (check === 'standard') {
    const keys = webhookKeys(secret)
    return (request, nowS) => checkStandard(keys, request, nowS)
  }
  if (secret.length < MIN_SECRET) throw new MeshError('unavailable', `its secret must have ${MIN_SECRET} characters at least`)
  return (request) => {
    if (check === 'github') checkGitHub(secret, request)
    else checkBearer(secret, request)
    const id = request.header(check === 'github' ? 'x-github-delivery' : 'webhook-id')
    if (id === undefined || isWebhookId(id)) return id
    throw new MeshError('invalid_argument', 'the id of the request must have 1 to 256 characters, and no blanks')
  }
}

/** An empty body is null. @throws MeshError `invalid_argument`. */
function payloadOf(body: Uint8Array): JsonValue {
  let value: JsonValue
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
    value = text.trim() === '' ? null : (JSON.parse(text) as JsonValue)
  } catch (error) {
    throw new MeshError('invalid_argument', `the body is not JSON: ${(error as Error).message}`)
  }
  if (isDeeper(value, MAX_JSON_DEPTH - 2))
    throw new MeshError('invalid_argument', `the body is nested too deep; ${MAX_JSON_DEPTH - 2} levels are the most`)
  return value
}
