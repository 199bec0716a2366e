import assert from 'node:assert/strict'
import type { Connection, Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { JOIN_PROTOCOL } from '../../protocols/join/messages.ts'
import { LEND_PROTOCOL } from '../../protocols/lend/messages.ts'
import { NO_NOTICES } from '../../protocols/member/notices.ts'
import { SYNC_PROTOCOL } from '../../protocols/sync/messages.ts'
import { decodeLendItem, encodeLendRequest, type LendItem } from '../../protocols/lend/messages.ts'
import type { Mesh } from '../../src/index.ts'
import type { CallApproval } from '../../src/mesh-api.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { createAdmission } from '../../src/net/admission.ts'
import { createNodeLibp2p, type NodeServices } from '../../src/net/node-preset.ts'
import { createRemoteCalls, type RemoteCalls } from '../../src/net/remote-calls.ts'
import { openSingle } from '../../src/net/single-exchange.ts'
import { agree, createTestMesh, type TestMember, type TestMesh } from '../fixtures/test-mesh.ts'
import { until, within } from '../fixtures/libp2p-pair.ts'

/** What a lender has: one thing that is lent, one that is not, one that asks. */
function equip(node: Mesh): { opened: () => number } {
  let opened = 0
  node.register(
    { id: 'cam', type: 'sensor/camera', tools: [{ name: 'snap' }] },
    { snap: (_input, { caller }) => ({ picture: 'door', caller }) }
  )
  node.register({ id: 'vault', type: 'private/vault', tools: [{ name: 'open' }] }, { open: () => 'gold' })
  node.register(
    { id: 'lock', type: 'sensor/lock', tools: [{ name: 'unlock', requiresApproval: true }] },
    { unlock: () => ++opened }
  )
  return { opened: () => opened }
}

/** Ids of what a node borrows. */
const borrowed = (node: Mesh): string[] =>
  node
    .capabilities()
    .filter(({ mesh }) => mesh !== undefined)
    .map(({ id }) => id)
    .sort()
const connect = async (one: Mesh, other: Mesh): Promise<void> => one.addPeer(other.multiaddrs()[0]!)
const inForce = (node: Mesh): number => node.treaties.list().filter(({ state }) => state === 'in_force').length
const ended = (node: Mesh): string[] => node.treaties.list().flatMap(({ revoked }) => revoked?.reason ?? [])
const now = (): number => performance.now()

describe('two meshes with a treaty', function () {
  this.timeout(60_000)
  let home: TestMesh
  let club: TestMesh
  let stops: (() => unknown)[]
  beforeEach(async () => {
    ;[home, club] = await Promise.all([createTestMesh('home'), createTestMesh('club')])
    stops = []
  })
  afterEach(async () => {
    for (const stop of stops) await stop()
    await Promise.all([home.stop(), club.stop()])
  })

  /** An owner of each, and a treaty: home lends sensors. */
  async function federate(terms: Parameters<typeof agree>[2] = { lends: ['sensor/*'] }) {
    const [lender, borrower] = [await home.join('owner'), await club.join('owner')]
    return { lender, borrower, serial: await agree(lender, borrower, terms) }
  }

  it('lends what it says, to call and to see, and nothing else', async () => {
    const { lender, borrower } = await federate()
    equip(lender)
    borrower.register({ id: 'own', type: 'sensor/own', tools: [] })
    await connect(borrower, lender)
    await until(() => borrowed(borrower).length === 2, 'it sees what is lent')
    const [cam] = borrower.capabilities({ id: 'cam' })
    assert.deepEqual(borrowed(borrower), ['cam', 'lock'])
    assert.deepEqual([cam!.mesh, cam!.meshId, cam!.local, cam!.node], ['home', home.id, false, lender.peerId])
    const { result, provider } = await borrower.call('cam', 'snap').result
    assert.deepEqual([result, provider], [{ picture: 'door', caller: borrower.peerId }, lender.peerId])
    assert.equal((await borrower.call('sensor/camera', 'snap').result).provider, lender.peerId, 'by its type as well')
    // Lent in one direction: nothing comes back.
    assert.deepEqual(borrowed(lender), [])
    await assert.rejects(lender.call('own', 'x').result, { code: 'unknown_capability' })
    await assert.rejects(borrower.call('vault', 'open').result, { code: 'unknown_capability' })
    // Nor does either see who else is in the other mesh.
    const own = (node: Mesh): unknown[] => node.peers().filter(({ meshId }) => meshId === undefined)
    assert.deepEqual([own(lender), own(borrower), lender.members().length, borrower.members().length], [[], [], 1, 1])
    // That the other one is there, and of which mesh, both see.
    for (const [node, other, called, id, lends] of [
      [borrower, lender, 'home', home.id, ['cam', 'lock']],
      [lender, borrower, 'club', club.id, []]
    ] as const) {
      const { peerId, name, mesh, meshId, direct, capabilities } = node.peers()[0]!
      const seen = [peerId, name, mesh, meshId, direct, [...capabilities].sort()]
      assert.deepEqual(seen, [other.peerId, other.name, called, id, true, lends])
      assert.equal(node.peers().length, 1)
    }
    // What comes and goes at the lender comes and goes here.
    const late = lender.register({ id: 'late', type: 'sensor/late', tools: [] })
    await until(() => borrowed(borrower).includes('late'), 'it comes')
    late.remove()
    await until(() => !borrowed(borrower).includes('late'), 'it goes')
    await lender.stop()
    await until(() => borrowed(borrower).length === 0, 'and all goes with the lender')
  })

  /** A node of the club that knows the treaty and keeps to nothing: its own gate is open, and what it asks for is what the test wants. */
  async function foreigner(target: Mesh, knows: TestMember) {
    const somebody = await club.member()
    const membership = await somebody.membership()
    await membership.learn({ ...NO_NOTICES, treaties: knows.kept().treaties ?? [] })
    const libp2p: Libp2p<NodeServices> = await createNodeLibp2p(somebody.key, ['/ip4/127.0.0.1/tcp/0'])
    const admitted = new Promise<void>((resolve, reject) => {
      const admission = createAdmission({
        libp2p,
        now,
        secret: membership.secret,
        chain: () => membership.chain(),
        treaties: () => membership.treaties.pacts().map(({ mesh, secret }) => ({ mesh, secret })),
        notices: () => NO_NOTICES,
        noticeDigest: () => new Uint8Array(16),
        learn: async () => undefined,
        check: (chain, peer, mesh) => membership.treaties.check(chain, peer, mesh!).then(() => undefined),
        onForeign: (peer) => (libp2p.services.gate.admit(peer), resolve()),
        onStranger: (_, error) => reject(error),
        onProof: () => undefined
      })
      stops.push(
        () => admission.stop(),
        () => libp2p.stop()
      )
      admission.start().catch(reject)
    })
    await libp2p.start()
    const connection: Connection = await libp2p.dial(target.multiaddrs().map((address) => multiaddr(address)))
    await within(admitted, 'it is let in')
    const calls: RemoteCalls = createRemoteCalls({
      libp2p,
      now,
      provider: () => assert.fail('nobody calls it'),
      onFault: () => undefined,
      addressesOf: () => [],
      nameOf: (node) => node,
      circuits: { open: () => assert.fail('nothing goes over others') },
      isNeighbour: () => true,
      hasWay: () => false,
      waitForWay: async () => undefined,
      came: () => undefined,
      alsoOver: () => undefined
    })
    /** @returns how it fails. */
    async function call(capability: string, tool: string, idempotencyKey?: string): Promise<MeshError> {
      const invoke = calls.at({ node: target.peerId, direct: true })
      const request = { capability, tool, input: {}, caller: somebody.peerId, remainingMs: 5_000, idempotencyKey }
      const options = { signal: AbortSignal.timeout(5_000) }
      try {
        for await (const item of invoke({ ...request, stream: undefined, traceparent: undefined }, options)) void item
      } catch (error) {
        return error as MeshError
      }
      assert.fail(`${capability} ${tool} was answered`)
    }
    return { libp2p, connection, call, membership }
  }

  it('refuses what is not lent, though it is named exactly, in the same words as what does not exist', async () => {
    // Whatever its rules allow: what is not lent is not for other meshes.
    const [owner, lender] = [await club.member('owner'), await home.join('owner', { policy: [{ effect: 'allow' }] })]
    equip(lender)
    await agree(lender, await club.start(owner), { lends: ['sensor/*'] })
    const { call } = await foreigner(lender, owner)
    const errors: MeshError[] = []
    for (const [capability, tool, key] of [
      ['vault', 'open'],
      ['vault', 'close'],
      ['vault', 'open', 'again'],
      ['vault', 'open', 'again'],
      ['ghost', 'open'],
      ['private/vault', 'open'],
      ['', '']
    ] as const)
      errors.push(await call(capability, tool, key))
    for (const error of errors) assert.ok(isMeshError(error, 'permission_denied') && error.details['reason'] === 'not_lent')
    const told = errors.map(({ message, details }) => JSON.stringify([message, { ...details, capability: '', tool: '' }]))
    assert.equal(new Set(told).size, 1)
    assert.equal((await call('cam', 'nothing')).code, 'unknown_tool', 'what is lent may be known')
  })

  it('opens call and lend, and nothing that tells of the mesh or speaks for it', async () => {
    const [owner, lender] = [await club.member('owner'), await home.join('owner')]
    equip(lender)
    const friend = await home.join()
    await connect(friend, lender)
    await until(() => lender.status().peers === 1, 'the mesh has two')
    await agree(lender, await club.start(owner), { lends: ['sensor/*'] })
    const { libp2p, connection } = await foreigner(lender, owner)
    let heard = 0
    for (const protocol of [
      SYNC_PROTOCOL,
      JOIN_PROTOCOL,
      '/meshsub/1.2.0',
      '/meshsub/1.1.0',
      '/ipfs/id/1.0.0',
      '/ipfs/id/push/1.0.0'
    ]) {
      const stream = await connection.newStream(protocol).catch(() => undefined)
      if (stream === undefined) continue
      stream.addEventListener('message', () => heard++)
      await until(() => stream.status !== 'open', `${protocol} is reset`)
    }
    assert.equal(heard, 0)
    await assert.rejects(libp2p.services.identify.identify(connection))
    const session = await openSingle(connection, LEND_PROTOCOL, { signal: AbortSignal.timeout(5_000), now })
    const items: LendItem[] = []
    const abort = new AbortController()
    for await (const body of session.request(encodeLendRequest(), { signal: abort.signal })) {
      items.push(decodeLendItem(body))
      if (items.at(-1)!.kind === 'ready') break
    }
    session.abort(new MeshError('cancelled', 'over'))
    assert.deepEqual(
      items.map((item) => (item.kind === 'capability' ? item.declaration.id : item.kind)),
      ['node', 'cam', 'lock', 'ready']
    )
    // It is not of the mesh: gossip knows nothing of it, and it is no peer, member or link of anybody.
    assert.deepEqual([lender.status().peers, friend.status().peers, lender.members().length], [1, 1, 2])
  })

  it('ends within a second when either side revokes it, and the other side learns why', async () => {
    for (const by of ['lender', 'borrower'] as const) {
      const parts = await federate()
      const { lender, borrower } = parts
      equip(lender)
      const [neighbour, member] = [await home.join(), await club.join()]
      equip(neighbour)
      await connect(neighbour, lender)
      await connect(member, borrower)
      await until(() => inForce(neighbour) === 1 && inForce(member) === 1, 'the members of both know the treaty')
      await connect(member, neighbour)
      await until(() => borrowed(member).length === 2, 'they lend and borrow')
      const began = now()
      const view = await parts[by].treaties.revoke(by === 'lender' ? 'club' : 'home', 'moved away')
      assert.deepEqual([view.state, view.revoked!.reason], ['revoked', 'moved away'])
      await until(() => borrowed(member).length === 0, 'nothing is lent any more')
      assert.ok(now() - began < 1_000, `it took ${Math.round(now() - began)} ms`)
      await assert.rejects(member.call('cam', 'snap').result, { code: 'unknown_capability' })
      // Whoever knows it tells who tries again, and that one its mesh.
      const [knows, learns] = by === 'lender' ? [lender, borrower] : [borrower, lender]
      await connect(learns, knows).catch(() => undefined)
      await until(() => ended(learns).length === 1, 'the other side learns it')
      await until(() => [lender, borrower, neighbour, member].every((node) => ended(node)[0] === 'moved away'), 'all know it')
      await assert.rejects(parts[by].treaties.revoke(view.serial, ''), { code: 'invalid_argument' })
      await Promise.all([home.stop(), club.stop()])
    }
  })

  it('is ended over the connection that is there, whichever side opened it, and nobody has to come back for that', async () => {
    for (const [by, opens] of [
      ['lender', 'lender'],
      ['lender', 'borrower'],
      ['borrower', 'lender'],
      ['borrower', 'borrower']
    ] as const) {
      const parts = await federate()
      const other = by === 'lender' ? 'borrower' : 'lender'
      await connect(parts[opens], parts[opens === 'lender' ? 'borrower' : 'lender'])
      await parts[by].treaties.revoke(by === 'lender' ? 'club' : 'home', 'moved away')
      await until(() => ended(parts[other])[0] === 'moved away', `${other} learns of it where ${opens} has opened`)
      // A new one holds, though the old one is still known to both.
      equip(parts.lender)
      await agree(parts.lender, parts.borrower, { lends: ['sensor/*'] })
      await connect(parts.lender, parts.borrower)
      await until(() => borrowed(parts.borrower).length === 2, 'they lend and borrow anew')
      await Promise.all([home.stop(), club.stop()])
    }
  })

  it('is learnt by members that were away, and outlives a start', async () => {
    const owner = await club.member('owner')
    const away = await club.member()
    const lender = await home.join('owner')
    equip(lender)
    let node = await club.start(owner)
    const serial = await agree(lender, node, { lends: ['sensor/*'] })
    await node.stop()
    node = await club.start(owner)
    assert.equal(inForce(node), 1)
    let late = await club.start(away)
    assert.equal(inForce(late), 0)
    await connect(late, node)
    await until(() => inForce(late) === 1, 'it learns')
    await late.stop()
    await node.treaties.revoke(serial, 'over')
    late = await club.start(away)
    assert.equal(inForce(late), 1, 'it kept it, and does not know better')
    await connect(late, node)
    await until(() => inForce(late) === 0, 'it learns of the end before anything else')
    assert.deepEqual(ended(late), ['over'])
    await late.stop()
    late = await club.start(away)
    assert.deepEqual(ended(late), ['over'])
  })

  it('ends by itself when its time is over', async () => {
    const { lender, borrower } = await federate({ lends: ['sensor/*'], forMs: 3_000 })
    equip(lender)
    await connect(borrower, lender)
    await until(() => borrowed(borrower).length === 2, 'it sees what is lent')
    await until(() => borrowed(borrower).length === 0, 'it is over', 10_000)
    await until(() => lender.treaties.list().length === 0 && borrower.treaties.list().length === 0, 'and forgotten')
  })

  it('lets in nodes that were strangers before, as soon as both sides know it', async () => {
    const lender = await home.join('owner')
    equip(lender)
    const borrower = await club.join('owner', { peers: lender.multiaddrs() })
    const refusals = (): number => lender.status().counters['admission.refused'] ?? 0
    await until(() => refusals() > 0, 'it is refused')
    await agree(lender, borrower, { lends: ['sensor/*'] })
    await until(() => borrowed(borrower).length === 2, 'it is let in', 10_000)
    // A third mesh has no part in it.
    const other = await createTestMesh('other')
    stops.push(() => other.stop())
    const stranger = await other.join('owner')
    const before = refusals()
    await connect(stranger, lender).catch(() => undefined)
    await until(() => refusals() > before, 'it is refused')
    assert.deepEqual([borrowed(stranger), lender.treaties.list()[0]!.connected], [[], 1])
  })

  it('goes by the policy of the lender: deny by mesh, rules with roles are for its own mesh, and approval is asked for', async () => {
    const { lender, borrower } = await federate()
    const { opened } = equip(lender)
    await connect(borrower, lender)
    await until(() => borrowed(borrower).length === 2, 'it sees what is lent')
    const waits = borrower.call('lock', 'unlock').result
    await until(() => lender.approvals().length === 1, 'it waits')
    assert.deepEqual([lender.approvals()[0]!.caller, opened()], [borrower.peerId, 0])
    const { mesh, meshId, callerName } = lender.approvals()[0] as CallApproval
    assert.deepEqual([mesh, meshId, callerName], ['club', club.id, borrower.name])
    lender.approve(lender.approvals()[0]!.id, true)
    assert.equal((await waits).result, 1)
    for (const [policy, answer] of [
      [[{ effect: 'deny', meshes: [club.id] }], 'deny'],
      [[{ effect: 'deny', meshes: [home.id] }], 'allow'],
      [[{ effect: 'deny', roles: ['owner', 'admin', 'member'] }], 'allow'],
      [[{ effect: 'deny', roles: ['guest'] }], 'deny'],
      [[{ effect: 'allow', meshes: [club.id] }, { effect: 'deny' }], 'allow']
    ] as const) {
      const strict = await home.join('owner', { policy: policy.map((rule) => ({ ...rule })) as never })
      equip(strict)
      await connect(strict, lender)
      await until(() => inForce(strict) === 1, 'it knows the treaty')
      await connect(borrower, strict)
      await until(() => borrower.capabilities({ node: strict.peerId }).length === 2, 'it sees what is lent')
      const called = borrower.call('cam', 'snap', {}, { node: strict.peerId }).result
      if (answer === 'allow') assert.equal((await called).provider, strict.peerId, JSON.stringify(policy))
      else
        await assert.rejects(called, (error) => isMeshError(error, 'permission_denied') && error.details['reason'] === 'policy')
      await strict.stop()
    }
  })

  it('takes the own mesh first, another node of the lender when one fails, and lends nothing to guests', async () => {
    const { lender, borrower } = await federate()
    const second = await home.join()
    for (const node of [lender, second]) equip(node)
    await connect(second, lender)
    await until(() => inForce(second) === 1, 'it knows the treaty')
    for (const node of [lender, second]) await connect(borrower, node)
    await until(() => borrowed(borrower).length === 4, 'it sees what both lend')
    assert.ok([lender.peerId, second.peerId].includes((await borrower.call('cam', 'snap').result).provider))
    await second.stop()
    assert.equal((await borrower.call('cam', 'snap').result).provider, lender.peerId)
    const near = await club.join()
    equip(near)
    await connect(near, borrower)
    await until(() => borrower.capabilities({ id: 'cam' }).length === 2, 'there is one of the own mesh')
    for (let n = 0; n < 5; n++) assert.equal((await borrower.call('cam', 'snap').result).provider, near.peerId)
    const guest = await club.join('guest')
    await connect(guest, borrower)
    await until(() => inForce(guest) === 1, 'it knows the treaty')
    await connect(guest, lender)
    await until(() => lender.treaties.list()[0]!.connected === 2, 'it is let in')
    await until(() => guest.peers().length === 2, 'and sees its own mesh')
    assert.deepEqual(borrowed(guest), [])
  })

  it('is for owners to sign', async () => {
    const [lender, member] = [await home.join('owner'), await club.join()]
    const { code } = await lender.treaties.offer({ mesh: club.id, lends: ['sensor/*'] })
    await assert.rejects(member.treaties.accept(code), { code: 'permission_denied' })
    await assert.rejects(member.treaties.offer({ mesh: home.id, lends: ['x'] }), { code: 'permission_denied' })
    await assert.rejects(member.treaties.revoke('00'.repeat(16), ''), { code: 'permission_denied' })
    await assert.rejects(lender.treaties.accept(code), { code: 'permission_denied' }, 'its own offer')
    assert.deepEqual([(await member.treaties.show(code)).signs, inForce(lender), inForce(member)], [true, 0, 0])
  })
})
