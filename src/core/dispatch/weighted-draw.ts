/** Draws one of many in proportion to weights that may change at any time, both in O(log n). */
export interface WeightedDraw {
  weight(index: number): number
  /** @param weight finite, >= 0. */
  set(index: number, weight: number): void
  /** @param chance 0 <= x < 1. @returns -1 if no weight is left. */
  draw(chance: number): number
}

/** A binary tree of sums in one array: leaf i stands at `leaves + i`, the parent of k at `k >> 1`. Sums are made anew, so none drifts. */
export function createWeightedDraw(count: number, weightOf: (index: number) => number): WeightedDraw {
  const leaves = 2 ** Math.ceil(Math.log2(Math.max(1, count)))
  const sums = new Float64Array(2 * leaves)
  for (let i = 0; i < count; i++) sums[leaves + i] = weightOf(i)
  for (let node = leaves - 1; node > 0; node--) sums[node] = sums[2 * node]! + sums[2 * node + 1]!

  return {
    weight: (index) => sums[leaves + index]!,
    set(index, weight) {
      let node = leaves + index
      sums[node] = weight
      for (node >>= 1; node > 0; node >>= 1) sums[node] = sums[2 * node]! + sums[2 * node + 1]!
    },
    draw(chance) {
      let left = chance * sums[1]!
      if (!(sums[1]! > 0)) return -1
      let node = 1
      while (node < leaves) {
        node *= 2
        // A subtree without weight is not entered, whatever rounding says.
        if (left >= sums[node]! && sums[node + 1]! > 0) {
          left -= sums[node]!
          node++
        }
      }
      return node - leaves
    }
  }
}
