/** In which order models are tried, where several fit a request. */
import type { CallOptions, CapabilityView, Mesh } from '../../mesh-api.ts'

/** Something to call: one capability, on each of the nodes that have it. The mesh chooses among those. */
export interface ModelTarget extends Pick<CallOptions, 'node' | 'notNode'> {
  /** Id of the capability. */
  id: string
  /** One of them, for what it says of itself. */
  view: CapabilityView
}

/**
 * The one place where it is chosen among different models: the one that is expected to be done first goes first. Where only one capability fits, on however many nodes, there is nothing to
 * choose: the dispatch of the mesh decides at the moment of the call.
 * @param all capabilities of the mesh.
 * @param fit those that were meant.
 * @param first those that what is asked means: they go before the others.
 */
export function chooseModels(
  mesh: Pick<Mesh, 'explain'>,
  all: readonly CapabilityView[],
  fit: readonly CapabilityView[],
  tool: string,
  first: readonly CapabilityView[] = []
): ModelTarget[] {
  const targets = targetsOf(all, fit)
  if (targets.length === 1) return targets
  return targets
    .map((target) => ({ target, isFirst: first.some((one) => isOf(target, one)), score: scoreOf(mesh, target, tool) }))
    .sort((a, b) => Number(b.isFirst) - Number(a.isFirst) || a.score - b.score)
    .map(({ target }) => target)
}

/** By the id alone only where it is one thing everywhere. */
function isOf({ id, node }: ModelTarget, one: CapabilityView): boolean {
  return one.id === id && (node === undefined || one.node === node)
}

/** The same id and type on several nodes is one thing, unless the node matters. */
function targetsOf(all: readonly CapabilityView[], fit: readonly CapabilityView[]): ModelTarget[] {
  const ids = [...new Set(fit.map(({ id }) => id))]
  return ids.flatMap((id): ModelTarget[] => {
    const views = fit.filter((one) => one.id === id)
    const others = all.filter((one) => one.id === id && !views.includes(one))
    const [view] = views as [CapabilityView]
    const isOneThing = [...views, ...others].every((one) => one.type === view.type) && views.every((one) => one.scope !== 'node')
    if (!isOneThing) return views.map((one) => ({ id, view: one, node: one.node }))
    return [{ id, view, ...(others.length > 0 && { notNode: others.map((one) => one.node) }) }]
  })
}

/** As the dispatch of the mesh has it, in ms. Whoever cannot be called now is last. */
function scoreOf(mesh: Pick<Mesh, 'explain'>, { id, node, notNode }: ModelTarget, tool: string): number {
  try {
    return mesh.explain(id, tool, { node, notNode }).candidates.find(({ place }) => place === 1)?.score ?? Infinity
  } catch {
    return Infinity
  }
}
