// Prints `passed failed skipped` of a report of mocha's JSON reporter. Fails if there is none.
import { readFileSync } from 'node:fs'

const { stats } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { passes, failures, pending } = stats
if (![passes, failures, pending].every(Number.isInteger)) throw new Error('not a report of mocha')
console.log(passes, failures, pending)
