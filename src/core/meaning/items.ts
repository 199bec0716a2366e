import type { CapabilityDeclaration } from '../../../protocols/capability.ts'
import type { Offer } from '../candidates.ts'
import { toolOf } from '../query.ts'
import type { MeaningItem } from './lexical-index.ts'

/** Something that is meant: the same id and type, wherever it is offered. */
export interface MeantCapability {
  id: string
  type: string
  /** As this node says it, else as the first of its mesh does: nobody else says what these are. */
  capability: CapabilityDeclaration
  /** Who says it. */
  by: Offer
  offers: Offer[]
}

/** Types have no spaces. */
export function meantKey(type: string, id: string): string {
  return `${type} ${id}`
}

/** What may be meant, by key: everything that is offered here and may be chosen. */
export function meantCapabilities(offers: readonly Offer[]): Map<string, MeantCapability> {
  const meant = new Map<string, MeantCapability>()
  /** By key: of whoever says what it is so far. */
  const nearest = new Map<string, number>()
  for (const offer of offers) {
    if (offer.blocked === true) continue
    const key = meantKey(offer.type, offer.id)
    const { id, type, capability } = offer
    const near = nearnessOf(offer)
    const one = meant.get(key) ?? { id, type, capability, by: offer, offers: [] }
    meant.set(key, one)
    one.offers.push(offer)
    if (near <= (nearest.get(key) ?? -1)) continue
    nearest.set(key, near)
    Object.assign(one, { capability, by: offer })
  }
  return meant
}

/** Of who says what something is: this node before its mesh, that before those that lend. */
function nearnessOf({ local, mesh }: Offer): number {
  if (local) return 2
  return mesh === undefined ? 1 : 0
}

/** Tool of every agent, with which it is asked. */
const ASK_TOOL = 'ask'

/** Whether nothing else of its type stands in for it. So it is with an agent: it has rights and a memory of its own, and what is meant for one must not be done by the next. */
export function isAlone({ capability }: MeantCapability): boolean {
  return toolOf(capability, ASK_TOOL) !== undefined
}

/** All texts of an item, as vectors are made of them; see protocols/embedding. */
export function textsOf({ description, examples }: MeaningItem): string[] {
  return [description, ...examples]
}

/**
 * As the index takes it. Not its state or metadata: those change often, and say nothing of what it is for.
 * @param more examples beside its own.
 */
export function meaningItem(
  key: string,
  { id, type, name, description, keywords, examples, tools, triggers }: CapabilityDeclaration,
  more: readonly string[] = []
): MeaningItem {
  const said = [id, name, type, description, ...(keywords ?? [])]
  for (const tool of tools ?? []) said.push(tool.name, tool.description)
  for (const trigger of triggers ?? []) said.push(trigger.event, trigger.description)
  const own = examples ?? []
  return {
    key,
    description: said.filter((text) => typeof text === 'string').join('\n'),
    examples: more.length === 0 ? own : [...new Set([...own, ...more])]
  }
}
