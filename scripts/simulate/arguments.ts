import { parseArgs } from 'node:util'
import { NEAREST_PER_TYPE } from '../../src/core/routing/nearest.ts'
import { BYZANTINE_NODES } from './byzantine.ts'
import { CONVERGENCE_NODES } from './convergence.ts'
import { FAULT_KINDS, type FaultKind } from './faults.ts'
import { POLICIES } from './policies/index.ts'
import { LARGE_NODES } from './routing.ts'
import { TOPOLOGIES } from './topologies.ts'

/** Sites, if nothing is said, and at most; as many as the rows that a neighbour takes by name. */
const MAX_SITES = 500
/** Faults between sites at most. */
const MAX_SITES_FAULTS = 100
/** Fleets of `--dispatch` at most. */
const MAX_DISPATCH_SEEDS = 3

/** What `--help` says. */
export const USAGE = `usage: npm run simulate -- [options]

  --nodes N          nodes; default 50. From ${LARGE_NODES}: up to 20 types of providers, and of each the nearest are told
  --topology T       ${Object.keys(TOPOLOGIES).join(', ')}; default geometric
  --faults F         faults, often at once; default 200, from ${LARGE_NODES} nodes 20. 30 more follow one at a time: convergenceMs.
                     0 of ${LARGE_NODES} nodes or more: they start, and after 5 s are left alone for 20 s
  --kinds a,b        of ${FAULT_KINDS.join(', ')}; default all
  --origins N        nodes that others want routes to; default all, 512 at most (1,057 of 10,000)
  --nearest K        of a type so many providers are wanted, from ${LARGE_NODES} nodes; default ${NEAREST_PER_TYPE - 1}
  --policy P         ${Object.keys(POLICIES).join(', ')}; default gradient
  --seed S           the same seed gives the same run; default by chance, and printed
  --replay X         a file, or JSON, with the faults of a run that failed, as it was printed
  --json             one JSON object at the end; progress goes to stderr in any case

  --stress           many networks, until 10^6 next hops have been chosen (--selections N, --minutes M, --policy P)
  --table            all algorithms, and what they do when something happens (--seeds N)
  --convergence      a provider dies, a link fails, a partition heals, at ${CONVERGENCE_NODES} nodes (--nodes N, --topology T, --seeds N)
  --byzantine        a member that draws calls to itself and drops them, in ${BYZANTINE_NODES} nodes (--nodes N, --seeds N)
  --sites [N]        ${MAX_SITES} sites of 200 nodes, or N of them (--faults F)
  --dispatch         which provider gets a call: a mixed fleet under load (--seeds N)
  --help             this

Times that never came are "never" in text, and null in JSON.

Exit code: 0 if all that must hold holds, 1 if not, 2 for wrong usage. What makes it 1:
  one network, --sites   a loop, a ghost, a broken invariant, a connected pair without a route that works, unless it is
                         farther than routes go, 64 hops; where the nearest alone are told, and none as near in its place
  --stress               one of these in any network; --minutes are over before the selections are made
  --table                ours is in a loop, or not right again. To be slower than the design, or a row that others lose, is no failure
  --convergence          the limit of an event is passed, or there was a loop
  --byzantine            less than 95 % of the honest success
  --dispatch             nothing
  --policy P             nothing, unless P is gradient: the others are there to be compared with`

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

/** Nodes of the modes that have a number of their own. */
const DEFAULT_NODES: Partial<Record<Mode, number>> = { convergence: CONVERGENCE_NODES, byzantine: BYZANTINE_NODES }

/** What a run takes beside `seed` and `json`. What it would not look at is refused, so that nobody believes it did. */
const TAKEN: Readonly<Record<Exclude<Mode, 'help'> | 'replay', readonly string[]>> = {
  one: ['nodes', 'topology', 'faults', 'kinds', 'origins', 'nearest', 'policy'],
  replay: ['replay'],
  stress: ['selections', 'minutes', 'policy'],
  table: ['seeds'],
  convergence: ['nodes', 'topology', 'seeds'],
  byzantine: ['nodes', 'seeds'],
  sites: ['sites', 'faults'],
  dispatch: ['seeds']
}

