/** Whom to ask for vectors, so that all are of one model as long as that is there: two models flapping would be made anew without end. */
import { parseTarget } from '../../../protocols/named-node.ts'
import { findCandidates, type Offer } from '../candidates.ts'
import { EMBED_TOOL } from '../embed.ts'
import { leftOut } from './left-out.ts'

/** What is asked for vectors. */
export interface EmbedTarget {
  /** An id, perhaps with its node; what was configured, where nothing of that is there. */
  target: string
  /** PeerIds of nodes that must not answer: of another mesh, or with another model under this id. */
  notNode: string[]
  /** Undefined where nothing is there that could be asked. */
  model: string | undefined
}

/**
 * Of all that the configured target means, those of one model: that of before, if somebody still has it.
 * @param target id, type or ID@NODE. @param before the model that was asked last.
 */
export function embedTarget(offers: readonly Offer[], target: string, before: string | undefined): EmbedTarget {
  const { notNode = [] } = leftOut(target, offers)
  const able = ableOf(offers, target).filter(({ node }) => !notNode.includes(node))
  const chosen = able.find((offer) => modelOf(offer) === before) ?? first(able)
  if (chosen === undefined) return { target, notNode, model: undefined }
  const model = modelOf(chosen)
  const { node } = parseTarget(target)
  const others = able.filter((offer) => offer.id === chosen.id && modelOf(offer) !== model).map((offer) => offer.node)
  return {
    target: node === undefined ? chosen.id : `${chosen.id}@${node}`,
    notNode: [...new Set([...notNode, ...others])],
    model
  }
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
