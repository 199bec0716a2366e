/** What all commands share: their options, their errors, their exit codes. */
import { CommanderError, InvalidArgumentError, type Command } from 'commander'
import { resolveDataDir } from '../data-dir.ts'
import { errorToJson, toMeshError } from '../errors.ts'
import { createOutput, plainText, type Output } from './output.ts'

/** Exit codes: all there are. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const

const USAGE = 'atmo.usage'
/** What the local API waits for at most, in ms. */
const MAX_WAIT_MS = 60_000

/** Options of every command that talks to a node. */
export interface NodeOptions {
  dataDir?: string
  json?: boolean
}

/** What a command works with. */
export interface CommandContext {
  /** Absolute. */
  dataDir: string
  output: Output
}

/** Adds `--data-dir` and `--json`. */
export function withNodeOptions(command: Command): Command {
  return command
    .option('--data-dir <dir>', 'data directory of the node (default: $ATMO_DATA_DIR, else the one of this user)')
    .option('--json', 'print JSON, one object a line')
}

/** The context of a command from its options. */
export function contextOf(options: NodeOptions): CommandContext {
  return { dataDir: resolveDataDir(options.dataDir), output: createOutput(options.json ?? false) }
}

/** Wrong usage that only the command itself can see; ends with exit code 2. */
export function usageError(message: string): CommanderError {
  return new CommanderError(EXIT.usage, USAGE, message)
}

/** For a command that has commands of its own, and does something without one, too. @throws wrong usage if it was given another. */
export function refuseUnknownCommand(command: Command): void {
  const [first] = command.args
  const own = command.commands.map((one) => one.name()).join(', ')
  if (first !== undefined) throw usageError(`no such command: atmo ${command.name()} ${first.slice(0, 80)}; there are: ${own}`)
}

const UNITS_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/**
 * Reads a duration: `500ms`, `5s`, `2m`, `1h`; a bare number is seconds, and fractions are fine. The result is in ms.
 * From 1 ms to 24 h. Throws wrong usage.
 */
export function parseDuration(text: string): number {
  const ms = readDuration(text)
  if (ms === undefined || ms > 86_400_000)
    throw new InvalidArgumentError('Write 500ms, 5s, 2m or 1h (a bare number is seconds; at most 24h).')
  return ms
}

/** Like {@link parseDuration}, of any length: `36h`, `7d`, `2w`. */
export function parseSpan(text: string): number {
  const ms = readDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('Write 30m, 36h, 7d or 2w (a bare number is seconds).')
  return ms
}

/** Like {@link parseDuration}, of at most one minute, and 0: not at all. */
export function parseWait(text: string): number {
  const ms = readDuration(text, 0)
  if (ms === undefined || ms > MAX_WAIT_MS)
    throw new InvalidArgumentError('Write 0, 500ms, 5s or 1m (a bare number is seconds; 0 does not wait; at most 1m).')
  return ms
}

function readDuration(text: string, leastMs = 1): number | undefined {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|min|h|d|w)?$/.exec(text.trim())
  const ms = Number(match?.[1]) * UNITS_MS[match?.[2] ?? 's']!
  return match !== null && (ms >= 1 || ms === leastMs) ? Math.round(ms) : undefined
}

/** Gathers an option that may be given several times. */
export function gather(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

/**
 * Tells a failure and returns the exit code. With `--json` it goes to stdout, as `{"error":{…}}`, for `call` and `ask` as
 * `{"status":"error","error":{…}}`; else to stderr.
 */
export async function tellFailure(error: unknown, argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json')
  const output = createOutput(json)
  const usage = error instanceof CommanderError
  if (usage && error.exitCode === 0) return EXIT.ok
  const told = usage ? { code: 'invalid_argument', message: usageText(error), details: {} } : errorToJson(error)
  if (json)
    await output.out(`${JSON.stringify({ ...(['call', 'ask'].includes(argv[0] ?? '') && { status: 'error' }), error: told })}\n`)
  // Commander has told its own mistakes already.
  else if (!usage || error.code === USAGE)
    await output.err(`${output.errorColors.red('error:')} ${plainText(told.message)}${hint(told.details, output)}\n`)
  return usage ? EXIT.usage : EXIT.failure
}

function usageText(error: CommanderError): string {
  return error.code === 'commander.help' ? 'name a command; see atmo --help' : error.message.replace(/^error: /, '')
}

function hint(details: Record<string, unknown>, { errorColors }: Output): string {
  const text = details['hint']
  return typeof text === 'string' ? `\n${errorColors.dim(plainText(text))}` : ''
}

/** True if a signal of the user ended it. */
export function isCancelled(error: unknown): boolean {
  return toMeshError(error).code === 'cancelled'
}

/** A signal that aborts at Ctrl-C or SIGTERM, until `off` is called. A second one ends the process. */
export function interruptSignal(): { signal: AbortSignal; off: () => void } {
  const abort = new AbortController()
  const onSignal = () => {
    if (abort.signal.aborted) process.exit(EXIT.failure)
    abort.abort(new DOMException('interrupted', 'AbortError'))
  }
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const name of signals) process.on(name, onSignal)
  return { signal: abort.signal, off: () => signals.forEach((name) => process.off(name, onSignal)) }
}
