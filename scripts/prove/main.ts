/** `npm run prove -- CASE [--json] [--name value]…`: what the project promises, measured on real processes and hosts. Exit code 1 if a promise is not kept. */
import { unavailable } from '../../test/fixtures/netns.ts'
import { wrongOption } from '../options.ts'

const CASES: Record<string, () => Promise<(options: Record<string, number>) => Promise<object>>> = {
  discovery: async () => (await import('./discovery.ts')).proveDiscovery,
  directory: async () => (await import('./directory.ts')).proveDirectory,
  late: async () => (await import('./late-joiner.ts')).proveLateJoiner,
  partition: async () => (await import('./partition.ts')).provePartition,
  dispatch: async () => (await import('./dispatch.ts')).proveDispatch,
  slow: async () => (await import('./slow-consumer.ts')).proveSlowConsumer,
  chaos: async () => (await import('./chaos.ts')).proveChaos,
  forward: async () => (await import('./forward.ts')).proveForward,
  revoke: async () => (await import('./revoke.ts')).proveRevocation,
  stranger: async () => (await import('./stranger.ts')).proveStranger,
  idle: async () => (await import('./idle.ts')).proveIdle,
  events: async () => (await import('./events.ts')).proveEvents,
  throttle: async () => (await import('./throttle.ts')).proveThrottle
}
/** On loopback alone. */
const WITHOUT_HOSTS = new Set(['events', 'throttle'])

/** What each takes, with a number. */
const OPTIONS: Record<string, string[]> = {
  discovery: ['starts'],
  directory: ['nodes', 'changes', 'settle'],
  late: ['nodes', 'joins'],
  partition: ['nodes', 'seconds', 'changes'],
  dispatch: ['seconds', 'callers', 'rate'],
  slow: ['seconds'],
  chaos: ['calls', 'killMs', 'seed'],
  forward: [
    'part',
    ...['lans', 'perLan', 'idleSeconds', 'settle', 'hosts', 'calls', 'megabytes', 'slowSeconds', 'delayMs'],
    ...['perSecond', 'seconds', 'rounds']
  ],
  revoke: ['nodes', 'revoked'],
  stranger: ['hosts', 'perSecond', 'scale', 'idle', 'seed'],
  idle: ['nodes', 'seconds', 'settle'],
  events: ['events', 'calm', 'mqtt', 'kills', 'seed', 'subjects', 'keep'],
  throttle: ['perSecond', 'seconds', 'throttleMs']
}

const [name = '', ...rest] = process.argv.slice(2)
const load = CASES[name]
if (load === undefined) {
  console.error(`usage: npm run prove -- CASE [--json] [--<option> <number>]…\ncases: ${Object.keys(CASES).join(', ')}`)
  process.exit(2)
}
const wrong = wrongOption(rest, ['json'], OPTIONS[name] ?? [])
if (wrong !== undefined) {
  console.error(wrong)
  process.exit(2)
}
const reason = WITHOUT_HOSTS.has(name) ? undefined : unavailable()
if (reason !== undefined) {
  console.error(`cannot run here: ${reason}`)
  process.exit(2)
}
const options: Record<string, number> = {}
for (let n = 0; n < rest.length; n++)
  if (rest[n]!.startsWith('--') && rest[n] !== '--json') options[rest[n]!.slice(2)] = Number(rest[++n])
const result = (await (await load())(options)) as { pass?: boolean }
console.log(rest.includes('--json') ? JSON.stringify(result) : JSON.stringify(result, undefined, 2))
process.exitCode = result.pass === false ? 1 : 0
