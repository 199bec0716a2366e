import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CALL_PROTOCOL } from '../../protocols/call/messages.ts'
import { MEMBER_PROTOCOL } from '../../protocols/member/messages.ts'
import { SYNC_PROTOCOL } from '../../protocols/sync/messages.ts'
import { createNode, type Mesh, type NodeOptions } from '../../src/index.ts'
import type { LimitRule } from '../../src/core/limits.ts'
import type { PolicyRule } from '../../src/core/policy.ts'
import { isMeshError } from '../../src/errors.ts'
import { createNodeLibp2p } from '../../src/net/node-preset.ts'
import { issueCertificate, type Grant } from '../../src/trust/certificate.ts'
import type { MeshState } from '../../src/trust/mesh-state.ts'
import { privateMembership, type Membership } from '../../src/trust/membership.ts'
import { until, within } from '../fixtures/libp2p-pair.ts'

const LISTEN = ['/ip4/127.0.0.1/tcp/0']
const nowS = (): number => Math.floor(Date.now() / 1_000)

describe('a private mesh', function () {
  this.timeout(30_000)
  const nodes: Mesh[] = []
  let meshKey: PrivateKey
  let secret: Uint8Array
  let member: Mesh
  before(async () => {
    meshKey = await generateKeyPair('Ed25519')
    secret = crypto.getRandomValues(new Uint8Array(32))
    member = await join()
    member.register(
      { id: 'vault', type: 'test/vault', tools: [{ name: 'open', input: { type: 'object' } }] },
      { open: () => 'gold' }
    )
  })
  afterEach(async () => {
    await Promise.all(nodes.filter((node) => node !== member).map((node) => node.stop()))
    nodes.splice(1)
  })
  after(async () => member.stop())

  const idOf = (key: PrivateKey): string => peerIdFromPrivateKey(key).toString()

  async function membershipOf(key: PrivateKey, change: Partial<Grant> = {}, by = meshKey): Promise<Membership> {
    const grant: Grant = {
      mesh: peerIdFromPrivateKey(meshKey).toMultihash().bytes,
      node: peerIdFromPrivateKey(key).toMultihash().bytes,
      role: 'member',
      tags: [],
      since: nowS() - 60,
      forward: false,
      notBefore: nowS() - 60,
      notAfter: nowS() + 86_400,
      serial: crypto.getRandomValues(new Uint8Array(16)),
      name: 'node',
      ...change
    }
    const state: MeshState = {
      mesh: idOf(meshKey),
      name: 'test',
      secret,
      chain: [await issueCertificate(grant, by)],
      clock: { floorS: 0, offsetS: 0 },
      issued: [],
      revocations: []
    }
    return privateMembership({ state, nodeKey: key, wallS: nowS, now: () => performance.now(), save: async () => undefined })
  }

  async function join(
    change: Partial<Grant> = {},
    over: Partial<Membership> = {},
    policy: PolicyRule[] = [],
    limits: LimitRule[] = []
  ): Promise<Mesh> {
    const privateKey = await generateKeyPair('Ed25519')
    // Not a copy by value: what the state says is read through its getters.
    const membership = Object.assign(Object.create(await membershipOf(privateKey, change)) as Membership, over)
    return start({ privateKey, membership, policy, limits })
  }

  async function start(options: Pick<NodeOptions, 'privateKey' | 'membership' | 'open' | 'policy' | 'limits'>): Promise<Mesh> {
    const peers = nodes.length === 0 ? [] : member.multiaddrs()
    const node = await createNode({ name: `node-${nodes.length}`, listen: LISTEN, mdns: false, peers, ...options })
    nodes.push(node)
    return node
  }

  const refusals = (node: Mesh): number => node.status().counters['admission.refused'] ?? 0

  it('opens to its members: they find and call each other', async () => {
    const other = await join()
    await until(() => other.capabilities({ id: 'vault' }).length === 1, 'the member sees what is offered')
    assert.equal((await other.call('vault', 'open').result).result, 'gold')
  })

  it('shows nothing to a node of the open mesh, of another mesh, or with a certificate that is not good', async () => {
    const another = await membershipOf(await generateKeyPair('Ed25519'))
    const foreign = crypto.getRandomValues(new Uint8Array(32))
    const strangers: [string, () => Promise<Mesh>][] = [
      ['the open mesh', () => start({ open: true })],
      ['another secret', () => join({}, { secret: foreign })],
      ['no certificate', () => join({}, { chain: () => [] })],
      ['an expired certificate', () => join({ notBefore: 1_000, notAfter: 2_000 })],
      ['a certificate of another node', () => join({}, { chain: another.chain })]
    ]
    for (const [what, make] of strangers) {
      const before = refusals(member)
      const stranger = await make()
      await until(() => refusals(stranger) + refusals(member) > before, what)
      await until(() => member.status().peers === 0 && stranger.status().peers === 0, `${what}: disconnected`)
      assert.deepEqual(
        stranger.capabilities({}).filter(({ id }) => id === 'vault'),
        [],
        what
      )
      await assert.rejects(stranger.call('vault', 'open').result, what)
    }
    assert.deepEqual(
      member.capabilities({}).map(({ id }) => id),
      ['vault']
    )
  })

  it('is tried less and less often by a node that it refuses, and so is a host that says nothing', async () => {
    const silent = await createNodeLibp2p(await generateKeyPair('Ed25519'), LISTEN)
    await silent.handle(MEMBER_PROTOCOL, (stream) => stream.abort(new Error('not a word')))
    await silent.start()
    const privateKey = await generateKeyPair('Ed25519')
    try {
      for (const [what, peers] of [
        ['a member', member.multiaddrs()],
        ['a host that says nothing', silent.getMultiaddrs().map(String)]
      ] as const) {
        const stranger = await createNode({ name: 'stranger', listen: LISTEN, mdns: false, peers: peers.slice(0, 1), privateKey })
        const dials = (): number => stranger.status().counters['dialer.dials'] ?? 0
        try {
          await until(() => dials() === 1, `${what}: the first dial`)
          const from = performance.now()
          await until(() => dials() === 3, `${what}: the third dial`, 10_000)
          // One second and two, of which a quarter may be left out.
          assert.ok(performance.now() - from > 2_200, `${what}: ${performance.now() - from} ms`)
        } finally {
          await stranger.stop()
        }
      }
    } finally {
      await silent.stop()
    }
  })

  it('lets guests call nothing, and makes a call wait for a yes where a tool wants that, whatever the caller says', async () => {
    const held = await join()
    let opened = 0
    held.register(
      { id: 'door', type: 'test/door', tools: [{ name: 'unlock', requiresApproval: true }, { name: 'look' }] },
      { unlock: () => ++opened, look: () => 'shut' }
    )
    const [other, guest] = [await join(), await join({ role: 'guest' })]
    for (const node of [other, guest]) {
      await node.addPeer(held.multiaddrs()[0]!)
      await until(() => node.capabilities({ id: 'door' }).length === 1, 'it is seen')
    }
    assert.equal((await other.call('door', 'look').result).result, 'shut')
    for (const tool of ['look', 'unlock'])
      await assert.rejects(
        guest.call('door', tool).result,
        (error) => isMeshError(error, 'permission_denied') && /a guest may not/.test(error.message)
      )
    const waits = other.call('door', 'unlock', {}).result
    await until(() => held.approvals().length === 1, 'it waits')
    const { id, caller } = held.approvals()[0]!
    assert.deepEqual([caller, opened, other.approvals()], [other.peerId, 0, []])
    held.approve(id, true, { forMs: 60_000 })
    assert.equal((await waits).result, 1)
    assert.equal((await other.call('door', 'unlock').result).result, 2, 'for a minute it is not asked again')
    const second = await join()
    await second.addPeer(held.multiaddrs()[0]!)
    await until(() => second.capabilities({ id: 'door' }).length === 1, 'it is seen')
    const refused = second.call('door', 'unlock').result
    await until(() => held.approvals().length === 1, 'another waits')
    held.approve(held.approvals()[0]!.id, false)
    await assert.rejects(refused, { code: 'permission_denied' })
    const given = second.call('door', 'unlock')
    given.result.catch(() => undefined)
    await until(() => held.approvals().length === 1, 'a third waits')
    given.cancel()
    await until(() => held.approvals().length === 0, 'and is cancelled')
    assert.equal(opened, 2)
  })

  it('lends nobody its rights: a call on behalf of another needs the rights of both', async () => {
    const door = await join()
    door.register({ id: 'door', type: 'test/door', tools: [{ name: 'look' }] }, { look: (_, { causes }) => [...causes] })
    const deputy = await join({}, {}, [
      { effect: 'allow', capabilities: ['deputy'], tools: ['inside', 'look', 'secret'], roles: ['guest', 'member'] }
    ])
    deputy.register(
      { id: 'deputy', type: 'test/deputy', tools: [{ name: 'look' }, { name: 'inside' }, { name: 'secret' }] },
      {
        look: async (_, { causes }) => (await deputy.call('door', 'look', {}, { causes }).result).result,
        inside: async (_, { causes }) => (await deputy.call('deputy', 'look', {}, { causes }).result).result,
        secret: async (_, { causes }) => (await deputy.call('own', 'read', {}, { causes }).result).result
      }
    )
    deputy.register({ id: 'own', type: 'test/own', tools: [{ name: 'read' }] }, { read: () => 'read' })
    const [other, guest] = [await join(), await join({ role: 'guest' })]
    for (const node of [deputy, other, guest]) {
      await node.addPeer(door.multiaddrs()[0]!)
      if (node !== deputy) await node.addPeer(deputy.multiaddrs()[0]!)
      await until(() => ['door', 'deputy', 'own'].every((id) => node.capabilities({ id }).length === 1), 'all are seen')
    }
    const ids = [other.peerId, deputy.peerId]
    assert.deepEqual((await other.call('deputy', 'look').result).result, ids)
    assert.deepEqual((await other.call('deputy', 'inside').result).result, [other.peerId, deputy.peerId, deputy.peerId])
    assert.equal((await other.call('deputy', 'secret').result).result, 'read')
    for (const tool of ['look', 'inside', 'secret'])
      await assert.rejects(guest.call('deputy', tool).result, (error) => /not for all who cause/.test((error as Error).message))
    // Of the own mesh, checked here, and gone since: what it was, it is.
    const away = await join()
    await away.addPeer(door.multiaddrs()[0]!)
    await until(() => door.members().some(({ peerId }) => peerId === away.peerId), 'it is known')
    await away.stop()
    await until(() => !door.members().some(({ peerId }) => peerId === away.peerId), 'it is gone')
    await other.call('door', 'look', {}, { causes: [away.peerId] }).result
    // Whom nobody has checked a certificate of has no rights.
    const unknown = (await join()).peerId
    await assert.rejects(other.call('door', 'look', {}, { causes: [unknown] }).result, { code: 'permission_denied' })
    await assert.rejects(other.call('door', 'look', {}, { causes: Array<string>(9).fill(unknown) }).result, {
      code: 'invalid_argument'
    })
    await assert.rejects(other.call('door', 'look', {}, { causes: ['laptop'] }).result, { code: 'invalid_argument' })
  })

  it('ends the sessions of a revoked member everywhere, and lets it in nowhere', async () => {
    const ownerKey = await generateKeyPair('Ed25519')
    const founder = await membershipOf(ownerKey, { role: 'owner' }, meshKey)
    const owner = await start({ privateKey: ownerKey, membership: founder })
    const [lost, other] = [await join({ name: 'lost' }), await join()]
    await until(() => [owner, lost, other, member].every((node) => node.status().peers === 3), 'all see all')
    await assert.rejects(other.revoke(lost.peerId, ''), { code: 'permission_denied' })
    await assert.rejects(owner.revoke(owner.peerId, ''), { code: 'invalid_argument' })
    await assert.rejects(owner.revoke('nobody', ''), { code: 'invalid_argument' })
    assert.equal((await owner.revoke(lost.peerId, 'left on a train')).peerId, lost.peerId)
    await until(() => lost.status().peers === 0, 'it is alone')
    await until(() => [owner, other, member].every((node) => node.status().peers === 2), 'the others go on')
    for (const node of [owner, other, member]) assert.ok(!node.members().some(({ peerId }) => peerId === lost.peerId))
    // One that was away learns it from the first that it meets, before that one lets it talk to anybody.
    const late = await join()
    await until(() => late.status().peers === 3, 'it is in')
    await lost.addPeer(late.multiaddrs()[0]!).catch(() => undefined)
    await until(() => refusals(late) > 0, 'and refuses it')
    assert.ok(!late.peers().some(({ peerId }) => peerId === lost.peerId))
    assert.equal(lost.status().peers, 0)
  })

  it('ends what a revoked member began and nobody waits for, and what it was allowed for a time', async () => {
    const ownerKey = await generateKeyPair('Ed25519')
    const grant = { role: 'owner' as const }
    const founder = await membershipOf(ownerKey, grant, meshKey)
    const owner = await start({ privateKey: ownerKey, membership: founder })
    let [ticks, aborted, stopped] = [0, false, false]
    owner.register(
      { id: 'motor', type: 'test/motor', tools: [{ name: 'run' }, { name: 'ask', requiresApproval: true }] },
      {
        async run(_, { signal }) {
          signal.addEventListener('abort', () => (aborted = true))
          while (!signal.aborted) {
            ticks++
            await new Promise((resolve) => setTimeout(resolve, 20))
          }
          stopped = true
          return ticks
        },
        ask: () => 'asked'
      }
    )
    const lost = await join()
    await lost.addPeer(owner.multiaddrs()[0]!)
    await until(() => lost.capabilities({ id: 'motor' }).length === 1, 'it is seen')
    const asking = lost.call('motor', 'ask').result
    await until(() => owner.approvals().length === 1, 'it asks')
    owner.approve(owner.approvals()[0]!.id, true, { forMs: 60_000 })
    await asking
    lost.call('motor', 'run', {}, { idempotencyKey: 'k' }).result.catch(() => undefined)
    await until(() => ticks > 2, 'it runs')
    await owner.revoke(lost.peerId, 'left on a train')
    await until(() => aborted, 'the motor is told to stop')
    await until(() => stopped, 'and stops')
  })

  it('charges a member that leaves each answer before its end', async () => {
    const model = await join({}, {}, [], [{ tokensPerDay: 10 }])
    model.register(
      { id: 'model', type: 'llm/chat', tools: [{ name: 'chat' }] },
      {
        async *chat() {
          yield { text: 'all of the answer' }
          await new Promise((resolve) => setTimeout(resolve, 20))
          return { usage: { total_tokens: 1_000 } }
        }
      }
    )
    const user = await join()
    await user.addPeer(model.multiaddrs()[0]!)
    await until(() => user.capabilities({ id: 'model' }).length === 1, 'it is seen')
    let answers = 0
    const take = async (): Promise<void> => {
      for (let n = 0; n < 20; n++)
        for await (const item of user.call('model', 'chat'))
          if (item.kind === 'json') {
            answers++
            break
          }
    }
    await assert.rejects(take(), (error) => isMeshError(error, 'busy') && error.details['limit'] === 'tokensPerDay')
    assert.ok(answers <= 3, `${answers} answers of 7 tokens for a quota of 10`)
  })

  it('lets a libp2p peer name protocols and no more, and then disconnects it', async () => {
    const stranger = await createNodeLibp2p(await generateKeyPair('Ed25519'), LISTEN)
    await stranger.start()
    try {
      const connection = await stranger.dial(member.multiaddrs().map((address) => multiaddr(address)))
      const closed = new Promise((resolve) => connection.addEventListener('close', resolve, { once: true }))
      let heard = 0
      for (const protocol of [SYNC_PROTOCOL, CALL_PROTOCOL, '/ipfs/id/1.0.0', '/meshsub/1.2.0', MEMBER_PROTOCOL]) {
        const stream = await connection.newStream(protocol).catch(() => undefined)
        stream?.addEventListener('message', () => heard++)
      }
      await within(closed, 'the connection ends', 12_000)
      assert.equal(heard, 0)
      assert.equal(member.status().peers, 0)
    } finally {
      await stranger.stop()
    }
  })
})
