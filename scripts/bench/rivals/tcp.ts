import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Rival } from '../rival.ts'

interface Message {
  id: number
  text: string
}

const HEADER_BYTES = 4

function writeMessage(socket: Socket, message: Message): void {
  const body = JSON.stringify(message)
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + Buffer.byteLength(body))
  bytes.writeUInt32BE(bytes.length - HEADER_BYTES)
  bytes.write(body, HEADER_BYTES)
  socket.write(bytes)
}

function readMessages(socket: Socket, onMessage: (message: Message) => void): void {
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let offset = 0
    while (bytes.length - offset >= HEADER_BYTES) {
      const end = offset + HEADER_BYTES + bytes.readUInt32BE(offset)
      if (end > bytes.length) break
      onMessage(JSON.parse(bytes.toString('utf8', offset + HEADER_BYTES, end)) as Message)
      offset = end
    }
    rest = bytes.subarray(offset)
  })
}

/** The floor: one TCP connection, JSON with a length before it, answers matched by number. No encryption, no schema, no deadline. */
export const tcp: Rival = {
  name: 'tcp',
  settings: 'one connection, TCP_NODELAY, length-prefixed JSON, pipelined, clear text',
  async serve() {
    const sockets = new Set<Socket>()
    const server = createServer({ noDelay: true }, (socket) => {
      sockets.add(socket)
      readMessages(socket, (message) => writeMessage(socket, message))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return {
      address: String((server.address() as AddressInfo).port),
      async stop() {
        for (const socket of sockets) socket.destroy()
        server.close()
      }
    }
  },
  async connect(address) {
    const socket = connect({ port: Number(address), host: '127.0.0.1', noDelay: true })
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const waiting = new Map<number, (text: string) => void>()
    let next = 0
    readMessages(socket, ({ id, text }) => {
      waiting.get(id)?.(text)
      waiting.delete(id)
    })
    return {
      call: (text) =>
        new Promise((resolve) => {
          const id = next++
          waiting.set(id, resolve)
          writeMessage(socket, { id, text })
        }),
      async stop() {
        socket.destroy()
      }
    }
  }
}
