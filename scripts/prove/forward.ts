/** Calls past one hop, on hosts where only neighbours can connect: what works over hops, what they cost, what is left of it when hosts and links fail, and what forwarders see. */
import { proveLine } from './forward/line.ts'
import { proveRing } from './forward/ring.ts'
import { proveSecrecy } from './forward/secrecy.ts'
import { proveLans } from './forward/lans.ts'

/** The parts, by their number. */
const PARTS: [name: string, prove: (options: Record<string, number>) => Promise<{ pass: boolean }>][] = [
  ['line', proveLine],
  ['ring', proveRing],
  ['secrecy', proveSecrecy],
  ['lans', proveLans]
]

/** @param options `part`: only that one, 1 to 4; and those of the parts. */
export async function proveForward(options: Record<string, number> = {}): Promise<object> {
  const { part } = options
  const results: Record<string, { pass: boolean }> = {}
  for (const [n, [name, prove]] of PARTS.entries()) {
    if (part !== undefined && part !== n + 1) continue
    results[name] = await prove(options)
    process.stderr.write(`${name}: ${results[name].pass ? 'pass' : 'FAIL'}\n`)
  }
  const all = Object.values(results)
  return { ...results, pass: all.length > 0 && all.every(({ pass }) => pass) }
}
