import { parseArgs } from 'node:util'
import { NEAREST_PER_TYPE } from '../../src/core/routing/nearest.ts'
import { CONVERGENCE_NODES } from './convergence.ts'
import { FAULT_KINDS, type FaultKind } from './faults.ts'
import { POLICIES } from './policies/index.ts'
import { TOPOLOGIES } from './topologies.ts'

/** What `--help` says. */
export const USAGE = `usage: npm run simulate -- [options]

  --nodes N          nodes; default 50. From 2,000: up to 20 types of providers, and of each the nearest are told
  --topology T       ${Object.keys(TOPOLOGIES).join(', ')}; default geometric
  --faults F         faults, often at once; default 200. 30 more follow one at a time: convergenceMs
  --kinds a,b        of ${FAULT_KINDS.join(', ')}; default all
  --origins N        nodes that others want routes to; default all, 512 at most (1,057 of 10,000)
  --nearest K        of a type so many providers are wanted, from 2,000 nodes; default ${NEAREST_PER_TYPE - 1}
  --policy P         ${Object.keys(POLICIES).join(', ')}; default gradient
  --seed S           the same seed gives the same run; default by chance, and printed
  --replay X         a file, or JSON, with the faults of a run that failed, as it was printed
  --json             one JSON object at the end; progress goes to stderr in any case

  --stress           many networks, until 10^6 next hops have been chosen (--selections N, --minutes M)
  --table            all algorithms, and what they do when something happens (--seeds N)
  --convergence      a provider dies, a link fails, a partition heals, at ${CONVERGENCE_NODES} nodes (--nodes N, --topology T, --seeds N)
  --byzantine        a member that draws calls to itself and drops them (--seeds N)
  --sites [N]        500 sites of 200 nodes, or N of them
  --dispatch         which provider gets a call: a mixed fleet under load
  --help             this

Exit code: 0 if all that must hold holds, 1 if not, 2 for wrong usage.`

/** What a run is asked to do. */
export type Mode = 'one' | 'stress' | 'table' | 'convergence' | 'byzantine' | 'sites' | 'dispatch' | 'help'

/** The arguments, checked. */
export interface SimulateArguments {
  mode: Mode
  nodes: number
  topology: string
  faults: number
  kinds: readonly FaultKind[]
  origins: number | undefined
  /** Providers of each type that a node wants, where it cannot hear of all. */
  nearest: number
  policy: string
  seed: number
  seeds: number
  selections: number
  minutes: number
  sites: number
  replay: string | undefined
  json: boolean
}

/** What is wrong with the arguments. */
export class UsageError extends Error {}

const MODES = ['stress', 'table', 'convergence', 'byzantine', 'sites', 'dispatch', 'help'] as const

/** @throws UsageError */
export function parseArguments(args: readonly string[]): SimulateArguments {
  const values = parse(args)
  const modes = MODES.filter((mode) => values[mode] === true)
  if (modes.length > 1) throw new UsageError(`--${modes.join(' and --')} are different things; choose one`)
  const kinds = (values.kinds as string | undefined)?.split(',') ?? FAULT_KINDS
  for (const kind of kinds) oneOf('kinds', kind, FAULT_KINDS)
  const whole = (name: string, byDefault: number, least: number, most: number): number => {
    const text = values[name]
    if (text === undefined) return byDefault
    const number = Number(text)
    if (typeof text !== 'string' || !/^\d+$/.test(text) || number < least || number > most)
      throw new UsageError(`--${name} takes a whole number from ${least} to ${most}, not "${String(text)}"`)
    return number
  }
  const nodes = whole('nodes', values.convergence === true ? CONVERGENCE_NODES : 50, 2, 20_000)
  return {
    mode: modes[0] ?? 'one',
    nodes,
    topology: oneOf('topology', (values.topology as string | undefined) ?? 'geometric', Object.keys(TOPOLOGIES)),
    faults: whole('faults', nodes < 2_000 ? 200 : 20, 0, 100_000),
    kinds: kinds as readonly FaultKind[],
    origins: values.origins === undefined ? undefined : whole('origins', 0, 1, nodes),
    nearest: whole('nearest', NEAREST_PER_TYPE - 1, 2, 64),
    policy: oneOf('policy', (values.policy as string | undefined) ?? 'gradient', Object.keys(POLICIES)),
    seed: whole('seed', Math.floor(Math.random() * 1_000_000), 0, 0x7fff_ffff),
    seeds: whole('seeds', 5, 1, 100),
    selections: whole('selections', 1_000_000, 1, 1e9),
    minutes: whole('minutes', 10, 1, 600),
    sites: whole('count', 500, 2, 500),
    replay: values.replay as string | undefined,
    json: values.json === true
  }
}

const NUMBERS = ['nodes', 'faults', 'origins', 'nearest', 'seed', 'seeds', 'selections', 'minutes', 'count'] as const
const WORDS = ['topology', 'kinds', 'policy', 'replay'] as const

function parse(args: readonly string[]): Record<string, string | boolean | undefined> {
  const given = [...args]
  // `--sites 100` says how many, `--sites` alone does not have to.
  const sites = given.indexOf('--sites')
  if (sites >= 0 && /^\d+$/.test(given[sites + 1] ?? '')) given.splice(sites + 1, 0, '--count')
  const strings = Object.fromEntries([...NUMBERS, ...WORDS].map((name) => [name, { type: 'string' as const }]))
  const flags = Object.fromEntries([...MODES, 'json'].map((name) => [name, { type: 'boolean' as const }]))
  try {
    return parseArgs({ args: given, options: { ...strings, ...flags }, strict: true }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function oneOf(name: string, value: string, among: readonly string[]): string {
  if (!among.includes(value)) throw new UsageError(`--${name} takes ${among.join(', ')}, not "${value}"`)
  return value
}
