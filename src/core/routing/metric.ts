/** Metrics of routes: whole numbers in units of 0.1 ms. Costs of links are at least {@link MIN_COST}, so metrics grow along every path. */

/** Units of a metric in one ms. */
export const UNITS_PER_MS = 10
/** No route; what a retraction says. Small enough for engines to keep it in place, as they do with other metrics: rows are many. */
export const INFINITE = 0x3fff_ffff
/** Cheapest link: 1 ms. That costs are positive keeps routes free of loops; it is no matter of taste. */
export const MIN_COST = 1 * UNITS_PER_MS
/** Dearest link, and dearest route: 60 s. What is more is no route. */
export const MAX_METRIC = 60_000 * UNITS_PER_MS
/** Longest route, in hops. */
export const MAX_HOPS = 64

/** A metric from ms, within the bounds of a link's cost. */
export function costFromMs(ms: number): number {
  return Math.min(MAX_METRIC, Math.max(MIN_COST, Math.round(ms * UNITS_PER_MS)))
}

/** Sum of a metric and a cost; {@link INFINITE} past {@link MAX_METRIC}. */
export function addCost(metric: number, cost: number): number {
  return metric === INFINITE || metric + cost > MAX_METRIC ? INFINITE : metric + cost
}

/** True if a route of the metric `next` is so much better than one of `current` that changing is worth it: 5 ms and 15 %. */
export function isWorthSwitching(current: number, next: number): boolean {
  return next + Math.max(5 * UNITS_PER_MS, current * 0.15) < current
}

/** True if neighbours are to hear of a metric that was told as `told`: it has moved by 1 ms and 5 %, or a route came or went. */
export function isWorthTelling(told: number, metric: number): boolean {
  if (told === INFINITE || metric === INFINITE) return told !== metric
  return Math.abs(metric - told) > Math.max(UNITS_PER_MS, told * 0.05)
}
