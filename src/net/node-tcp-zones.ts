/**
 * `@libp2p/tcp` with link-local IPv6. Node only. Two hosts on one cable without DHCP have nothing else.
 * As of @libp2p/tcp 11.0.28 the transport drops the `ip6zone` of an address that it dials, and refuses inbound sockets whose
 * remote address carries a zone (`ipPortToMultiaddr` throws). The e2e test over link-local addresses says when this file can go.
 */
import type { Server, Socket } from 'node:net'
import { tcp } from '@libp2p/tcp'
import type { TCPOptions } from '@libp2p/tcp'
import { parseIpMultiaddr } from './ip-multiaddr.ts'

/** A TCP transport factory for libp2p; takes the options of `tcp()`. */
export function tcpWithZones(options?: TCPOptions): ReturnType<typeof tcp> {
  const create = tcp(options)
  return (components) => {
    const transport = create(components)
    const dial = transport.dial.bind(transport)
    transport.dial = (address, dialOptions) => {
      const { zone, host } = parseIpMultiaddr(address.toString()) ?? {}
      // The transport spreads these options over what it read from the multiaddr, down to net.connect.
      return dial(address, zone === undefined ? dialOptions : Object.assign(dialOptions, { host: `${host}%${zone}` }))
    }
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (listenerOptions) => {
      const listener = createListener(listenerOptions)
      // Before the transport's own handler reads it. The zone is known from the connection's local side anyway.
      ;(listener as unknown as { server?: Server }).server?.prependListener('connection', (socket: Socket) => {
        const [bare, zone] = (socket.remoteAddress ?? '').split('%')
        if (zone !== undefined) Object.defineProperty(socket, 'remoteAddress', { value: bare })
      })
      return listener
    }
    return transport
  }
}
