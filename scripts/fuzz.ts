/**
 * `npm run fuzz [-- --frames N] [--seed N] [--only name,…] [--json]`: hostile frames into every decoder. Exit 1 if one misbehaves.
 * `npm run fuzz -- --accept N`: so many forged certificates, revocations and invites each, put to the checks. Exit 1 if one is accepted.
 */
import { runForgeries } from './fuzz/accept.ts'
import { DECODERS } from './fuzz/decoders.ts'
import { fuzz } from './fuzz/run.ts'
import type { Findings } from './fuzz/run.ts'

const MIB = 1024 * 1024
/** The heap may differ by this much between the first tenth of the frames and the end: caches of the engine, not a leak. */
const MAX_GROWTH_BYTES = 4 * MIB
const MAX_FRAME_MS = 1_000

const args = process.argv.slice(2)
const option = (name: string): string | undefined =>
  args.includes(`--${name}`) ? args[args.indexOf(`--${name}`) + 1] : undefined
const json = args.includes('--json')
const frames = Number(option('frames') ?? 100_000)
const seed = Number(option('seed') ?? 1)
const only = option('only')?.split(',')

const accept = option('accept')
if (accept !== undefined) process.exit((await runForgeries({ trials: Number(accept), seed, only, json })) ? 0 : 1)

const heapBytes = (): number => {
  if (globalThis.gc === undefined) throw new Error('start with node --expose-gc (npm run fuzz does)')
  globalThis.gc()
  return process.memoryUsage().heapUsed
}

const results: (Findings & { heapGrowthBytes: number; framesPerSecond: number })[] = []
for (const decoder of DECODERS.filter(({ name }) => only?.includes(name) ?? true)) {
  fuzz(decoder, { frames: Math.ceil(frames / 10), seed: seed + 1 })
  const before = heapBytes()
  const start = performance.now()
  const findings = fuzz(decoder, { frames, seed })
  const framesPerSecond = Math.round(frames / ((performance.now() - start) / 1_000))
  const result = { ...findings, heapGrowthBytes: heapBytes() - before, framesPerSecond }
  results.push(result)
  if (!json) {
    const refused = Object.entries(result.refused).map(([code, count]) => `${code} ${count}`)
    const growth = (result.heapGrowthBytes / MIB).toFixed(2)
    console.log(
      `${result.name.padEnd(22)} ${frames} frames, accepted ${result.accepted}, ${refused.join(', ')}, ` +
        `failed ${result.failed}, heap ${growth} MiB, slowest ${result.slowestMs.toFixed(1)} ms, ${framesPerSecond}/s`
    )
    for (const { error, frame } of result.failures) console.log(`  ${error}\n  frame ${frame}`)
  }
}

const bad = results.filter((r) => r.failed > 0 || r.heapGrowthBytes > MAX_GROWTH_BYTES || r.slowestMs > MAX_FRAME_MS)
if (json) console.log(JSON.stringify({ ok: bad.length === 0, seed, framesPerDecoder: frames, decoders: results }))
else console.log(bad.length === 0 ? 'ok: typed errors only, no growth' : `FAILED: ${bad.map(({ name }) => name).join(', ')}`)
process.exitCode = bad.length === 0 ? 0 : 1
