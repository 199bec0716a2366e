import type { ToolDeclaration } from '../../protocols/capability.ts'
import { nameWithId } from '../../protocols/short-id.ts'
import type { Offer } from '../core/candidates.ts'
import type { Cancellation } from '../core/cancellation.ts'
import type { Outcome } from '../core/dispatch/candidate.ts'
import type { Load } from '../core/invoke.ts'
import { MeshError, PEER_STOPPED, isUndone } from '../errors.ts'

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

/** The tries of one call that failed, and what its error says of them. */
export class FailedTries {
  /** In order. */
  readonly all: Tried[] = []
  /** The newest of which the provider was lost after the call was sent: what came of it, nobody knows. */
  #lost: MeshError | undefined
  #mayHaveBegun = false

  /** @param before the error of an earlier call for the same. */
  constructor(before: MeshError | undefined) {
    if (before !== undefined) this.#remember(before)
  }

  /** Takes one in. @returns what is told of it: where its provider was lost, whose fault that is and not how the way ended. */
  add({ node, nodeName }: Pick<Offer, 'node' | 'nodeName'>, error: MeshError): MeshError {
    this.all.push({ provider: node, code: error.code })
    const told = isLost(error) && error.details['notStarted'] !== true ? lostWhileItRan(node, nodeName, error) : error
    this.#remember(told)
    return told
  }

  /** The error of the call. If a try may have begun it, it does not say that it did not begin, and says what became of that try. */
  error(last: MeshError): MeshError {
    const { all } = this
    const lost = this.#lost === last ? undefined : this.#lost
    if (all.length < 2 && lost === undefined && !(this.#mayHaveBegun && isUndone(last))) return last
    const { notStarted, notDone, ...others } = last.details
    const details = {
      ...others,
      ...(!this.#mayHaveBegun && { ...(notStarted !== undefined && { notStarted }), ...(notDone !== undefined && { notDone }) }),
      ...(this.#lost !== undefined && { begun: true }),
      ...(all.length > 1 && { tried: all })
    }
    const message = lost === undefined ? last.message : this.#both(lost, last)
    return new MeshError(last.code, all.length < 2 ? message : `${message} (after ${howMany(all)})`, details, { cause: last })
  }

  #remember(error: MeshError): void {
    if (!isUndone(error)) this.#mayHaveBegun = true
    if (error.details['begun'] === true) this.#lost = error
  }

  #both(lost: MeshError, last: MeshError): string {
    const node = lost.details['peer']
    const isGone = last.code === 'unavailable' && (isLost(last) || last.details['peer'] === node)
    if (isGone && this.all.at(-1)?.provider === node) return `${lost.message}, and cannot be reached now`
    return `${lost.message}; then: ${last.message}`
  }
}

function lostWhileItRan(node: string, nodeName: string, error: MeshError): MeshError {
  const reason = error.details['reason'] === PEER_STOPPED ? 'provider_stopped' : 'provider_lost'
  const what = reason === 'provider_stopped' ? 'stopped' : 'was lost'
  const details = { lost: true, begun: true, peer: node, reason }
  return new MeshError('unavailable', `${nameWithId(node, nodeName)} ${what} while it ran the call`, details, { cause: error })
}

function howMany(tried: readonly Tried[]): string {
  const providers = new Set(tried.map(({ provider }) => provider)).size
  if (providers === tried.length) return `${providers} providers`
  return `${tried.length} tries at ${providers === 1 ? 'it' : `${providers} providers`}`
}
