/**
 * Where the highest are, at most so many, the highest first; of equals the first.
 * @param accepts whether a place may be among them: asked only of those that would be.
 */
export function topOf(scores: Float64Array, limit: number, accepts: (place: number) => boolean = () => true): number[] {
  const top: number[] = []
  for (let n = 0; n < scores.length; n++) {
    if (top.length === limit && scores[n]! <= scores[top.at(-1)!]!) continue
    if (!accepts(n)) continue
    let at = top.length
    while (at > 0 && scores[top[at - 1]!]! < scores[n]!) at--
    top.splice(at, 0, n)
    if (top.length > limit) top.pop()
  }
  return top
}
