/** A stranger on the network of a private mesh, who knows the protocols and the id of the mesh and tries everything: what does it learn, what stays of it, what does it cost? */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { originBytes } from '../../src/core/document.ts'
import { createLab, type Host } from '../../test/fixtures/netns.ts'
import type { StrangerFindings } from './stranger/attack.ts'
import { proofOf } from './stranger/frames.ts'
import { atmo, startAgent, startNode, type ProvedNode } from './stranger/hosts.ts'
import { changes, holdingsOf, namedIn, type Holdings } from './stranger/kept.ts'
import type { ApiFindings } from './stranger/process.ts'
import { TRANSPORTS } from './stranger/transports.ts'

/** Share of a core that strangers may cost, in percent. */
const MAX_CPU_PERCENT = 10
const MIN_ATTEMPTS = 1_000
/** Peers that are remembered as not of this mesh, so that they are not dialled. */
const MAX_AVOIDED = 1_024
/** What strangers began has ended within this time: a connection without a proof lives for 10 s. */
const SETTLE_MS = 20_000
const SETTLE_POLL_MS = 500
const INVITE_EVERY_MS = 10_000

/** @param seconds how long the stranger tries. @param idle seconds before, for what the node costs by itself. @param scale times about 300 connections. A host that fails too often is turned away, so that a higher one adds less than its share. */
export async function proveStranger({
  seconds = 80,
  idle = 15,
  scale = 1.5,
  seed = 1
}: { seconds?: number; idle?: number; scale?: number; seed?: number } = {}): Promise<object> {
  const dirs = mkdtempSync(join(tmpdir(), 'atmo-stranger-'))
  const lab = createLab(Array.from({ length: 3 }, () => ({ linkLocal6: false })))
  const [victimHost, memberHost, strangerHost] = lab.hosts as [Host, Host, Host]
  // Names that occur nowhere else, so that a single one that is heard is found.
  const word = (): string =>
    `q${Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => (byte % 36).toString(36)).join('')}`
  const names = { victim: word(), member: word(), capability: word(), tool: word() }
  try {
    const [victimData, memberData] = [join(dirs, 'v'), join(dirs, 'm')]
    const config = join(dirs, 'atmo.yaml')
    writeFileSync(config, configOf(names))
    const listen = TRANSPORTS.flatMap((transport) => ['--listen', transport.listen])
    const victim = await startNode(lab, victimHost, victimData, ['--name', names.victim, '--config', config, ...listen])
    const { code } = await victim.api<{ code: string }>('/mesh/invites', { role: 'member' })
    atmo(lab, memberHost, 'join', code, '--name', names.member, '--data-dir', memberData)
    const member = await startNode(lab, memberHost, memberData, ['--name', names.member, ...listen])
    const call = (): Promise<unknown> => member.api(`/capabilities/${names.capability}/tools/${names.tool}`, {})
    await eventually(call, SETTLE_MS)
    const agent = await startAgent(lab, strangerHost)
    // No host here has a default route, which a library that names no interface needs for multicast.
    lab.exec(strangerHost, ['ip', 'route', 'add', '224.0.0.0/4', 'dev', 'eth0'])

    const before = await holdingsOf(victim)
    const idleFrom = { cpuS: victim.cpuS(), at: performance.now() }
    await after(idle * 1_000)
    const idlePercent = percent(victim, idleFrom)

    const { overheard, secrets } = secretsOf(victim, member, names)
    const { multiaddrs, mesh, peerId, api } = victim.ready
    const from = { cpuS: victim.cpuS(), at: performance.now() }
    const given = victimHost.ip4!
    const attack = agent.ask<StrangerFindings>(
      'stranger',
      { victim: peerId, mesh: mesh.id, multiaddrs, host: given, overheard, secrets, seconds, scale, seed },
      (seconds + 120) * 1_000
    )
    // In the first half no invite is out, and the desk is shut.
    const inviting = repeat(() => victim.api('/mesh/invites', { role: 'guest' }), {
      everyMs: INVITE_EVERY_MS,
      afterMs: seconds * 500
    })
    const [local, remote] = await Promise.all([
      victim.local.ask<ApiFindings>('routes', { api }, (seconds + 60) * 1_000),
      agent.ask<ApiFindings>('routes', { api: api.replace(/127\.0\.0\.1|\[::1\]/, given) }, (seconds + 60) * 1_000)
    ])
    const findings = await attack
    const attackPercent = percent(victim, from)
    const invites = await inviting()

    const kept = await settled(victim, before)
    const heap = readFileSync(kept.holdings.probe.heap!, 'latin1')
    const named = namedIn(heap, findings.identities)
    // That it finds who is there shows that it would find who is not to be.
    const control = namedIn(heap, { [member.ready.peerId]: 'member' })
    const stillCalls = await call().then(
      () => true,
      () => false
    )
    return report({ findings, local, remote, secrets, kept, named, control, idlePercent, attackPercent, invites, stillCalls })
  } finally {
    await lab.close()
    rmSync(dirs, { recursive: true, force: true })
  }
}

