import { MeshError } from '../errors.ts'
import type { DispatchPreference } from '../mesh-api.ts'
import { isTexts } from './json-body.ts'

const PREFERS = ['local', 'fast', 'cheap'] as const satisfies NonNullable<DispatchPreference['prefer']>[]
/** Keys of a request that {@link readPreference} reads. */
export const PREFERENCE_KEYS = ['prefer', 'notNode', 'maxLatencyMs'] as const satisfies (keyof DispatchPreference)[]

/** What a request asks of the choice among providers; `node` is the only one that may run it. @throws MeshError `invalid_argument`. */
export function readPreference({ prefer, notNode, maxLatencyMs, node }: Record<string, unknown>): DispatchPreference {
  const preference: DispatchPreference = {}
  const wrong = (key: string, expected: string) => new MeshError('invalid_argument', `${key} must be ${expected}`, { key })
  if (prefer !== undefined) {
    const known = PREFERS.find((one) => one === prefer)
    if (known === undefined) throw wrong('prefer', `one of ${PREFERS.join(', ')}`)
    preference.prefer = known
  }
  if (notNode !== undefined) {
    if (!isTexts(notNode)) throw wrong('notNode', 'a list of names or PeerIds')
    if (notNode.some((one) => one === node))
      throw new MeshError('invalid_argument', 'node and notNode name the same node: nobody is left', { key: 'notNode' })
    preference.notNode = notNode
  }
  if (maxLatencyMs !== undefined) {
    if (typeof maxLatencyMs !== 'number' || !(maxLatencyMs > 0) || maxLatencyMs === Infinity)
      throw wrong('maxLatencyMs', 'a number of milliseconds above 0')
    preference.maxLatencyMs = maxLatencyMs
  }
  return preference
}
