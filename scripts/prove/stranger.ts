/** Strangers on the network of a private mesh, who know the protocols and the id of the mesh and try everything: what do they learn, what stays of them, what do they cost? */
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
import { merged, report, type OverTransport } from './stranger/report.ts'
import { TRANSPORTS } from './stranger/transports.ts'
import { connectionsOf } from './stranger/attempts.ts'

/** What strangers began has ended within this time: a connection without a proof lives for 10 s. */
const SETTLE_MS = 20_000
const SETTLE_POLL_MS = 500
const INVITE_EVERY_MS = 10_000

/**
 * One transport after the other, so that each has figures of its own.
 * @param hosts strangers, each with an address of its own. One that fails more often than once a second is turned away, so that a higher rate needs more of them.
 * @param perSecond connections of all of them together. @param scale times about 300 connections on each transport.
 * @param idle seconds before, for what the node costs by itself.
 */
export async function proveStranger({ hosts = 6, perSecond = 3, scale = 1.2, idle = 15, seed = 1 } = {}): Promise<object> {
  const dirs = mkdtempSync(join(tmpdir(), 'atmo-stranger-'))
  const lab = createLab(Array.from({ length: 2 + hosts }, () => ({ linkLocal6: false })))
  const [victimHost, memberHost, ...strangerHosts] = lab.hosts as [Host, Host, ...Host[]]
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
    const agents = await Promise.all(strangerHosts.map((host) => startAgent(lab, host)))
    // No host here has a default route, which a library that names no interface needs for multicast.
    for (const host of strangerHosts) lab.exec(host, ['ip', 'route', 'add', '224.0.0.0/4', 'dev', 'eth0'])

    const before = await holdingsOf(victim)
    const idleFrom = { cpuS: victim.cpuS(), at: performance.now() }
    await after(idle * 1_000)
    const idlePercent = percent(victim, idleFrom)

    const { overheard, secrets } = secretsOf(victim, member, names)
    const { multiaddrs, mesh, peerId, api } = victim.ready
    const given = victimHost.ip4!
    const seconds = (connectionsOf(scale) / perSecond) | 0
    const known = { victim: peerId, mesh: mesh.id, multiaddrs, host: given, overheard, secrets, seconds, scale, seed }
    const over: Record<string, OverTransport> = {}
    // While the first transports are tried no invite is out, and the desk is shut.
    let inviting: (() => Promise<number>) | undefined
    for (const { name } of TRANSPORTS) {
      if (name === TRANSPORTS.at(-1)!.name)
        inviting = repeat(() => victim.api('/mesh/invites', { role: 'guest' }), { everyMs: INVITE_EVERY_MS, afterMs: 0 })
      const from = { cpuS: victim.cpuS(), at: performance.now() }
      const findings = await Promise.all(
        agents.map((agent, part) =>
          agent.ask<StrangerFindings>('stranger', { ...known, transport: name, part, parts: hosts }, (seconds + 120) * 1_000)
        )
      )
      const ms = performance.now() - from.at
      const cpuPercent = percent(victim, from) - idlePercent
      const { changed, holdings } = await settled(victim, before)
      const all = merged(findings)
      const cpuMsPerConnection = (cpuPercent / 100) * (ms / all.connections)
      over[name] = { findings: all, cpuPercent, cpuMsPerConnection, kept: changed, holdings }
    }
    const invites = (await inviting?.()) ?? 0
    const [local, remote] = await Promise.all([
      victim.local.ask<ApiFindings>('routes', { api }, 60_000),
      agents[0]!.ask<ApiFindings>('routes', { api: api.replace(/127\.0\.0\.1|\[::1\]/, given) }, 60_000)
    ])

    const heap = readFileSync((await victim.probe(true)).heap!, 'latin1')
    const identities = Object.assign({}, ...Object.values(over).map(({ findings }) => findings.identities)) as Record<
      string,
      string
    >
    const named = namedIn(heap, identities)
    // That it finds who is there shows that it would find who is not to be.
    const control = namedIn(heap, { [member.ready.peerId]: 'member' })
    const stillCalls = await call().then(
      () => true,
      () => false
    )
    const strangers = { hosts, perSecond, secondsEach: seconds, identities: Object.keys(identities).length }
    return report({ over, strangers, local, remote, secrets, named, control, idlePercent, invites, stillCalls })
  } finally {
    await lab.close()
    rmSync(dirs, { recursive: true, force: true })
  }
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
const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
