// Prints `passed failed skipped` of a report of mocha's JSON reporter, and what failed to the other stream. Fails if there is none.
import { readFileSync } from 'node:fs'

const { stats, failures: failed } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { passes, failures, pending } = stats
if (![passes, failures, pending].every(Number.isInteger)) throw new Error('not a report of mocha')
for (const { fullTitle, err } of failed) console.error(`- ${fullTitle}: ${String(err.message).split('\n', 1)[0]}`)
console.log(passes, failures, pending)
