/**
 * `npm run bench -- <suite> [--json] [--profile] [--option value]…`: runs one suite and prints its figures.
 * `--profile` shows where the CPU time of its processes went; the figures of such a run are not worth much.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle, buildPackage } from './bundle.ts'
import { bulk } from './bulk.ts'
import { calls } from './calls.ts'
import { profileTable } from './profile.ts'
import { connect } from './connect.ts'
import { dispatch } from './dispatch.ts'
import { frontDoor } from './front-door.ts'
import { routing } from './routing.ts'
import { streams } from './streams.ts'
import { wrongOption } from '../options.ts'
import type { Suite } from './suite.ts'

const SUITES: Suite[] = [calls, bulk, connect, dispatch, frontDoor, routing, streams]

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
  for (const { name, about } of SUITES) console.error(`  ${name.padEnd(10)} ${about}`)
  process.exit(2)
}
const wrong = wrongOption(args.slice(1), ['json', 'profile'], suite.options)
if (wrong !== undefined) {
  console.error(wrong)
  process.exit(2)
}
if (!buildPackage(root)) console.error('the package does not compile: measuring what was built last')
const compiled = await bundle(root, suite.entries)
const profiles = args.includes('--profile') ? mkdtempSync(join(tmpdir(), 'atmo-bench-')) : undefined
const execArgv = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`]
const { results, table } = await suite.run({ compiled, option, execArgv, log: (line) => console.error(line) })
if (profiles !== undefined) {
  console.error(`\nCPU time of all processes\n${profileTable(profiles)}\n`)
  rmSync(profiles, { recursive: true })
}
console.log(json ? JSON.stringify(results) : table)
