/** Environment variable that tells a process of a benchmark where the built package is. */
export const ENTRY_VARIABLE = 'ATMO_BENCH_ENTRY'

/** The URL of the built package, for a process of a benchmark. */
export function builtEntry(): string {
  const entry = process.env[ENTRY_VARIABLE]
  if (entry === undefined) throw new Error(`${ENTRY_VARIABLE} is not set: start this through npm run bench`)
  return entry
}
