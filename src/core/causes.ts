import { MAX_CAUSES } from '../../protocols/call/messages.ts'
import { MeshError } from '../errors.ts'

const PEER_ID = /^[1-9A-HJ-NP-Za-km-z]{4,88}$/

/** Checks on whose behalf a call is made. @throws MeshError `invalid_argument`: also for calls that cause each other without end. */
export function checkCauses(causes: readonly string[]): void {
  if (causes.length > MAX_CAUSES)
    throw new MeshError('invalid_argument', `more than ${MAX_CAUSES} calls cause each other; do they go in a circle?`, { causes })
  const wrong = causes.find((cause) => !PEER_ID.test(cause))
  if (wrong !== undefined || causes.length === 0)
    throw new MeshError('invalid_argument', 'causes are PeerIds, at least one; leave them out for a call of this node itself', {
      key: 'causes'
    })
}
