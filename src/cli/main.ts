#!/usr/bin/env node
/** The command `atmo`. */
import { writeSync } from 'node:fs'
import { EXIT, tellFailure } from './command-line.ts'
import { createProgram } from './program.ts'

// The reader went, as in `atmo watch | head -1`: that is its right, and nobody is left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok)
  writeSync(2, `error: cannot write to standard output (${error.code ?? error.message})\n`)
  process.exit(EXIT.failure)
})
process.stderr.on('error', () => {})

const argv = process.argv.slice(2)
try {
  // With --json a failure is told once, on stdout.
  const program = await createProgram(argv.includes('--json'), argv)
  await program.parseAsync(argv, { from: 'user' })
} catch (error) {
  process.exitCode = await tellFailure(error, argv)
}
