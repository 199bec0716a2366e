import { FEATURE_KINDS, countFeatures, type FeatureKind } from './text-features.ts'

/** A text as numbers: features that the space knows, and what each weighs. Their squares add up to at most 1; less, the more of the text is unknown. */
export interface TextVector {
  features: Int32Array
  weights: Float32Array
}

/** How much each kind of feature counts; kinds that are left out do not. */
export type KindWeights = Partial<Record<FeatureKind, number>>

/** The features of a collection of texts, weighed by how rare they are in it. */
export interface FeatureSpace {
  /** How many features there are. */
  readonly size: number
  vector(words: readonly string[]): TextVector
}

interface Known {
  index: number
  /** Texts that have it. */
  texts: number
}

/**
 * Weighs by term frequency, logarithmic, and inverse document frequency, each kind of features for itself normalised (Salton and Buckley 1988, "ltc").
 * @param texts the collection, each as its words.
 */
export function createFeatureSpace(texts: readonly (readonly string[])[], kinds: KindWeights): FeatureSpace {
  const shares = sharesOf(kinds)
  const spaces = shares.map(([kind]) => ({ kind, known: new Map<string, Known>() }))
  let size = 0
  for (const words of texts) {
    for (const { kind, known } of spaces) {
      for (const feature of countFeatures(kind, words).keys()) {
        const one = known.get(feature)
        if (one === undefined) known.set(feature, { index: size++, texts: 1 })
        else one.texts++
      }
    }
  }
  // What is in no text is as rare as can be: it lowers what all others weigh.
  const rarity = (one: Known | undefined): number => Math.log(1 + texts.length / (one?.texts ?? 1))

  return {
    size,
    vector(words) {
      const features: number[] = []
      const weights: number[] = []
      shares.forEach(([kind, share], n) => {
        const { known } = spaces[n]!
        const from = weights.length
        let squares = 0
        for (const [feature, count] of countFeatures(kind, words)) {
          const one = known.get(feature)
          const weight = (1 + Math.log(count)) * rarity(one)
          squares += weight * weight
          if (one === undefined) continue
          features.push(one.index)
          weights.push(weight)
        }
        const scale = squares === 0 ? 0 : share / Math.sqrt(squares)
        for (let at = from; at < weights.length; at++) weights[at]! *= scale
      })
      return { features: Int32Array.from(features), weights: Float32Array.from(weights) }
    }
  }
}

/** The parts of the kinds in a vector of length 1. */
function sharesOf(kinds: KindWeights): [FeatureKind, number][] {
  const used = FEATURE_KINDS.flatMap((kind) => (kinds[kind] === undefined ? [] : [[kind, kinds[kind]] as [FeatureKind, number]]))
  const length = Math.hypot(...used.map(([, weight]) => weight))
  return used.map(([kind, weight]) => [kind, weight / length])
}
