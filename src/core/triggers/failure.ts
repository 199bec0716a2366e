import { ERROR_CODES, type MeshError } from '../../errors.ts'
import type { FailedAnswer } from './outbox-contract.ts'

/**
 * What an error of a handler, or of who takes an event for it, says of that event. It may be tried again where its code is retryable, where others
 * may have or allow what this node does not, and where `details.retryable` says so; not where that says no.
 */
export function failureOf({ code, message, details: { reason, retryable, retryAfterMs } }: MeshError): FailedAnswer {
  const isOtherwiseElsewhere = code === 'unknown_capability' || (code === 'permission_denied' && reason === 'policy')
  const mayComeAgain = ERROR_CODES[code].retryable || code === 'tool_failed' || isOtherwiseElsewhere
  return {
    code,
    message,
    retryable: typeof retryable === 'boolean' ? retryable : mayComeAgain,
    retryAfterMs: typeof retryAfterMs === 'number' && retryAfterMs > 0 ? retryAfterMs : 0
  }
}
