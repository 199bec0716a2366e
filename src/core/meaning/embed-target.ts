/** Whom to ask for vectors, so that all are of one model as long as that is there: two models flapping would be made anew without end. */
import { findCandidates, type Offer } from '../candidates.ts'
import { EMBED_TOOL } from '../embed.ts'
import { leftOut } from './left-out.ts'

/** What is asked for vectors. */
export interface EmbedTarget {
  /** ID@PEERID; what was configured, where nothing of that is there. */
  target: string
  /** PeerIds of nodes of other meshes, which must not answer. */
  notNode: string[]
  /** Who is asked, and for which model; undefined where nothing is there that could be asked. */
  chosen: { model: string; node: string } | undefined
}

/**
 * Of all that the configured target means, one: the one of before while it is there, else one of the same model. Of two that call their models the same, one is asked, since
 * only who makes vectors knows whether they are.
 * @param target id, type or ID@NODE. @param before what was asked last. @param failed the node that failed last: others of the same model go before it.
 */
export function embedTarget(
  offers: readonly Offer[],
  target: string,
  before: EmbedTarget['chosen'],
  failed?: string
): EmbedTarget {
  const { notNode = [] } = leftOut(target, offers)
  const able = ableOf(offers, target).filter(({ node }) => !notNode.includes(node))
  const same = able.filter((offer) => modelOf(offer) === before?.model)
  // Another model is worth making all anew only where this one is gone.
  const working = same.filter(({ node }) => node !== failed)
  const one = working.find(({ node }) => node === before?.node) ?? working[0] ?? same[0] ?? first(able)
  if (one === undefined) return { target, notNode, chosen: undefined }
  return { target: `${one.id}@${one.node}`, notNode, chosen: { model: modelOf(one), node: one.node } }
}

/** The name of the model that a capability says it is, or else its id: only what it says itself can tell models apart. */
export function modelOf({ id, capability }: Pick<Offer, 'id' | 'capability'>): string {
  const model = capability.metadata?.['model']
  return typeof model === 'string' && model !== '' ? model : id
}

/** Of the model that most nodes have: those that come at different times choose the same, can share what they make, and are not drawn away by one. Then the nearest. */
function first(able: readonly Offer[]): Offer | undefined {
  const nodes = new Map<string, Set<string>>()
  for (const offer of able) nodes.set(modelOf(offer), (nodes.get(modelOf(offer)) ?? new Set()).add(offer.node))
  const most = Math.max(...[...nodes.values()].map(({ size }) => size))
  return able.find((offer) => nodes.get(modelOf(offer))?.size === most)
}

function ableOf(offers: readonly Offer[], target: string): readonly Offer[] {
  try {
    return findCandidates(offers, target, EMBED_TOOL).offers
  } catch {
    return []
  }
}