interface Outcome {
  findings: StrangerFindings
  local: ApiFindings
  remote: ApiFindings
  secrets: Record<string, string[]>
  kept: { changed: string[]; holdings: Holdings }
  named: ReturnType<typeof namedIn>
  control: ReturnType<typeof namedIn>
  idlePercent: number
  attackPercent: number
  invites: number
  stillCalls: boolean
}

function report({
  findings,
  local,
  remote,
  secrets,
  kept,
  named,
  control,
  idlePercent,
  attackPercent,
  invites,
  stillCalls
}: Outcome): object {
  const { heard, identities, attempts, ...counts } = findings
  const tried = sum(Object.values(attempts).flatMap((row) => Object.values(row)))
  const all = tried + local.attempts + remote.attempts
  const cpuPercent = attackPercent - idlePercent
  const inApi = Object.entries(secrets)
    .filter(([, needles]) =>
      [...local.bodies, ...remote.bodies].some((body) =>
        needles.some((hex) => body.includes(Buffer.from(hex, 'hex').toString('latin1')))
      )
    )
    .map(([name]) => name)
  const words = Object.keys(heard.documented)
  const checks = {
    'enough was tried':
      all >= MIN_ATTEMPTS && TRANSPORTS.every(({ name }) => Object.values(attempts).some((row) => (row[name] ?? 0) > 0)),
    'no byte but refusals': heard.learnt.length === 0 && words.length > 0,
    'no secret heard': heard.secrets.length === 0 && inApi.length === 0,
    'all who are refused a proof are told the same':
      words.filter((word) => word.includes('permission_denied') && word.includes('/member/')).length === 1,
    'no route without a token': statusesOf(local).every((status) => status === '401' || status === '403'),
    'no route from elsewhere': statusesOf(remote).every((status) => status === '0'),
    'who says nothing is disconnected': counts.neverClosed === 0,
    'nothing kept': kept.changed.length === 0 && named.inPeerStore.length === 0 && named.byId <= MAX_AVOIDED,
    'the search of the heap finds a member': control.byId === 1 && control.inPeerStore.length === 1,
    'the victim heard of strangers by mDNS, too': counts.dialled > 0,
    'the mesh goes on': stillCalls,
    'little CPU': cpuPercent < MAX_CPU_PERCENT
  }
  table(findings, checks)
  return {
    attempts: all,
    overProtocols: attempts,
    ...counts,
    strangers: Object.keys(identities).length,
    invitesOutMeanwhile: invites,
    heard,
    api: { local, remote },
    kept: { changed: kept.changed, ...named, heapMb: mb(kept.holdings.probe.heapUsed), rssMb: mb(kept.holdings.probe.rss) },
    refused: kept.holdings.status.counters['admission.refused'] ?? 0,
    cpuPercentOfACore: { idle: idlePercent, attacked: attackPercent, byStrangers: cpuPercent },
    checks,
    pass: Object.values(checks).every(Boolean)
  }
}

