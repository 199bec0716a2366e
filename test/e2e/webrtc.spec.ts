import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { multiaddr } from '@multiformats/multiaddr'
import { CALL_PROTOCOL } from '../../protocols/call/messages.ts'
import { MEMBER_PROTOCOL } from '../../protocols/member/messages.ts'
import { SYNC_PROTOCOL } from '../../protocols/sync/messages.ts'
import type { Mesh } from '../../src/index.ts'
import { FAILED_RATE } from '../../src/net/knocks.ts'
import { createNodeLibp2p } from '../../src/net/node-preset.ts'
import { isWebRtcAddress } from '../../src/net/node-webrtc.ts'
import { webRtcFor } from '../../src/node-webrtc.ts'
import { createAtmo, type Atmo } from '../fixtures/atmo.ts'
import { until, within } from '../fixtures/libp2p-pair.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'
import { requireWebRtc } from '../fixtures/webrtc.ts'

const LISTEN = ['/ip4/127.0.0.1/udp/0/webrtc-direct']
const ITEM = 'x'.repeat(1_000_000)
const ITEMS = 12

describe('a mesh over WebRTC', function () {
  this.timeout(60_000)
  let mesh: TestMesh
  let member: Mesh
  let dataDir: string
  let victims: Atmo
  before(async function () {
    await requireWebRtc(this)
    dataDir = mkdtempSync(join(tmpdir(), 'atmo-webrtc-'))
    mesh = await createTestMesh('webrtc')
    member = await mesh.join('owner', { listen: LISTEN })
    member.register(
      {
        id: 'vault',
        type: 'test/vault',
        tools: [
          { name: 'open', input: { type: 'object' } },
          { name: 'carry', input: { type: 'object' } }
        ]
      },
      {
        open: () => 'gold',
        async *carry() {
          for (let n = 0; n < ITEMS; n++) yield ITEM
          return 'all'
        }
      }
    )
  })
  after(async () => {
    await mesh?.stop()
    if (dataDir !== undefined) rmSync(dataDir, { recursive: true })
  })

  beforeEach(async () => (victims = await createAtmo({ isInstalled: true })))
  afterEach(() => victims.close())

  it('connects two members, who have no other transport, and carries calls', async () => {
    const other = await mesh.join('member', { listen: LISTEN, peers: member.multiaddrs() })
    await until(() => other.capabilities().length === 1, 'it sees what is offered')
    assert.equal((await other.call('vault', 'open', {}).result).result, 'gold')
    const addresses = [...member.multiaddrs(), ...other.multiaddrs()]
    for (const address of addresses)
      assert.match(address, /^\/ip4\/127\.0\.0\.1\/udp\/\d+\/webrtc-direct\/certhash\/u[\w-]+\/p2p\/\w+$/)
    // What each announces reaches the other.
    await until(
      () => member.peers().some(({ addresses: known }) => known.includes(other.multiaddrs()[0]!)),
      'the address is announced'
    )
  })

  it('carries more than a stream holds to a caller that is slower', async () => {
    const other = await mesh.join('member', { listen: [], peers: member.multiaddrs() })
    await until(() => other.capabilities().length === 1, 'it sees what is offered')
    let items = 0
    for await (const item of other.call('vault', 'carry', {})) {
      if (item.kind !== 'json' || item.value !== ITEM) continue
      items++
      // Slower than the other side: it takes a round trip for each.
      await other.call('vault', 'open', {}).result
    }
    assert.equal(items, ITEMS)
  })

  it('lets a stranger name protocols and no more, and then disconnects it', async () => {
    const webRtc = await webRtcFor(LISTEN, undefined, assert.fail)
    const stranger = await createNodeLibp2p(await generateKeyPair('Ed25519'), [], { webRtc })
    await stranger.start()
    const before = member.status().peers
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
      assert.equal(member.status().peers, before)
    } finally {
      await stranger.stop()
    }
  })

  // The native part answers one family of addresses in a process: whichever it first listened on.
  for (const host of ['/ip4/127.0.0.1', '/ip6/::1'])
    it(`turns away a host that opens connections and proves nothing, before any handshake: ${host}`, async () => {
      const webRtc = await webRtcFor(LISTEN, undefined, assert.fail)
      const { ready } = await victims.start('victim', ['--listen', `${host}/udp/0/webrtc-direct`])
      const addresses = (ready['multiaddrs'] as string[]).filter(isWebRtcAddress).map((address) => multiaddr(address))
      const knock = async (withinMs: number): Promise<boolean> => {
        const stranger = await createNodeLibp2p(await generateKeyPair('Ed25519'), [], { webRtc })
        await stranger.start()
        try {
          const connection = await stranger.dial(addresses, { signal: AbortSignal.timeout(withinMs) })
          await connection.close()
          return true
        } catch {
          return false
        } finally {
          await stranger.stop()
        }
      }
      for (let n = 0; n < FAILED_RATE.burst; n++) assert.ok(await knock(10_000), `connection ${n}`)
      let letIn = true
      // One more is good for each second that this takes.
      for (let n = 0; n < FAILED_RATE.burst && letIn; n++) letIn = await knock(2_000)
      assert.ok(!letIn)
    })

  it('says why it cannot listen, and starts once it can', async () => {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const listen = [`/ip4/127.0.0.1/udp/${socket.address().port}/webrtc-direct`]
    try {
      await assert.rejects(mesh.join('member', { listen }), {
        code: 'conflict',
        message: `cannot listen on ${listen[0]}: another program uses it; choose another with --listen`
      })
    } finally {
      await new Promise<void>((resolve) => socket.close(resolve))
    }
    assert.equal((await mesh.join('member', { listen })).multiaddrs().length, 1)
  })

  it('has the same certificate after a restart, and another one if the file is damaged', async () => {
    const who = await mesh.member()
    const certhash = async (): Promise<string> => {
      const node = await mesh.start(who, { listen: LISTEN, dataDir })
      try {
        return /\/certhash\/([^/]+)/.exec(node.multiaddrs()[0]!)![1]!
      } finally {
        await node.stop()
      }
    }
    const first = await certhash()
    assert.equal(await certhash(), first)
    const path = join(dataDir, 'webrtc.pem')
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const kept = readFileSync(path, 'utf8')
    writeFileSync(path, 'not a certificate')
    const second = await certhash()
    assert.notEqual(second, first)
    // The key of another certificate is none for this one.
    writeFileSync(
      path,
      kept.slice(0, kept.indexOf('-----BEGIN CERT')) + /-----BEGIN CERT[^]*/.exec(readFileSync(path, 'utf8'))![0]
    )
    const third = await certhash()
    assert.ok(third !== first && third !== second)
  })
})
