/** What answers in the place of hooks that there are not. */
import { createHmac } from 'node:crypto'
import { isMeshError } from '../errors.ts'
import type { Hook } from '../mesh-api-hooks.ts'
import { WEBHOOK_CHECKS } from './webhook-config.ts'
import { createVainClaimer, proven } from './webhook-hook.ts'

/**
 * Makes hooks that nobody has the secret of. Each name has one of the checks, always the same one, as a hook that there is: by which requests a hook reads
 * the body of, nobody sees whether it is one of them. @param secret of the node, kept over its restarts: nobody else can tell which name has which check.
 */
export function createDecoys(secret: string): (name: string) => Hook {
  const key = createHmac('sha256', secret).update('decoys of webhooks').digest()
  const claimers = WEBHOOK_CHECKS.map(createVainClaimer)
  return (name) => {
    const pick = createHmac('sha256', key).update(name).digest().readUInt32BE() % claimers.length
    return async (request) => {
      const shown = await proven(claimers[pick]!, request, Date.now() / 1_000)
      return isMeshError(shown) ? shown : undefined
    }
  }
}
