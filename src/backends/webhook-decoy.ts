/** What answers in the place of hooks that there are not. */
import { createHmac, randomBytes } from 'node:crypto'
import type { Hook } from '../mesh-api-hooks.ts'
import { WEBHOOK_CHECKS } from './webhook-config.ts'
import { claimerOf, proven } from './webhook-hook.ts'

/**
 * Makes hooks that nobody has the secret of. Each name has one of the checks, always the same one while the node runs: by which requests a hook reads
 * the body of, nobody sees whether it is one of them.
 */
export function createDecoys(): (name: string) => Hook {
  const key = randomBytes(32)
  const secret = `whsec_${randomBytes(32).toString('base64')}`
  const claimers = WEBHOOK_CHECKS.map((check) => claimerOf(check, secret))
  return (name) => {
    const pick = createHmac('sha256', key).update(name).digest().readUInt32BE() % claimers.length
    return async (request) => {
      await proven(claimers[pick]!, request, Date.now() / 1_000)
      return undefined
    }
  }
}
