import type { TextVector } from './feature-space.ts'

/** A text of which the class is known. */
export interface LabelledVector {
  vector: TextVector
  /** Below the count of classes. */
  label: number
}

/** How near a text is to each class, as a dot product: near 1 for a text of the class, near 0 for one of another. */
export interface TextClassifier {
  readonly classes: number
  /** @param into of the length of `classes`; what it holds is overwritten. */
  score(vector: TextVector, into: Float64Array): Float64Array
}

/** What it is trained with. */
export interface TrainingInit {
  classes: number
  /** Size of the feature space. */
  features: number
  /** Uniform in [0, 1): the order of the texts. */
  random(): number
}

/** Rounds over the texts, the lead that a class is to have over the next, and the largest step to it. Chosen on the validation half of CLINC150. */
const [ROUNDS, MARGIN, MAX_STEP] = [4, 0.4, 0.1]
/** Above this product of texts and classes the centroids stay as they are: refining would take minutes. */
export const MAX_REFINED = 4_000_000
/** Texts between two pauses. */
const STRIDE = 32

/**
 * Learns classes from texts: at first each class is the centroid of its texts; then, for each text that is not clearly nearer to its own class than to
 * the next one, the former is drawn to the text and the latter pushed away (Tan 2008, "An improved centroid classifier"; step and margin as in
 * passive-aggressive learning, Crammer et al. 2006).
 * @yields now and then, so that whoever runs it may do something else meanwhile.
 */
export function* trainClassifier(texts: readonly LabelledVector[], init: TrainingInit): Generator<undefined, TextClassifier> {
  const { classes, features, random } = init
  const weights = createClassWeights(features)
  yield* addCentroids(texts, classes, weights)
  const scores = new Float64Array(classes)
  const order = texts.map((_, n) => n)
  const rounds = texts.length * classes > MAX_REFINED ? 0 : ROUNDS
  for (let round = 0; round < rounds; round++) {
    shuffle(order, random)
    for (let n = 0; n < order.length; n++) {
      refine(texts[order[n]!]!, weights, scores)
      if (n % STRIDE === 0) yield
    }
  }
  return { classes, score: weights.score }
}

function* addCentroids(texts: readonly LabelledVector[], classes: number, weights: ClassWeights): Generator<undefined> {
  const byClass = Array.from({ length: classes }, (): TextVector[] => [])
  for (const { vector, label } of texts) byClass[label]!.push(vector)
  for (const [label, vectors] of byClass.entries()) {
    const sums = new Map<number, number>()
    for (const { features, weights } of vectors)
      features.forEach((feature, n) => sums.set(feature, (sums.get(feature) ?? 0) + weights[n]!))
    let squares = 0
    for (const sum of sums.values()) squares += sum * sum
    const length = Math.sqrt(squares) || 1
    for (const [feature, sum] of sums) weights.append(feature, label, sum / length)
    if (label % STRIDE === 0) yield
  }
}

function refine({ vector, label }: LabelledVector, weights: ClassWeights, scores: Float64Array): void {
  weights.score(vector, scores)
  let rival = -1
  for (let n = 0; n < scores.length; n++) if (n !== label && (rival === -1 || scores[n]! > scores[rival]!)) rival = n
  const loss = rival === -1 ? 0 : MARGIN - (scores[label]! - scores[rival]!)
  if (loss <= 0) return
  const step = Math.min(MAX_STEP, loss / 2)
  vector.features.forEach((feature, n) => {
    weights.add(feature, label, step * vector.weights[n]!)
    weights.add(feature, rival, -step * vector.weights[n]!)
  })
}

function shuffle(order: number[], random: () => number): void {
  for (let n = order.length - 1; n > 0; n--) {
    const other = Math.floor(random() * (n + 1))
    ;[order[n], order[other]] = [order[other]!, order[n]!]
  }
}

/** What each feature says for each class; most say nothing of most. */
interface ClassWeights {
  /** What has not been said yet. */
  append(feature: number, label: number, weight: number): void
  add(feature: number, label: number, weight: number): void
  score(vector: TextVector, into: Float64Array): Float64Array
}

function createClassWeights(features: number): ClassWeights {
  const labels: number[][] = Array.from({ length: features }, () => [])
  const weights: number[][] = Array.from({ length: features }, () => [])
  function append(feature: number, label: number, weight: number): void {
    labels[feature]!.push(label)
    weights[feature]!.push(weight)
  }
  return {
    append,
    add(feature, label, weight) {
      const at = labels[feature]!.indexOf(label)
      if (at === -1) append(feature, label, weight)
      else weights[feature]![at]! += weight
    },
    score({ features, weights: values }, into) {
      into.fill(0)
      for (let n = 0; n < features.length; n++) {
        const [of, by, value] = [labels[features[n]!]!, weights[features[n]!]!, values[n]!]
        for (let at = 0; at < of.length; at++) into[of[at]!]! += value * by[at]!
      }
      return into
    }
  }
}
