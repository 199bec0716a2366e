#!/usr/bin/env node
/** The command `atmo`. */
import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { addCall } from './call.ts'
import { addCapabilities } from './capabilities.ts'
import { EXIT, tellFailure } from './command-line.ts'
import { addCompletion } from './completion.ts'
import { wantsColor } from './output.ts'
import { addPeers } from './peers.ts'
import { addStart } from './start.ts'
import { addStatus } from './status.ts'
import { addStop } from './stop.ts'
import { addWatch } from './watch.ts'

// The reader went, as in `atmo watch | head -1`: that is its right, and nobody is left to tell.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failure))
process.stderr.on('error', () => {})

const argv = process.argv.slice(2)
const program = new Command('atmo')
  .description('Route work to whoever can do it: a peer-to-peer mesh of tools and triggers.')
  .version(VERSION)
  .exitOverride()
  .configureOutput({
    // With --json the failure is told once, on stdout.
    writeErr: (text) => void (argv.includes('--json') || process.stderr.write(text)),
    getOutHasColors: () => wantsColor(process.stdout),
    getErrHasColors: () => wantsColor(process.stderr)
  })
  .showHelpAfterError('(see --help)')
  .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage. With --json every command prints JSON, its errors too.')

for (const add of [addStart, addStatus, addPeers, addCapabilities, addCall, addWatch, addStop, addCompletion]) add(program)

try {
  await program.parseAsync(argv, { from: 'user' })
} catch (error) {
  process.exitCode = await tellFailure(error, argv)
}
