import { FEATURE_KINDS, createWordFeatures, type FeatureKind, type WordFeatures } from './text-features.ts'

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
  /** The same of a text that joins the collection late: what is unknown of it becomes known, as rare as can be; what is known weighs what it did. */
  learn(words: readonly string[]): TextVector
}

/** One text: how often it has each feature. Of one that is unknown the index is negative. */
interface Counted {
  features: Int32Array
  counts: Float32Array
}

/**
 * Weighs by term frequency, logarithmic, and inverse document frequency, each kind of features for itself normalised (Salton and Buckley 1988, "ltc").
 * @param texts the collection, each as its words. @returns the space, and the vectors of the texts.
 * @yields now and then, so that whoever makes it may do something else meanwhile.
 */
export function* createFeatureSpace(
  texts: readonly (readonly string[])[],
  kinds: KindWeights
): Generator<undefined, { space: FeatureSpace; vectors: TextVector[] }> {
  const shares = sharesOf(kinds)
  const known = shares.map(() => new Map<string, number>())
  /** Of each feature: its kind, by its place in `shares`, and the texts that have it. */
  const kindOf: number[] = []
  const textsWith: number[] = []
  /** Of a text that it is all that is known of. */
  const rarest = Math.log(1 + Math.max(1, texts.length))
  const rarityOf = (feature: number): number =>
    feature < 0 ? rarest : Math.log(1 + Math.max(1, texts.length) / textsWith[feature]!)

  function learned(feature: string, kind: number): number {
    const index = kindOf.push(kind) - 1
    textsWith.push(1)
    known[kind]!.set(feature, index)
    return index
  }

  /** @param unknown gives what is not known an index. */
  function count(words: readonly string[], { each }: WordFeatures, unknown: (feature: string, kind: number) => number): Counted {
    const counts = new Map<number, number>()
    shares.forEach(([name], kind) => {
      const indices = known[kind]!
      each(name, words, (feature) => {
        const index = indices.get(feature) ?? unknown(feature, kind)
        counts.set(index, (counts.get(index) ?? 0) + 1)
      })
    })
    return { features: Int32Array.from(counts.keys()), counts: Float32Array.from(counts.values()) }
  }

  /** @param kindOfUnknown by the negative of its index, less one. */
  function weigh({ features, counts }: Counted, kindOfUnknown: readonly number[] = []): TextVector {
    const squares = shares.map(() => 0)
    const kindAt = (feature: number): number => (feature < 0 ? kindOfUnknown[-feature - 1]! : kindOf[feature]!)
    const weights = counts.map((times, n) => (1 + Math.log(times)) * rarityOf(features[n]!))
    weights.forEach((weight, n) => (squares[kindAt(features[n]!)]! += weight * weight))
    const scales = shares.map(([, share], kind) => (squares[kind] === 0 ? 0 : share / Math.sqrt(squares[kind]!)))
    for (let n = 0; n < weights.length; n++) weights[n]! *= scales[kindAt(features[n]!)]!
    return { features, weights }
  }

  const space: FeatureSpace = {
    get size() {
      return kindOf.length
    },
    vector(words) {
      const kindOfUnknown: number[] = []
      const unknown = new Map<string, number>()
      const counted = count(words, createWordFeatures(), (feature, kind) => {
        const name = `${kind} ${feature}`
        const index = unknown.get(name) ?? -kindOfUnknown.push(kind)
        unknown.set(name, index)
        return index
      })
      // What is in no text is as rare as can be: it lowers what all others weigh.
      const { features, weights } = weigh(counted, kindOfUnknown)
      return { features: features.filter((feature) => feature >= 0), weights: weights.filter((_, n) => features[n]! >= 0) }
    },
    learn: (words) => weigh(count(words, createWordFeatures(), learned))
  }

  const ofWords = createWordFeatures()
  const counted: Counted[] = []
  for (const words of texts) {
    const before = kindOf.length
    const one = count(words, ofWords, learned)
    for (const feature of one.features) if (feature < before) textsWith[feature]!++
    counted.push(one)
    yield
  }
  const vectors: TextVector[] = []
  for (const one of counted) {
    vectors.push(weigh(one))
    yield
  }
  return { space, vectors }
}

/** The parts of the kinds in a vector of length 1. */
function sharesOf(kinds: KindWeights): [FeatureKind, number][] {
  const used = FEATURE_KINDS.flatMap((kind) => (kinds[kind] === undefined ? [] : [[kind, kinds[kind]] as [FeatureKind, number]]))
  const length = Math.hypot(...used.map(([, weight]) => weight))
  return used.map(([kind, weight]) => [kind, weight / length])
}
