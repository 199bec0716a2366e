import { forge, type ForgedFindings } from './forge.ts'
import { FORGED_KINDS } from './forged-kinds.ts'

/** Forges so many of each kind and prints what came of it. @returns true if none was accepted and nothing untyped was thrown. */
export async function runForgeries(options: {
  trials: number
  seed: number
  only?: string[] | undefined
  json: boolean
}): Promise<boolean> {
  const results: ForgedFindings[] = []
  for (const kind of FORGED_KINDS.filter(({ name }) => options.only?.includes(name) ?? true)) {
    const result = await forge(kind, options)
    results.push(result)
    if (options.json) continue
    const refused = Object.entries(result.refused).map(([why, count]) => `${why} ${count}`)
    console.log(
      `${result.name.padEnd(14)} ${result.trials} forgeries, accepted ${result.accepted}, no forgery after all ${result.same}, ` +
        `refused: ${refused.join(', ')}; failed ${result.failed}; ${(result.ms / 1_000).toFixed(1)} s`
    )
    for (const failure of result.failures) console.log(`  ${failure}`)
  }
  const ok = results.every(({ accepted, failed }) => accepted === 0 && failed === 0)
  if (options.json) console.log(JSON.stringify({ ok, seed: options.seed, kinds: results }))
  else console.log(ok ? 'ok: nothing accepted, typed errors only' : 'FAILED')
  return ok
}
