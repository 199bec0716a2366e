import './node20-shims.ts'
import { identify, type Identify } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import type { GossipSub } from '@libp2p/gossipsub'
import { createLibp2p } from 'libp2p'
import { VERSION } from '../version.ts'
import { createAdmissionGate, type AdmissionGate } from './admission-gate.ts'
import { gossipService } from './gossip.ts'
import { joinedWrites } from './joined-writes.ts'
import { createKnocks, type Knocks } from './knocks.ts'
import { tcpWithZones } from './node-tcp-zones.ts'
import { boundedWebSockets } from './node-websockets.ts'
import { createUpgrades, type UpgradeComponents, type Upgrades } from './upgrades.ts'
import type { NodeWebRtc } from './node-webrtc.ts'

/** Where a node listens unless told otherwise: any free TCP port, IPv4 and IPv6. */
export const DEFAULT_LISTEN = ['/ip4/0.0.0.0/tcp/0', '/ip6/::/tcp/0']
/** Receive window of one yamux stream, in bytes; below the 4 MiB that a paused libp2p stream may hold. */
export const STREAM_WINDOW_BYTES = 1024 * 1024
/** Connections a second that one host may open to this node; a household behind one address is many nodes. */
export const INBOUND_PER_SECOND = 64
/** Connections that a node keeps at most. */
export const MAX_CONNECTIONS = 300

/** What the libp2p of a node offers beside libp2p itself. */
export type NodeServices = { identify: Identify; pubsub: GossipSub; gate: AdmissionGate; knocks: Knocks; upgrades: Upgrades }

/** What a node may do without. */
export interface PresetOptions {
  /** False: noise alone. TLS refuses a peer whose clock is over an hour ahead, since its certificate seems to begin later. Default true. */
  tls?: boolean
  /** Topics of gossip that are read. Default: any. */
  topics?: readonly string[]
  /** For `/webrtc-direct` addresses. Default: none can be listened on or dialled. */
  webRtc?: NodeWebRtc | undefined
}

/**
 * libp2p for Node, not started: TCP, and WebSocket or WebRTC where it is told to listen or dial so; TLS first (Node's own, twice the calls per second of noise), noise for whom has no TLS; yamux.
 * Presence and round trips are measured on our own sessions, so libp2p's connection monitor is off.
 */
export async function createNodeLibp2p(
  privateKey: PrivateKey,
  listen: string[] = DEFAULT_LISTEN,
  options: PresetOptions = {}
): Promise<Libp2p<NodeServices>> {
  const knocks = createKnocks(() => performance.now())
  const turnsAway = (address: string): boolean => knocks.turnsAway(address)
  const { webRtc } = options
  return createLibp2p({
    start: false,
    privateKey,
    addresses: { listen },
    transports: [
      tcpWithZones(),
      boundedWebSockets(),
      ...(webRtc === undefined ? [] : [webRtc({ turnsAway, maxConnections: MAX_CONNECTIONS })])
    ],
    connectionEncrypters: [...(options.tls === false ? [] : [joinedWrites(tls())]), joinedWrites(noise())],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES }, enableKeepAlive: false })],
    connectionMonitor: { enabled: false },
    connectionGater: { denyInboundConnection: ({ remoteAddr }) => turnsAway(remoteAddr.toString()) },
    connectionManager: {
      inboundConnectionThreshold: INBOUND_PER_SECOND,
      maxIncomingPendingConnections: INBOUND_PER_SECOND,
      maxConnections: MAX_CONNECTIONS
    },
    nodeInfo: { userAgent: `atmosphere/${VERSION}` },
    services: {
      // Asked once a peer is admitted: see admission.ts.
      identify: identify({ runOnConnectionOpen: false, runOnLimitedConnection: false }),
      pubsub: gossipService(options.topics),
      gate: ({ registrar }: { registrar: object }) => createAdmissionGate(registrar),
      upgrades: (components: UpgradeComponents) => createUpgrades(components),
      knocks: () => knocks
    }
  })
}