/** @throws UsageError */
export function parseArguments(args: readonly string[]): SimulateArguments {
  const values = parse(args)
  const modes = MODES.filter((mode) => values[mode] !== undefined)
  if (modes.length > 1) throw new UsageError(`--${modes.join(' and --')} are different things; choose one`)
  const mode = modes[0] ?? 'one'
  const kinds = (values.kinds as string | undefined)?.split(',') ?? FAULT_KINDS
  for (const kind of kinds) oneOf('kinds', kind, FAULT_KINDS)
  const whole = (name: string, byDefault: number, least: number, most: number): number => {
    const text = values[name]
    if (text === undefined || text === true) return byDefault
    const number = Number(text)
    if (typeof text !== 'string' || !/^\d+$/.test(text) || number < least || number > most)
      throw new UsageError(`--${name} takes a whole number from ${least} to ${most}, not "${String(text)}"`)
    return number
  }
  const nodes = whole('nodes', DEFAULT_NODES[mode] ?? 50, mode === 'byzantine' ? 4 : 2, mode === 'byzantine' ? 200 : 20_000)
  const mostFaults = mode === 'sites' ? MAX_SITES_FAULTS : 100_000
  const mostSeeds = mode === 'dispatch' ? MAX_DISPATCH_SEEDS : 100
  const found: SimulateArguments = {
    mode,
    nodes,
    topology: oneOf('topology', (values.topology as string | undefined) ?? 'geometric', Object.keys(TOPOLOGIES)),
    faults: whole('faults', nodes < LARGE_NODES ? Math.min(200, mostFaults) : 20, 0, mostFaults),
    kinds: kinds as readonly FaultKind[],
    origins: values.origins === undefined ? undefined : whole('origins', 0, 1, nodes),
    nearest: whole('nearest', NEAREST_PER_TYPE - 1, 2, 64),
    policy: oneOf('policy', (values.policy as string | undefined) ?? 'gradient', Object.keys(POLICIES)),
    seed: whole('seed', Math.floor(Math.random() * 1_000_000), 0, 0x7fff_ffff),
    seeds: whole('seeds', Math.min(5, mostSeeds), 1, mostSeeds),
    selections: whole('selections', 1_000_000, 1, 1e9),
    minutes: whole('minutes', 10, 1, 600),
    sites: whole('sites', MAX_SITES, 2, MAX_SITES),
    replay: values.replay as string | undefined,
    json: values.json === true
  }
  refuseIgnored(values, found)
  return found
}

function refuseIgnored(values: Values, { mode, nodes, replay }: SimulateArguments): void {
  if (mode === 'help') return
  const run = mode === 'one' && replay !== undefined ? 'replay' : mode
  // A replay brings its own seed.
  const taken = new Set([...TAKEN[run], 'json', ...(run === 'replay' ? [] : ['seed'])])
  const where = { one: 'one network', replay: '--replay' }[run as string] ?? `--${run}`
  for (const name of Object.keys(values))
    if (!taken.has(name) && name !== mode) throw new UsageError(`--${name} means nothing to ${where}`)
  if (values.nearest !== undefined && nodes < LARGE_NODES)
    throw new UsageError(`--nearest means nothing below ${LARGE_NODES} nodes, where all providers are told`)
}

const NUMBERS = ['nodes', 'faults', 'origins', 'nearest', 'seed', 'seeds', 'selections', 'minutes'] as const
const WORDS = ['topology', 'kinds', 'policy', 'replay'] as const

type Values = Record<string, string | boolean | undefined>

function parse(args: readonly string[]): Values {
  const given = [...args]
  // `--sites 100` says how many, `--sites` alone does not have to.
  const sites = given.indexOf('--sites')
  const count = sites >= 0 && /^(?!--)./.test(given[sites + 1] ?? '') ? given.splice(sites + 1, 1)[0] : undefined
  const strings = Object.fromEntries([...NUMBERS, ...WORDS].map((name) => [name, { type: 'string' as const }]))
  const flags = Object.fromEntries([...MODES, 'json'].map((name) => [name, { type: 'boolean' as const }]))
  try {
    const values: Values = parseArgs({ args: given, options: { ...strings, ...flags }, strict: true }).values
    return count === undefined ? { ...values } : { ...values, sites: count }
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function oneOf(name: string, value: string, among: readonly string[]): string {
  if (!among.includes(value)) throw new UsageError(`--${name} takes ${among.join(', ')}, not "${value}"`)
  return value
}
