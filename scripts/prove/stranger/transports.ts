import { tcp } from '@libp2p/tcp'
import { webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import type { Libp2pOptions } from 'libp2p'

/** A transport on which the victim listens and the stranger comes. */
export interface StrangerTransport {
  name: string
  /** What the victim listens on. */
  listen: string
  /** The victim's addresses of this transport. */
  fits: RegExp
  create: NonNullable<Libp2pOptions['transports']>[number]
}

/** Every transport of a node; another is one more line, once the node listens on it. */
export const TRANSPORTS: StrangerTransport[] = [
  { name: 'tcp', listen: '/ip4/0.0.0.0/tcp/4001', fits: /\/tcp\/\d+\/p2p\//, create: tcp() },
  { name: 'websocket', listen: '/ip4/0.0.0.0/tcp/4002/ws', fits: /\/tcp\/\d+\/ws\/p2p\//, create: webSockets() },
  {
    name: 'webrtc',
    listen: '/ip4/0.0.0.0/udp/4003/webrtc-direct',
    fits: /\/udp\/\d+\/webrtc-direct\//,
    create: webRTCDirect({ rtcConfiguration: { iceServers: [] } })
  }
]
