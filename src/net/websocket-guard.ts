import type { MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface'
import { MeshError } from '../errors.ts'

/** Largest WebSocket message that is sent or read, in bytes: a reader has to hold it whole before anything of it is checked. */
export const MAX_WEBSOCKET_MESSAGE_BYTES = 1024 * 1024

/** Makes a transport, as libp2p's configuration takes them. */
type TransportFactory<C> = (components: C) => Transport

/**
 * A WebSocket transport that sends no message over {@link MAX_WEBSOCKET_MESSAGE_BYTES} (left alone, all that waits goes as one), and
 * whose connections have somebody who hears their errors. As of @libp2p/websockets 10.1.21 nobody does: one frame that breaks RFC 6455,
 * from anybody, would end a process whose WebSockets are those of `ws`; and a connection that is aborted stays open, since it closes with
 * a code that no WebSocket lets a program use.
 */
export function guardWebSockets<C>(create: TransportFactory<C>): TransportFactory<C> {
  return (components) => {
    const transport = create(components)
    const dial = transport.dial.bind(transport)
    transport.dial = (address, options) => dial(address, { ...options, upgrader: guarding(options.upgrader) })
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (options) => createListener({ ...options, upgrader: guarding(options.upgrader) })
    return transport
  }
}

/** `terminate` is of `ws`: without a farewell, which the other side could leave unanswered. */
type GuardedWebSocket = Pick<WebSocket, 'addEventListener' | 'close'> & { terminate?(): void }

function guarding(upgrader: Upgrader): Upgrader {
  // These are fields of libp2p's class of connections, beyond their interface.
  const guarded = (connection: MultiaddrConnection): MultiaddrConnection => {
    const { websocket } = connection as MultiaddrConnection & { websocket?: GuardedWebSocket }
    if (websocket === undefined)
      throw new MeshError('internal', 'this version of @libp2p/websockets has other connections; they cannot be guarded')
    // It closes by itself, and libp2p sees that.
    websocket.addEventListener('error', () => undefined)
    return Object.assign(connection, {
      maxMessageSize: MAX_WEBSOCKET_MESSAGE_BYTES,
      sendReset: () => (websocket.terminate === undefined ? websocket.close() : websocket.terminate())
    })
  }
  return new Proxy(upgrader, {
    get(target, key) {
      if (key === 'upgradeOutbound')
        return (...[connection, options]: Parameters<Upgrader['upgradeOutbound']>) =>
          target.upgradeOutbound(guarded(connection), options)
      if (key === 'upgradeInbound')
        return (...[connection, options]: Parameters<Upgrader['upgradeInbound']>) =>
          target.upgradeInbound(guarded(connection), options)
      const value = Reflect.get(target, key) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    }
  })
}
