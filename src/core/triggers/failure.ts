import { ERROR_CODES, type MeshError } from '../../errors.ts'
import type { FailedAnswer } from './outbox-contract.ts'

/**
 * What an error of a handler, or of who takes an event for it, says of that event. `details.retryable` decides, if it is there. Else it may be tried again
 * where its code is retryable, where a tool has failed, which may go better later, and where others may have or allow what this node does not.
 */
export function failureOf({ code, forOthers: message, details: { reason, retryable, retryAfterMs } }: MeshError): FailedAnswer {
  const isOtherwiseElsewhere = code === 'unknown_capability' || (code === 'permission_denied' && reason === 'policy')
  const mayComeAgain = ERROR_CODES[code].retryable || code === 'tool_failed' || isOtherwiseElsewhere
  return {
    code,
    message,
    retryable: typeof retryable === 'boolean' ? retryable : mayComeAgain,
    retryAfterMs: typeof retryAfterMs === 'number' && retryAfterMs > 0 ? retryAfterMs : 0
  }
}
