import type { TextVector } from './feature-space.ts'

/** Most parts that the examples of one class are divided into. */
export const MAX_FOLDS = 4
/** Examples that a part should have. */
const FOLD_SIZE = 5

/**
 * Divides the examples of one class so that those that say nearly the same are in one part. People who write examples write them in runs of paraphrases:
 * left out one by one each would be recognised by its neighbours, far better than what is really asked is.
 * @param first the part that the first run of them is. The last run is of those that are like no other: where `first` differs from class to class, the
 * same part of all classes is a fair sample.
 * @returns the part of each example, from 0; undefined for all if they are too few to leave some out.
 */
export function foldsOf(vectors: readonly TextVector[], first = 0): (number | undefined)[] {
  const count = vectors.length
  if (count < 2) return vectors.map(() => undefined)
  const folds = Math.min(MAX_FOLDS, Math.max(2, Math.round(count / FOLD_SIZE)))
  const parts = new Array<number>(count)
  tour(vectors).forEach((index, place) => (parts[index] = (first + Math.floor((place * folds) / count)) % folds))
  return parts
}

/** From each to the nearest that is left. */
function tour(vectors: readonly TextVector[]): number[] {
  const maps = vectors.map(({ features, weights }) => new Map(Array.from(features, (feature, n) => [feature, weights[n]!])))
  const left = new Set(vectors.keys())
  const order: number[] = []
  for (let at: number | undefined = 0; at !== undefined; at = nearest(at)) {
    order.push(at)
    left.delete(at)
  }
  return order

  function nearest(from: number): number | undefined {
    let best: number | undefined
    let most = -1
    for (const other of left) {
      const likeness = dot(vectors[from]!, maps[other]!)
      if (likeness > most) [best, most] = [other, likeness]
    }
    return best
  }
}

function dot({ features, weights }: TextVector, other: ReadonlyMap<number, number>): number {
  return features.reduce((sum, feature, n) => sum + weights[n]! * (other.get(feature) ?? 0), 0)
}
