/**
 * `@libp2p/websockets` with bounds on what a host may hold before it is a WebSocket. Node only.
 * As of @libp2p/websockets 10.1.21 a listener keeps a silent TCP connection for good and as many of them as come, since libp2p's own
 * limits begin with the upgrade; and `ws` reads messages of up to 100 MiB.
 */
import type { IncomingMessage } from 'node:http'
import type { Server, Socket } from 'node:net'
import type { Listener } from '@libp2p/interface'
import { webSockets } from '@libp2p/websockets'
import { MeshError } from '../errors.ts'
import { MAX_WEBSOCKET_MESSAGE_BYTES, guardWebSockets } from './websocket-guard.ts'

/** A TCP connection that is no WebSocket within this time is closed, in ms. */
export const HANDSHAKE_WITHIN_MS = 10_000
/** TCP connections of one listener that are no WebSocket yet; more are closed. */
export const MAX_HANDSHAKES = 64

/** What is used of libp2p's listener beyond its interface; checked before use, since it may change. */
interface ListenerInternals {
  server: Server
  wsServer: { options: { maxPayload?: number } }
  onWsServerConnection(socket: unknown, request: IncomingMessage): void
}

/** A WebSocket transport factory for libp2p. @param handshakeWithinMs see {@link HANDSHAKE_WITHIN_MS}. @throws MeshError `internal`, when it listens, if the listener is not what it was. */
export function boundedWebSockets(handshakeWithinMs = HANDSHAKE_WITHIN_MS): ReturnType<typeof webSockets> {
  const create = guardWebSockets(webSockets())
  return (components) => {
    const transport = create(components)
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (options) => bounded(createListener(options), handshakeWithinMs)
    return transport
  }
}

function bounded(listener: Listener, handshakeWithinMs: number): Listener {
  const { server, wsServer, onWsServerConnection } = listener as Listener & Partial<ListenerInternals>
  if (server === undefined || wsServer === undefined || typeof onWsServerConnection !== 'function')
    throw new MeshError('internal', 'this version of @libp2p/websockets has another listener; it cannot be bounded')
  wsServer.options.maxPayload = MAX_WEBSOCKET_MESSAGE_BYTES
  const waiting = new Map<Socket, ReturnType<typeof setTimeout>>()
  const settled = (socket: Socket): void => {
    clearTimeout(waiting.get(socket))
    waiting.delete(socket)
  }
  server.prependListener('connection', (socket: Socket) => {
    if (waiting.size >= MAX_HANDSHAKES) return void socket.destroy()
    const timer = setTimeout(() => socket.destroy(), handshakeWithinMs)
    timer.unref()
    waiting.set(socket, timer)
    socket.once('close', () => settled(socket))
  })
  Object.assign(listener, {
    onWsServerConnection(socket: unknown, request: IncomingMessage) {
      settled(request.socket)
      onWsServerConnection.call(listener, socket, request)
    }
  })
  return listener
}
