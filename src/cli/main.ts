#!/usr/bin/env node
/** The command `atmo`. */
import { EXIT, tellFailure } from './command-line.ts'
import { createProgram } from './program.ts'

// The reader went, as in `atmo watch | head -1`: that is its right, and nobody is left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failure))
process.stderr.on('error', () => {})

const argv = process.argv.slice(2)
try {
  // With --json a failure is told once, on stdout.
  await createProgram(argv.includes('--json')).parseAsync(argv, { from: 'user' })
} catch (error) {
  process.exitCode = await tellFailure(error, argv)
}
