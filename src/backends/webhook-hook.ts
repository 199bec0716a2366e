/** One hook: checks who asks, sees that nothing comes twice or too often, and raises an event. */
import { randomBytes } from 'node:crypto'
import { isDeeper } from '../../protocols/json.ts'
import type { JsonValue } from '../../protocols/json.ts'
import { MAX_JSON_DEPTH } from '../../protocols/shape.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError, isMeshError, toMeshError } from '../errors.ts'
import type { Hook, HookAnswer, HookFire, HookRequest } from '../mesh-api-hooks.ts'
import { hopDepthIn } from './cloud-event.ts'
import { readSecret } from './secret-source.ts'
import type { SecretInit } from './secret-source.ts'
import type { WebhookCheck, WebhookInConfig, WebhookSecret } from './webhook-config.ts'
import {
  MIN_SECRET,
  TOLERANCE_S,
  bearerClaim,
  githubClaim,
  isWebhookId,
  standardClaim,
  webhookKeys
} from './webhook-signature.ts'
import type { Claim, HeaderOf } from './webhook-signature.ts'

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
    await claimerFor(config, init)
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
  const vain = createVainClaimer(checkOf(config))
  /** What was wrong with the secret the last time. */
  let problem: string | undefined

  function forgetOld(): void {
    for (const [id, { at }] of answers) {
      if (now() - at < REMEMBER_MS) return
      answers.delete(id)
    }
  }

  /** Who asks is not told where secrets stand, nor that one is missing: it looks like any that is not shown. The log is, once for each thing that is wrong. */
  async function claimer(): Promise<Claimer> {
    try {
      const found = await claimerFor(config, init)
      problem = undefined
      return found
    } catch (error) {
      const { message } = error as Error
      if (message !== problem) init.log?.('warn', `hook "${config.hook}": ${message}`)
      problem = message
      return vain
    }
  }

  /** What has been decided is so for whoever plays it again; only what is asked to come again may be raised anew. */
  function remember(id: string, answer: Promise<HookAnswer>): void {
    answers.set(id, { at: now(), answer })
    answer.catch((error: unknown) => {
      const { retryable, code } = toMeshError(error)
      if ((retryable || code === 'internal') && answers.get(id)?.answer === answer) answers.delete(id)
    })
  }

  return async (request, fire) => {
    const shown = await proven(await claimer(), request, clock() / 1_000)
    if (shown === undefined || isMeshError(shown)) return shown
    const { id, body } = shown
    if (id !== undefined && !isWebhookId(id))
      throw new MeshError('invalid_argument', 'the id of the request must have 1 to 256 characters, and no blanks or dots')
    forgetOld()
    const before = id === undefined ? undefined : answers.get(id)
    if (before !== undefined) return { ...(await before.answer), duplicate: true }
    if (!rate.take(event)) {
      const retryAfterMs = Math.ceil(rate.until(event, 1))
      throw new MeshError('busy', `this hook takes ${perMinute} requests a minute; come again later`, { retryAfterMs })
    }
    const answer = raise(fire, capability, event, body)
    if (id !== undefined) remember(id, answer)
    return answer
  }
}

async function raise(fire: HookFire, capability: string, event: string, body: Uint8Array): Promise<HookAnswer> {
  const payload = payloadOf(body)
  const depth = hopDepthIn(payload)
  return fire(capability, event, payload, depth === undefined ? undefined : { depth })
}

/** Looks at the headers of a request. @throws MeshError `permission_denied`. */
export type Claimer = (header: HeaderOf, nowS: number) => Claim

/** How requests show a secret. @throws MeshError `unavailable` for a secret that cannot be one. */
export function claimerOf(check: WebhookCheck, secret: string): Claimer {
  if (check === 'standard') {
    const keys = webhookKeys(secret)
    return (header, nowS) => standardClaim(keys, header, nowS)
  }
  if (secret.length < MIN_SECRET) throw new MeshError('unavailable', `its secret must have ${MIN_SECRET} characters at least`)
  return (header) => (check === 'github' ? githubClaim(secret, header) : bearerClaim(secret, header))
}

/** Looks at the headers as {@link claimerOf} does, for a secret that nobody has. */
export function createVainClaimer(check: WebhookCheck): Claimer {
  return claimerOf(check, `whsec_${randomBytes(32).toString('base64')}`)
}

/** The id and the body of a request, which is read only if the headers are good; undefined if it does not show the secret, why if it cannot be read: nobody knows then whether it does. */
export async function proven(
  claimer: Claimer,
  request: HookRequest,
  nowS: number
): Promise<{ id: string | undefined; body: Uint8Array } | MeshError | undefined> {
  try {
    const { id, prove } = claimer(request.header, nowS)
    const body = await request.body()
    prove(body)
    return { id, body }
  } catch (error) {
    return isMeshError(error, 'permission_denied') ? undefined : toMeshError(error)
  }
}

const checkOf = ({ check = 'standard' }: WebhookInConfig): WebhookCheck => check

async function claimerFor(config: WebhookInConfig, init: SecretInit): Promise<Claimer> {
  return claimerOf(checkOf(config), (await secretOf(config, init)) ?? '')
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
