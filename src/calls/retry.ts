import type { ToolDeclaration } from '../../protocols/capability.ts'
import type { Cancellation } from '../core/cancellation.ts'
import type { Outcome } from '../core/dispatch/candidate.ts'
import type { Load } from '../core/invoke.ts'
import { MeshError } from '../errors.ts'

/** Providers that one call tries at most. */
export const MAX_ATTEMPTS = 3
/** How often more it tries the same one, if that was lost and there is no other. */
export const MAX_AGAIN = 2

/** A try that failed. */
export interface Tried {
  /** PeerId. */
  provider: string
  code: string
}

/** True if this node itself found the way to the provider gone: it may be there, and have done its work. */
export function isLost({ details }: MeshError): boolean {
  return details['lost'] === true
}

/** True if a provider refused only because the caller can go elsewhere. */
export function isSentElsewhere({ code, details }: MeshError): boolean {
  return code === 'busy' && details['elsewhere'] === true
}

/**
 * Another provider may be tried if the fault lies with the first and nothing can happen twice that must not:
 * always if the first says that it did not begin (`details.notStarted`), else before the first item unless the tool says that a second run does harm (`idempotent: false`), later only if it says that it does none.
 */
export function mayRetry(error: MeshError, tool: ToolDeclaration, items: number, streamBegun: boolean): boolean {
  if (!error.retryable || streamBegun) return false
  if (items === 0 && error.details['notStarted'] === true) return true
  return items === 0 ? tool.idempotent !== false : tool.idempotent === true
}

/**
 * What the end of a try says of its provider.
 * @param error undefined: it went well.
 * @param measures how long it took is how long such calls take.
 * @param yielded items came: whoever ends a stream then, has not waited in vain.
 */
export function outcomeOf(error: MeshError | undefined, { reason }: Cancellation, measures: boolean, yielded: boolean): Outcome {
  if (error === undefined) return measures ? 'ok' : 'answered'
  const isCancelled = reason !== undefined || error.code === 'cancelled'
  if (isCancelled || error.code === 'deadline_exceeded')
    return yielded ? 'answered' : error.code === 'deadline_exceeded' ? 'timeout' : 'cancelled'
  if (error.code === 'busy') return 'busy'
  return isLost(error) || FAILURES.includes(error.code) ? 'failed' : 'answered'
}

/** Codes of a provider that cannot do any call of the kind now, whatever the reason. */
const FAILURES: readonly string[] = ['unavailable', 'protocol_error', 'unsupported']

/** The load that a provider tells when it refuses; undefined if it tells none. */
export function loadOf({ details }: MeshError): Load | undefined {
  const { running, waiting, slots, serviceMs } = details
  if (typeof running !== 'number' || typeof waiting !== 'number' || typeof slots !== 'number') return undefined
  return { running: running + waiting, slots, serviceMs: typeof serviceMs === 'number' ? serviceMs : undefined }
}

/** The error of a call with all its tries. */
export function withTried(error: MeshError, tried: readonly Tried[]): MeshError {
  if (tried.length < 2) return error
  const providers = new Set(tried.map(({ provider }) => provider)).size
  const after =
    providers === tried.length
      ? `${providers} providers`
      : `${tried.length} tries at ${providers === 1 ? 'it' : `${providers} providers`}`
  return new MeshError(error.code, `${error.message} (after ${after})`, { ...error.details, tried }, { cause: error })
}
