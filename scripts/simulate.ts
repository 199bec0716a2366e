/**
 * `npm run simulate [-- options]`: the routing of the product, and that of others, in networks that do not exist. See `--help`.
 * Exit code 0 if all that must hold holds, else 1; 2 for wrong usage. With --json one object comes last on stdout.
 */
import { UsageError, USAGE, parseArguments, type SimulateArguments } from './simulate/arguments.ts'
import {
  runByzantine,
  runConvergences,
  runDispatch,
  runManySites,
  runOneNetwork,
  runStressed,
  runTables,
  type ModeResult
} from './simulate/modes.ts'

function readArguments(): SimulateArguments {
  try {
    return parseArguments(process.argv.slice(2))
  } catch (error) {
    return refuse(error)
  }
}

function refuse(error: unknown): never {
  if (!(error instanceof UsageError)) throw error
  console.error(`${error.message}\n\n${USAGE}`)
  process.exit(2)
}

const args = readArguments()
if (args.mode === 'help') {
  console.log(USAGE)
  process.exit(0)
}

const RUNS: Record<Exclude<SimulateArguments['mode'], 'help'>, (args: SimulateArguments) => ModeResult | Promise<ModeResult>> = {
  one: runOneNetwork,
  stress: runStressed,
  table: runTables,
  convergence: runConvergences,
  byzantine: runByzantine,
  sites: runManySites,
  dispatch: runDispatch
}

console.error(`seed ${args.seed}`)
try {
  const { report, text, holds } = await RUNS[args.mode](args)
  console.log(args.json ? JSON.stringify(report) : text)
  process.exitCode = holds ? 0 : 1
} catch (error) {
  refuse(error)
}
