import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { isMeshError, type MeshError } from '../../src/errors.ts'
import { createNode, type NodeOptions } from '../../src/node.ts'

const failure = async (options: NodeOptions): Promise<MeshError> => {
  try {
    await (await createNode({ name: 'n', mdns: false, ...options })).stop()
  } catch (error) {
    assert.ok(isMeshError(error))
    return error
  }
  return assert.fail('it started')
}

describe('createNode', () => {
  it('believes what other nodes say of their models only if its owner wants that', async () => {
    for (const [meaning, believes] of [
      [{ believeOthers: true }, true],
      [{ learn: true }, false]
    ] as const) {
      const mesh = await createNode({ name: 'n', open: true, mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'], meaning })
      assert.equal(mesh.believesOthers, believes)
      await mesh.stop()
    }
  })

  it('says in one line that an address is taken', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const taken = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
    const { code, message } = await failure({ listen: [taken] })
    server.close()
    assert.deepEqual(
      [code, message],
      ['conflict', `cannot listen on ${taken}: another program uses it; choose another with --listen`]
    )
  })
  for (const [listen, said] of [
    [
      '/ip4/192.0.2.1/tcp/4001',
      'cannot listen on /ip4/192.0.2.1/tcp/4001: it is no address of this machine; choose another with --listen'
    ],
    [
      '/ip4/127.0.0.1/udp/4001',
      'cannot listen on /ip4/127.0.0.1/udp/4001: only TCP, WebSocket and WebRTC (webrtc-direct) addresses can be listened on, like /ip4/0.0.0.0/tcp/4001, /ip4/0.0.0.0/tcp/4002/ws or /ip4/0.0.0.0/udp/4003/webrtc-direct'
    ],
    [
      '/ip6zone/eth0/ip6/fe80::1/udp/4003/webrtc-direct',
      'cannot listen on /ip6zone/eth0/ip6/fe80::1/udp/4003/webrtc-direct: only TCP, WebSocket and WebRTC (webrtc-direct) addresses can be listened on, like /ip4/0.0.0.0/tcp/4001, /ip4/0.0.0.0/tcp/4002/ws or /ip4/0.0.0.0/udp/4003/webrtc-direct'
    ],
    ['foo', '"foo" is no multiaddr; write it like /ip4/192.168.1.20/tcp/4001 (https://multiformats.io/multiaddr/)']
  ] as const) {
    it(`refuses to listen on ${listen}`, async () => {
      const { code, message } = await failure({ listen: [listen] })
      assert.deepEqual([code, message], ['invalid_config', said])
    })
  }
  it('refuses to listen on two WebRTC addresses', async () => {
    const listen = ['/ip4/0.0.0.0/udp/4003/webrtc-direct', '/ip6/::/udp/4004/webrtc-direct']
    const { code, message } = await failure({ listen })
    assert.deepEqual(
      [code, message],
      ['invalid_config', `cannot listen on ${listen.join(' and ')}: WebRTC takes one address; keep one of them`]
    )
  })
  for (const peer of ['foo', '/ip4/999.0.0.1/tcp/1', '']) {
    it(`refuses the peer "${peer}"`, async () => {
      const { code, message } = await failure({ listen: [], peers: [peer] })
      assert.equal(code, 'invalid_config')
      assert.match(message, new RegExp(`^"${peer}" is no multiaddr; write it like `))
    })
  }
  for (const [cost, said] of [
    [{ power: 'solar' as never }, /^cost\.power must be one of mains, battery, low-battery$/],
    [{ price: -1 }, /^cost\.price must be 0 to/],
    [{ price: NaN }, /^cost\.price must be 0 to/]
  ] as const) {
    it(`refuses the cost ${JSON.stringify(cost)}`, async () => {
      const { code, message } = await failure({ listen: [], cost })
      assert.equal(code, 'invalid_config')
      assert.match(message, said)
    })
  }
})
