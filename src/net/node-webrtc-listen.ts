/** Why a WebRTC address cannot be listened on. Node only. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Transport } from '@libp2p/interface'
import { parseIpMultiaddr } from './ip-multiaddr.ts'

/**
 * A transport whose listeners reject with the error of the system, such as EADDRINUSE. As of @libp2p/webrtc 6.0.33 and
 * node-datachannel 0.33.4 none is told, and a listener that has failed makes the stop of libp2p fail as well.
 */
export function explainListen<C>(create: (components: C) => Transport): (components: C) => Transport {
  return (components) => {
    const transport = create(components)
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (options) => {
      const listener = createListener(options)
      const listen = listener.listen.bind(listener)
      return Object.assign(listener, {
        async listen(...[address]: Parameters<typeof listen>): Promise<void> {
          await tryUdp(address.toString())
          await listen(address)
        }
      })
    }
    return transport
  }
}

/** Binds a socket for a moment: only the native part keeps one. */
async function tryUdp(address: string): Promise<void> {
  const { family, host, port } = parseIpMultiaddr(address) ?? {}
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
  try {
    socket.bind({ port: port ?? 0, ...(host !== undefined && { address: host }), exclusive: true })
    await once(socket, 'listening')
  } finally {
    await new Promise<void>((resolve) => socket.close(resolve))
  }
}
