import { isShortIdOf } from '../../protocols/short-id.ts'
import { parseTarget } from '../core/candidates.ts'
import type { CapabilityView } from '../mesh-api.ts'

/** True if a call of `target`, an id or a type, perhaps with `@node`, may mean this one. @param wanted node that is named beside the target. */
export function isMeant({ id, type, node, nodeName }: CapabilityView, target: string, wanted?: string): boolean {
  const parsed = parseTarget(target)
  const at = wanted ?? parsed.node
  const isThere = at === undefined || at === node || at === nodeName || isShortIdOf(node, at)
  const name = at === undefined ? target : parsed.name
  return isThere && (id === name || type === name)
}
