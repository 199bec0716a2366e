import type { StrangerFindings } from './attack.ts'
import type { Heard } from './ears.ts'
import type { Holdings, namedIn } from './kept.ts'
import type { ApiFindings } from './process.ts'
import { TRANSPORTS } from './transports.ts'

/** Share of a core that strangers may cost, in percent, on each transport. */
const MAX_CPU_PERCENT = 10
/** Attempts that the victim answers in some way, over each transport. */
const MIN_REACHED = 1_000
/** Peers that are remembered as not of this mesh, so that they are not dialled. */
const MAX_AVOIDED = 1_024

/** What came of the attempts over one transport. */
export interface OverTransport {
  findings: StrangerFindings
  /** Of a core, beyond what the node costs by itself. */
  cpuPercent: number
  cpuMsPerConnection: number
  /** What has changed since before everything, in words. */
  kept: string[]
  holdings: Holdings
}

/** Everything that was measured. */
export interface Outcome {
  over: Record<string, OverTransport>
  strangers: object
  local: ApiFindings
  remote: ApiFindings
  secrets: Record<string, string[]>
  named: ReturnType<typeof namedIn>
  control: ReturnType<typeof namedIn>
  idlePercent: number
  invites: number
  stillCalls: boolean
}

/** Of all strangers together. */
export function merged(all: StrangerFindings[]): StrangerFindings {
  const [first, ...rest] = all
  const total = structuredClone(first!)
  for (const one of rest) {
    for (const [kind, { attempts, reached }] of Object.entries(one.attempts)) {
      const row = (total.attempts[kind] ??= { attempts: 0, reached: 0 })
      row.attempts += attempts
      row.reached += reached
    }
    for (const count of ['connections', 'turnedAway', 'neverClosed', 'dialled'] as const) total[count] += one[count]
    for (const [said, times] of Object.entries(one.turnedAwayBy))
      total.turnedAwayBy[said] = (total.turnedAwayBy[said] ?? 0) + times
    Object.assign(total.identities, one.identities)
    addHeard(total.heard, one.heard)
  }
  return total
}

function addHeard(total: Heard, one: Heard): void {
  for (const count of ['streams', 'negotiationBytes', 'documentedBytes', 'learntBytes'] as const) total[count] += one[count]
  for (const [word, times] of Object.entries(one.documented)) total.documented[word] = (total.documented[word] ?? 0) + times
  total.learnt.push(...one.learnt)
  total.secrets = [...new Set([...total.secrets, ...one.secrets])]
}

/** Figures and verdicts; a table of them goes to stderr. */
export function report({
  over,
  strangers,
  local,
  remote,
  secrets,
  named,
  control,
  idlePercent,
  invites,
  stillCalls
}: Outcome): object {
  const all = Object.values(over)
  const inApi = Object.entries(secrets)
    .filter(([, needles]) =>
      [...local.bodies, ...remote.bodies].some((body) =>
        needles.some((hex) => body.includes(Buffer.from(hex, 'hex').toString('latin1')))
      )
    )
    .map(([name]) => name)
  const checks = {
    [`${MIN_REACHED} attempts reached the node over each transport`]:
      all.length === TRANSPORTS.length && all.every(({ findings }) => total(findings).reached >= MIN_REACHED),
    'no byte but refusals': all.every(({ findings: { heard } }) => heard.learntBytes === 0 && wordsOf(heard).length > 0),
    'no secret heard': all.every(({ findings: { heard } }) => heard.secrets.length === 0) && inApi.length === 0,
    'all who are refused a proof are told the same': all.every(
      ({ findings: { heard } }) =>
        wordsOf(heard).filter((word) => word.includes('permission_denied') && word.includes('/member/')).length === 1
    ),
    'no route without a token': statusesOf(local).every((status) => status === '401' || status === '403'),
    'no route from elsewhere': statusesOf(remote).every((status) => status === '0'),
    'who says nothing is disconnected': all.every(({ findings }) => findings.neverClosed === 0),
    'nothing kept': all.every(({ kept }) => kept.length === 0) && named.inPeerStore.length === 0 && named.byId <= MAX_AVOIDED,
    'the search of the heap finds a member': control.byId === 1 && control.inPeerStore.length === 1,
    'the victim heard of strangers by mDNS, too': all.some(({ findings }) => findings.dialled > 0),
    'the mesh goes on': stillCalls,
    'little CPU': all.every(({ cpuPercent }) => cpuPercent < MAX_CPU_PERCENT)
  }
  table(over, checks)
  return {
    strangers,
    over: Object.fromEntries(Object.entries(over).map(([name, one]) => [name, summary(one)])),
    attempts: Object.fromEntries(Object.entries(over).map(([name, { findings }]) => [name, findings.attempts])),
    invitesOutMeanwhile: invites,
    heard: Object.fromEntries(Object.entries(over).map(([name, { findings }]) => [name, findings.heard])),
    api: { local, remote },
    named,
    cpuPercentOfACoreIdle: idlePercent,
    checks,
    pass: Object.values(checks).every(Boolean)
  }
}

function summary({ findings, cpuPercent, cpuMsPerConnection, kept, holdings }: OverTransport): object {
  const { connections, turnedAway, turnedAwayBy, neverClosed, dialled, heard } = findings
  const { heapUsed, rss, native } = holdings.probe
  return {
    ...total(findings),
    connections,
    turnedAway,
    turnedAwayBy,
    neverClosed,
    dialled,
    learntBytes: heard.learntBytes,
    kept,
    heapMb: mb(heapUsed),
    rssMb: mb(rss),
    native,
    cpuPercent,
    cpuMsPerConnection
  }
}

function table(over: Record<string, OverTransport>, checks: Record<string, boolean>): void {
  const row = (what: string, cell: (one: OverTransport) => string | number): void =>
    line([what, ...Object.values(over).map(cell)])
  line(['', ...Object.keys(over)])
  const kinds = new Set(Object.values(over).flatMap(({ findings }) => Object.keys(findings.attempts)))
  for (const kind of kinds) row(kind, ({ findings }) => findings.attempts[kind]?.attempts ?? 0)
  row('attempts', ({ findings }) => total(findings).attempts)
  row('that reached the node', ({ findings }) => total(findings).reached)
  row('connections', ({ findings }) => findings.connections)
  row('connections turned away', ({ findings }) => findings.turnedAway)
  row('bytes learnt', ({ findings }) => findings.heard.learntBytes)
  row('things kept', ({ kept }) => kept.length)
  row('CPU, percent of a core', ({ cpuPercent }) => cpuPercent.toFixed(1))
  row('CPU for a connection, ms', ({ cpuMsPerConnection }) => cpuMsPerConnection.toFixed(1))
  for (const [what, held] of Object.entries(checks)) line([what, held ? 'yes' : 'NO'])
}

function line([what, ...cells]: (string | number)[]): void {
  process.stderr.write(`${String(what).padEnd(56)}${cells.map((cell) => String(cell).padStart(12)).join('')}\n`)
}

function total({ attempts }: StrangerFindings): { attempts: number; reached: number } {
  const rows = Object.values(attempts)
  return { attempts: sum(rows.map((row) => row.attempts)), reached: sum(rows.map((row) => row.reached)) }
}

const wordsOf = ({ documented }: Heard): string[] => Object.keys(documented)
const statusesOf = ({ statuses }: ApiFindings): string[] => Object.keys(statuses)
const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0)
const mb = (bytes: number): number => Math.round(bytes / 1024 / 1024)
