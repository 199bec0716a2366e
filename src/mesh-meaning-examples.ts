/** What a node learns of what words mean: requests of which somebody has said what they meant. Kept here, told to nobody. */
import type { CapabilityDeclaration } from '../protocols/capability.ts'
import { findNamed } from './core/candidates.ts'
import type { Offer } from './core/candidates.ts'
import { createLearnedExamples, exampleText, type LearnedExample } from './core/meaning/learned-examples.ts'
import { MeshError } from './errors.ts'
import type { MeaningExamples } from './mesh-api-meaning.ts'
import type { ExampleWriter } from './mesh-meaning-writer.ts'

/** Where what was learned outlives the node. */
export interface ExampleStore {
  /** What was kept; the oldest first. */
  readonly initial: readonly LearnedExample[]
  /** Resolves when it is kept, or could not be, which the store tells. */
  save(examples: readonly LearnedExample[]): Promise<void>
}

/** See the head of this file. */
export interface MeshExamples extends MeaningExamples {
  /** Examples of a capability beside its own: those that were confirmed, else those that were written. The same list as long as nothing has changed there. */
  moreOf(key: string, capability: CapabilityDeclaration): readonly string[]
  /** Whether they were written by a model. */
  isWritten(key: string, capability: CapabilityDeclaration): boolean
  /** Another number after each change. */
  readonly revision: number
}

/**
 * @param store without one nothing is learned. @param writer without one nothing is written. @param onChange something was learned or forgotten; of what it writes the
 * writer tells.
 */
export function createMeshExamples(
  store: ExampleStore | undefined,
  writer: ExampleWriter | undefined,
  offers: () => readonly Offer[],
  onChange: () => void
): MeshExamples {
  const known = createLearnedExamples(store?.initial)
  return {
    moreOf(key, capability) {
      const confirmed = known.of(key)
      const isWritten = confirmed.length === 0 && writer !== undefined
      return isWritten ? writer.of(key, capability) : confirmed
    },
    isWritten: (key, capability) => known.of(key).length === 0 && (writer?.of(key, capability).length ?? 0) > 0,
    get revision() {
      return known.revision + (writer?.revision ?? 0)
    },
    list: () => ({
      learns: store !== undefined,
      examples: [
        ...known.all().map((one) => ({ ...one, by: 'person' as const })),
        ...(writer?.all() ?? []).map((one) => ({ ...one, by: 'model' as const }))
      ]
    }),
    async learn(text, capability) {
      const kept = asked(store)
      const line = exampleText(text)
      const { id, type } = meantBy(offers(), capability)
      const example = { capability: id, type, text: line }
      known.add(example)
      onChange()
      await kept.save(known.all())
      return { ...example, by: 'person' }
    },
    async forget(which = {}) {
      const forgotten = writer?.forget(which) ?? 0
      const kept = store === undefined && writer !== undefined ? undefined : asked(store)
      const gone = kept === undefined ? [] : known.forget(which)
      if (forgotten + gone.length > 0) onChange()
      if (gone.length > 0) await kept?.save(known.all())
      return forgotten + gone.length
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
