/** Runs at most, and their time, ms: what is found by then is small enough to look at. */
const MAX_RUNS = 300
const MAX_MS = 60_000

/**
 * Delta debugging (Zeller, "Yesterday, my program worked"): leaves out what is not needed for a failure, half of the list first, then smaller parts.
 * @returns a list that still fails; the whole one if nothing could be left out in the runs and the time that there are.
 */
export function shrink<T>(
  list: readonly T[],
  fails: (part: readonly T[]) => boolean,
  limits = { runs: MAX_RUNS, ms: MAX_MS }
): readonly T[] {
  const endsAt = performance.now() + limits.ms
  let runs = limits.runs
  let rest = list
  let parts = 2
  while (rest.length > 1) {
    const size = Math.ceil(rest.length / parts)
    let found: readonly T[] | undefined
    for (let from = 0; from < rest.length && found === undefined; from += size) {
      if (runs-- <= 0 || performance.now() > endsAt) return rest
      const without = [...rest.slice(0, from), ...rest.slice(from + size)]
      if (fails(without)) found = without
    }
    if (found !== undefined) {
      rest = found
      parts = Math.max(2, parts - 1)
    } else if (size > 1) parts = Math.min(rest.length, parts * 2)
    else return rest
  }
  return rest
}
