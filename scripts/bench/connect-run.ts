/** Both ends in this process: a bare dial of libp2p, and one with the proof of membership, by turns. Prints JSON. */
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { createAdmission, type Admission } from '../../src/net/admission.ts'
import { createNodeLibp2p, type NodeServices } from '../../src/net/node-preset.ts'
import { privateMembership } from '../../src/trust/membership.ts'
import { foundMesh } from '../../src/trust/mesh-state.ts'
import { issueChain } from '../../src/trust/issuer.ts'
import { quantile, round } from './statistics.ts'

const WARM_UP = 30
const DIALS = 200
const LISTEN = ['/ip4/127.0.0.1/tcp/0']
const now = (): number => performance.now()
const wallS = (): number => Date.now() / 1_000

interface Side {
  libp2p: Libp2p<NodeServices>
  admission: Admission | undefined
}

const mesh = await foundMesh('bench')

async function side(gated: boolean, listen: string[]): Promise<Side> {
  const key = await generateKeyPair('Ed25519')
  const libp2p = await createNodeLibp2p(key, listen)
  const admission = gated ? await gate(libp2p, key) : undefined
  await admission?.start()
  await libp2p.start()
  return { libp2p, admission }
}

/** A member with a certificate of the mesh key, as `atmo join` makes one. */
async function gate(libp2p: Libp2p<NodeServices>, nodeKey: PrivateKey): Promise<Admission> {
  const node = peerIdFromPrivateKey(nodeKey).toString()
  const chain = await issueChain(mesh, nodeKey, { node, role: 'member', forward: true, name: 'bench' }, Math.floor(wallS()))
  const state = { ...mesh, meshKey: undefined, chain }
  const membership = await privateMembership({ state, nodeKey, wallS, now, save: async () => undefined })
  return createAdmission({
    libp2p,
    now,
    secret: membership.secret,
    chain: () => membership.chain(),
    treaties: () => [],
    notices: () => membership.notices(),
    noticeDigest: () => membership.noticeDigest(),
    learn: async () => undefined,
    check: async (shown, peer) => void (await membership.check(shown, peer)),
    onForeign: () => undefined,
    onProof: () => undefined,
    onStranger: (_, error) => {
      throw error
    }
  })
}

/** Resolves when the gate of that side opens to the peer. */
function admitted({ libp2p }: Side, peer: string): Promise<void> {
  const { gate } = libp2p.services
  const { admit } = gate
  return new Promise((resolve) => {
    gate.admit = (who) => {
      admit(who)
      if (who !== peer) return
      gate.admit = admit
      resolve()
    }
  })
}

async function dial(from: Side, to: Side): Promise<{ ms: number; cpuUs: number }> {
  const [a, b] = [from.libp2p.peerId, to.libp2p.peerId]
  const waits = from.admission === undefined ? [] : [admitted(from, b.toString()), admitted(to, a.toString())]
  const cpu = process.cpuUsage()
  const began = now()
  const connection = await from.libp2p.dial(to.libp2p.getMultiaddrs())
  await Promise.all(waits)
  const ms = now() - began
  const { user, system } = process.cpuUsage(cpu)
  const gone = new Promise((resolve) => to.libp2p.addEventListener('peer:disconnect', resolve, { once: true }))
  await connection.close()
  await gone
  return { ms, cpuUs: user + system }
}

const kinds = {
  bare: [await side(false, []), await side(false, LISTEN)],
  proved: [await side(true, []), await side(true, LISTEN)]
} as const
const samples = { bare: [] as { ms: number; cpuUs: number }[], proved: [] as { ms: number; cpuUs: number }[] }
for (let n = 0; n < WARM_UP + DIALS; n++) {
  for (const kind of ['bare', 'proved'] as const) {
    const sample = await dial(...kinds[kind])
    if (n >= WARM_UP) samples[kind].push(sample)
  }
}
for (const sides of Object.values(kinds)) {
  for (const { admission, libp2p } of sides) {
    await admission?.stop()
    await libp2p.stop()
  }
}
const row = (all: { ms: number; cpuUs: number }[]): object => ({
  p50Ms: round(
    quantile(
      all.map(({ ms }) => ms),
      0.5
    )
  ),
  p99Ms: round(
    quantile(
      all.map(({ ms }) => ms),
      0.99
    )
  ),
  cpuUs: Math.round(
    quantile(
      all.map(({ cpuUs }) => cpuUs),
      0.5
    )
  )
})
console.log(JSON.stringify({ bare: row(samples.bare), proved: row(samples.proved) }))