function table({ attempts }: StrangerFindings, checks: Record<string, boolean>): void {
  const row = (cells: (string | number)[]): void =>
    void process.stderr.write(
      `${String(cells[0]).padEnd(44)}${cells
        .slice(1)
        .map((cell) => String(cell).padStart(12))
        .join('')}\n`
    )
  row(['attempts', ...TRANSPORTS.map(({ name }) => name), 'all'])
  for (const [kind, by] of Object.entries(attempts))
    row([kind, ...TRANSPORTS.map(({ name }) => by[name] ?? 0), sum(Object.values(by))])
  for (const [what, held] of Object.entries(checks)) row([what, held ? 'yes' : 'NO'])
}

const configOf = ({ capability, tool }: Record<'capability' | 'tool', string>): string =>
  JSON.stringify({
    backends: [
      { kind: 'command', id: capability, type: `test/${capability}`, tools: [{ name: tool, description: tool, run: ['true'] }] }
    ]
  })

/** What a stranger must not hear, and what it may once have overheard: a proof that the member gave to the victim. */
function secretsOf(
  victim: ProvedNode,
  member: ProvedNode,
  names: Record<string, string>
): { overheard: { nonce: string; proof: string }; secrets: Record<string, string[]> } {
  const state = JSON.parse(readFileSync(join(victim.data, 'mesh.json'), 'utf8')) as { secret: string; chain: string[][] }
  const secret = Buffer.from(state.secret, 'base64')
  const text = (...all: string[]): string[] => all.map((one) => Buffer.from(one).toString('hex'))
  const hello = proofOf(secret, member.ready.peerId, victim.ready.peerId)
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  return {
    overheard: { nonce: hex(hello.nonce), proof: hex(hello.proof) },
    secrets: {
      'secret of the mesh': [hex(secret), ...text(state.secret)],
      'name of the mesh': text(victim.ready.mesh.name),
      'token of the API': text(victim.token, member.token),
      'PeerId of a member': [...text(member.ready.peerId), hex(originBytes(member.ready.peerId))],
      'a certificate': state.chain.flat().map((base64) => Buffer.from(base64, 'base64').toString('hex')),
      'version of the software': text('atmosphere/0'),
      ...Object.fromEntries(Object.entries(names).map(([of, name]) => [`name of the ${of}`, text(name)]))
    }
  }
}

/** Looks until nothing has changed any more, or it is time. */
async function settled(victim: ProvedNode, before: Holdings): Promise<{ changed: string[]; holdings: Holdings }> {
  const end = performance.now() + SETTLE_MS
  while (victim.files() > before.files && performance.now() < end) await after(SETTLE_POLL_MS)
  const holdings = await holdingsOf(victim)
  return { changed: changes(before, holdings), holdings }
}

async function eventually(attempt: () => Promise<unknown>, withinMs: number): Promise<void> {
  const end = performance.now() + withinMs
  for (;;) {
    try {
      return void (await attempt())
    } catch (error) {
      if (performance.now() > end) throw error
      await after(SETTLE_POLL_MS)
    }
  }
}

/** Does it again and again. @returns a function that ends it and says how often it was done. */
function repeat(
  action: () => Promise<unknown>,
  { everyMs, afterMs }: { everyMs: number; afterMs: number }
): () => Promise<number> {
  let [running, done] = [true, 0]
  const ended = (async () => {
    const began = performance.now()
    while (running) {
      await after(SETTLE_POLL_MS)
      if (performance.now() - began < afterMs + done * everyMs) continue
      await action()
      done++
    }
    return done
  })()
  return () => {
    running = false
    return ended
  }
}

const percent = (node: ProvedNode, { cpuS, at }: { cpuS: number; at: number }): number =>
  ((node.cpuS() - cpuS) / (performance.now() - at)) * 100_000
const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0)
const mb = (bytes: number): number => Math.round(bytes / 1024 / 1024)
const statusesOf = ({ statuses }: ApiFindings): string[] => Object.keys(statuses)
const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
