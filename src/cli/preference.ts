/** The options of the choice among providers, of all commands that make one. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import type { DispatchPreference } from '../mesh-api.ts'
import { gather, usageError } from './command-line.ts'

const PREFERS = ['local', 'fast', 'cheap'] as const satisfies NonNullable<DispatchPreference['prefer']>[]

/** What {@link withPreference} adds, as commander gives it. */
export interface PreferenceFlags {
  node?: string
  prefer?: DispatchPreference['prefer']
  notNode?: string[]
  maxLatency?: number
}

/** Adds `--node`, `--not-node`, `--prefer` and `--max-latency`. */
export function withPreference(command: Command): Command {
  return command
    .option('--node <node>', 'only this node (name or peer id)')
    .option('--not-node <node>', 'not this node (name or peer id); may be given several times', gather)
    .addOption(
      new Option(
        '--prefer <what>',
        'local: this node if it can; fast: who is done first, whatever it costs; cheap: what costs least (default: who is done first, costs counted)'
      ).choices(PREFERS)
    )
    .option('--max-latency <ms>', 'not those that are expected to take longer, in milliseconds', parseMs)
}

/** The preference, and the only node, as the local API takes them. Throws wrong usage. */
export function preferenceOf({ node, notNode, prefer, maxLatency }: PreferenceFlags): DispatchPreference & { node?: string } {
  if (node !== undefined && notNode?.includes(node) === true)
    throw usageError(`--node and --not-node both name ${node}: nobody is left`)
  return {
    ...(node !== undefined && { node }),
    ...(notNode !== undefined && { notNode }),
    ...(prefer !== undefined && { prefer }),
    ...(maxLatency !== undefined && { maxLatencyMs: maxLatency })
  }
}

function parseMs(text: string): number {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN
  if (!(ms > 0)) throw new InvalidArgumentError('Write milliseconds above 0, such as 250.')
  return ms
}
