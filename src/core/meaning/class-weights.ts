import type { TextVector } from './feature-space.ts'

/** What each feature says for each class; most say nothing of most. */
export interface ClassWeights {
  /** Something more, of what may have been said already. */
  add(feature: number, label: number, weight: number): void
  /** The sum for each class. @param into at least as long as there are classes; what it holds is overwritten. */
  score(vector: TextVector, into: Float64Array): Float64Array
  /** How many numbers are looked at to score this one. */
  costOf(vector: TextVector): number
}

/** Pairs of a class and a weight, in the order in which they came. */
interface Late {
  labels: number[]
  weights: number[]
}

/** A feature that speaks of a greater share of the classes has a number for each of them: as quick to go through, and nothing has to be looked for. */
const MAX_SPARSE = 0.25

/**
 * By feature in two long arrays, where those of each lie beside each other in the order of their classes; what is said for the first time later lies apart. Of
 * features that say something of many classes: a row with all of them.
 * @param classes what is said for each at first, by its label. @param features below which those of `classes` are.
 * @yields now and then, so that whoever makes it may do something else meanwhile.
 */
export function* createClassWeights(classes: readonly TextVector[], features: number): Generator<undefined, ClassWeights> {
  const ends = yield* endsOf(classes, features)
  const labels = new Int32Array(ends.at(-1) ?? 0)
  const weights = new Float32Array(labels.length)
  const free = new Int32Array(features)
  for (const [label, { features: ones, weights: values }] of classes.entries()) {
    for (let n = 0; n < ones.length; n++) {
      const feature = ones[n]!
      const at = startOf(feature) + free[feature]!
      free[feature]!++
      labels[at] = label
      weights[at] = values[n]!
    }
    yield
  }
  const maxSparse = classes.length * MAX_SPARSE
  const late = new Map<number, Late>()
  const rows = new Map<number, Float32Array>()
  for (let feature = 0; feature < features; feature++) if (countOf(feature) > maxSparse) toRow(feature)

  function startOf(feature: number): number {
    return feature === 0 ? 0 : ends[feature - 1]!
  }

  function countOf(feature: number): number {
    return feature < features ? ends[feature]! - startOf(feature) : 0
  }

  function toRow(feature: number): void {
    const row = new Float32Array(classes.length)
    for (let at = startOf(feature), n = countOf(feature); n > 0; n--, at++) row[labels[at]!] = weights[at]!
    const more = late.get(feature)
    rows.set(feature, row)
    late.delete(feature)
    more?.labels.forEach((label, n) => addToRow(feature, rows.get(feature)!, label, more.weights[n]!))
  }

  function addToRow(feature: number, row: Float32Array, label: number, weight: number): void {
    if (label < row.length) return void (row[label]! += weight)
    const longer = new Float32Array((label + 1) * 2)
    longer.set(row)
    longer[label] = weight
    rows.set(feature, longer)
  }

  /** Where the label is among those that the feature spoke of at first; -1 if it is not. */
  function placeOf(feature: number, label: number): number {
    if (feature >= features) return -1
    let [from, to] = [startOf(feature), ends[feature]!]
    while (from < to) {
      const middle = (from + to) >>> 1
      if (labels[middle]! < label) from = middle + 1
      else to = middle
    }
    return from < ends[feature]! && labels[from] === label ? from : -1
  }

  function addLate(feature: number, label: number, weight: number): void {
    const one = late.get(feature)
    if (one === undefined) return void late.set(feature, { labels: [label], weights: [weight] })
    const at = one.labels.indexOf(label)
    if (at !== -1) return void (one.weights[at]! += weight)
    one.labels.push(label)
    one.weights.push(weight)
    if (countOf(feature) + one.labels.length > maxSparse) toRow(feature)
  }

  return {
    add(feature, label, weight) {
      const row = rows.get(feature)
      if (row !== undefined) return addToRow(feature, row, label, weight)
      const place = placeOf(feature, label)
      if (place === -1) addLate(feature, label, weight)
      else weights[place]! += weight
    },
    score({ features: asked, weights: values }, into) {
      into.fill(0)
      for (let n = 0; n < asked.length; n++) {
        const [feature, value] = [asked[n]!, values[n]!]
        const row = rows.get(feature)
        if (row !== undefined) addAll(into, row, value)
        else {
          addSome(into, labels, weights, startOf(feature), countOf(feature), value)
          const more = late.get(feature)
          if (more !== undefined) addSome(into, more.labels, more.weights, 0, more.labels.length, value)
        }
      }
      return into
    },
    costOf: ({ features: asked }) => asked.reduce((sum, one) => sum + (rows.has(one) ? classes.length : countOf(one)), 0)
  }
}

/** Where the pairs of each feature end, those before it counted. */
function* endsOf(classes: readonly TextVector[], features: number): Generator<undefined, Int32Array> {
  const ends = new Int32Array(features)
  for (const { features: ones } of classes) {
    for (const feature of ones) ends[feature]!++
    yield
  }
  for (let feature = 1; feature < features; feature++) ends[feature]! += ends[feature - 1]!
  return ends
}

function addAll(into: Float64Array, row: Float32Array, value: number): void {
  // Room for classes that are not there yet says nothing.
  const length = Math.min(row.length, into.length)
  for (let n = 0; n < length; n++) into[n]! += value * row[n]!
}

function addSome(
  into: Float64Array,
  labels: ArrayLike<number>,
  weights: ArrayLike<number>,
  from: number,
  count: number,
  value: number
): void {
  for (let at = from; at < from + count; at++) into[labels[at]!]! += value * weights[at]!
}
