/** The value below which the given share (0 to 1) of the samples lies, nearest rank. */
export function quantile(samples: number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}

/** The middle value: one disturbed round does not move it. */
export function median(samples: number[]): number {
  return quantile(samples, 0.5)
}

/** Rounded to `digits` digits after the point. */
export function round(value: number, digits = 3): number {
  return Number(value.toFixed(digits))
}
