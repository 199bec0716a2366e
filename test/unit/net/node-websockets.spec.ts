import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createHash } from 'node:crypto'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Connection, Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { MAX_HANDSHAKES, boundedWebSockets } from '../../../src/net/node-websockets.ts'
import { MAX_WEBSOCKET_MESSAGE_BYTES } from '../../../src/net/websocket-guard.ts'
import { startNode, within } from '../../fixtures/libp2p-pair.ts'

/** RFC 6455: reserved bits that nobody has agreed on; unmasked, as a server sends it. */
const BROKEN_FRAME = Buffer.of(0xf2, 0x00)
const HANDSHAKE_MS = 1_000

describe('WebSocket transport of a node', function () {
  this.timeout(30_000)
  let node: Libp2p
  let port: number
  const sockets: Socket[] = []
  beforeEach(async () => {
    node = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0/ws'] },
      transports: [boundedWebSockets(HANDSHAKE_MS)],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()]
    })
    port = Number(/tcp\/(\d+)\/ws/.exec(node.getMultiaddrs()[0]!.toString())![1])
  })
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await node.stop()
  })

  const open = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    sockets.push(socket)
    await once(socket, 'connect')
    return socket
  }

  it('carries more than one message holds', async () => {
    const dialler = await startNode()
    try {
      const bytes = 3 * MAX_WEBSOCKET_MESSAGE_BYTES
      const received = new Promise<number>((resolve) => {
        let sum = 0
        void node.handle('/test/1', (stream) => {
          stream.addEventListener('message', ({ data }) => {
            sum += data.byteLength
            if (sum === bytes) resolve(sum)
          })
        })
      })
      const connection = await dialler.dial(multiaddr(`/ip4/127.0.0.1/tcp/${port}/ws/p2p/${node.peerId.toString()}`))
      const stream = await connection.newStream('/test/1')
      const chunk = new Uint8Array(bytes / 3)
      for (let n = 0; n < 3; n++) if (!stream.send(chunk)) await stream.onDrain()
      assert.equal(await within(received, 'all of it arrives', 10_000), bytes)
    } finally {
      await dialler.stop()
    }
  })

  it('closes the socket of a connection that is aborted, on whichever side', async () => {
    for (const aborts of ['listener', 'dialler'] as const) {
      const opened = new Promise<Connection>((resolve) =>
        node.addEventListener('connection:open', ({ detail }) => resolve(detail), { once: true })
      )
      const dialler = await startNode()
      try {
        const theirs = await dialler.dial(multiaddr(`/ip4/127.0.0.1/tcp/${port}/ws/p2p/${node.peerId.toString()}`))
        const [one, other] = aborts === 'listener' ? [await opened, theirs] : [theirs, await opened]
        const closed = new Promise((resolve) => other.addEventListener('close', resolve, { once: true }))
        one.abort(new Error('a test'))
        await within(closed, `the ${aborts} aborts and the other side sees it`)
      } finally {
        await dialler.stop()
      }
    }
  })

  it('closes who is no WebSocket in time, and who comes when too many are not', async () => {
    const began = performance.now()
    const first = await open()
    for (let n = 1; n < MAX_HANDSHAKES; n++) await open()
    const silentOnes = once(first, 'close')
    const over = await open()
    await within(once(over, 'close'), 'one too many is closed at once')
    assert.ok(!first.closed, 'and no other')
    await within(silentOnes, 'a silent one is closed', HANDSHAKE_MS * 10)
    assert.ok(performance.now() - began >= HANDSHAKE_MS, 'not before its time')
  })

  /** A WebSocket made by hand, so that its frames can be wrong; resolves with what came after the handshake until it was closed. */
  async function shake(frame: Uint8Array): Promise<Buffer> {
    const socket = await open()
    const chunks: Buffer[] = []
    let shaken = false
    const end = new Promise<Buffer>((resolve) => socket.once('close', () => resolve(Buffer.concat(chunks))))
    socket.on('data', (chunk: Buffer) => {
      if (shaken) return void chunks.push(chunk)
      shaken = true
      assert.match(chunk.toString('latin1'), /^HTTP\/1\.1 101 /)
      socket.write(frame)
    })
    const head = ['GET / HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
    socket.write([...head, 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', ''].join('\r\n'))
    return within(end, 'it is closed')
  }
  /** The code of the last frame: RFC 6455, 5.5.1. */
  const closeCode = (received: Buffer): number => received.readUInt16BE(received.lastIndexOf(0x88) + 2)

  it('closes a WebSocket whose message is over the limit, and one whose frames break the protocol; the node goes on', async () => {
    const length = Buffer.alloc(8)
    length.writeBigUInt64BE(BigInt(MAX_WEBSOCKET_MESSAGE_BYTES + 1))
    const tooBig = Buffer.concat([Buffer.of(0x82, 0xff), length, Buffer.alloc(4)])
    assert.equal(closeCode(await shake(tooBig)), 1009)
    const reservedBits = Buffer.of(0xf2, 0x80, 0, 0, 0, 0)
    assert.equal(closeCode(await shake(reservedBits)), 1002)
    const dialler = await startNode()
    try {
      await dialler.dial(multiaddr(`/ip4/127.0.0.1/tcp/${port}/ws/p2p/${node.peerId.toString()}`))
    } finally {
      await dialler.stop()
    }
  })

  it('outlives a server that breaks the protocol', async () => {
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => undefined)
      socket.once('data', (request: Buffer) => {
        const key = /sec-websocket-key: (\S+)/i.exec(request.toString('latin1'))![1]!
        const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
        const head = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: websocket']
        socket.write([...head, `Sec-WebSocket-Accept: ${accept}`, '', ''].join('\r\n'))
        socket.write(BROKEN_FRAME)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const { port: theirs } = server.address() as AddressInfo
      await assert.rejects(node.dial(multiaddr(`/ip4/127.0.0.1/tcp/${theirs}/ws`)))
    } finally {
      server.close()
    }
  })
})
