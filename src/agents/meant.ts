import { nodesCalled, parseTarget } from '../../protocols/named-node.ts'
import type { CapabilityView } from '../mesh-api.ts'

/** Those that a call of `target`, an id or a type, perhaps with `@node`, may mean. @param wanted node that is named beside the target. */
export function meantBy(all: readonly CapabilityView[], target: string, wanted?: string): CapabilityView[] {
  const parsed = parseTarget(target)
  const at = wanted ?? parsed.node
  const name = at === undefined ? target : parsed.name
  const nodes = at === undefined ? undefined : nodesCalled(all, at)
  return all.filter(({ id, type, node }) => (nodes?.includes(node) ?? true) && (id === name || type === name))
}
