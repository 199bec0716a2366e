/** What a node learns of what words mean: requests of which somebody has said what they meant. Kept here, told to nobody. */
import { findNamed } from './core/candidates.ts'
import type { Offer } from './core/candidates.ts'
import { createLearnedExamples, exampleText, type LearnedExample, type LearnedExamples } from './core/meaning/learned-examples.ts'
import { MeshError } from './errors.ts'
import type { MeaningExamples } from './mesh-api-meaning.ts'

/** Where what was learned outlives the node. */
export interface ExampleStore {
  /** What was kept; the oldest first. */
  readonly initial: readonly LearnedExample[]
  /** Resolves when it is kept, or could not be, which the store tells. */
  save(examples: readonly LearnedExample[]): Promise<void>
}

/** See the head of this file. */
export interface MeshExamples extends MeaningExamples {
  readonly known: LearnedExamples
}

/** @param store without one nothing is learned. */
export function createMeshExamples(store: ExampleStore | undefined, offers: () => readonly Offer[]): MeshExamples {
  const known = createLearnedExamples(store?.initial)
  return {
    known,
    list: () => ({ learns: store !== undefined, examples: [...known.all()] }),
    async learn(text, capability) {
      const kept = asked(store)
      const line = exampleText(text)
      const { id, type } = meantBy(offers(), capability)
      const example = { capability: id, type, text: line }
      known.add(example)
      await kept.save(known.all())
      return example
    },
    async forget(which = {}) {
      const kept = asked(store)
      const gone = known.forget(which)
      if (gone.length > 0) await kept.save(known.all())
      return gone.length
    }
  }
}

function asked(store: ExampleStore | undefined): ExampleStore {
  if (store !== undefined) return store
  throw new MeshError('unsupported', 'this node learns no examples; it does with meaning: { learn: true } in its configuration')
}

/** A type may stand for what it means, if that is one thing. */
function meantBy(offers: readonly Offer[], capability: string): Offer {
  const { named } = findNamed(offers, capability)
  const ids = [...new Set(named.map(({ id }) => id))]
  if (ids.length > 1)
    throw new MeshError('ambiguous', `"${capability}" is ${ids.slice(0, 10).join(' or ')}; name one of them`, { capability })
  return named[0]!
}
