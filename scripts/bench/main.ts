/** `npm run bench -- <suite> [--json] [--option value]…`: runs one suite and prints its figures. */
import { join } from 'node:path'
import { bundle, buildPackage } from './bundle.ts'
import { calls } from './calls.ts'
import type { Suite } from './suite.ts'

const SUITES: Suite[] = [calls]

const root = join(import.meta.dirname, '../..')
const args = process.argv.slice(2)
const json = args.includes('--json')
const option = (name: string): string | undefined => {
  const at = args.indexOf(`--${name}`)
  return at === -1 ? undefined : args[at + 1]
}

const suite = SUITES.find(({ name }) => name === args[0])
if (suite === undefined) {
  console.error('usage: npm run bench -- <suite> [--json]\n')
  for (const { name, about } of SUITES) console.error(`  ${name.padEnd(8)} ${about}`)
  process.exit(2)
}
if (!buildPackage(root)) console.error('the package does not compile: measuring what was built last')
const compiled = await bundle(root, suite.entries)
const { results, table } = await suite.run({ compiled, option, log: (line) => console.error(line) })
console.log(json ? JSON.stringify(results) : table)
