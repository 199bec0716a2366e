import { identify, type Identify } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import type { GossipSub } from '@libp2p/gossipsub'
import { createLibp2p } from 'libp2p'
import { createAdmissionGate, type AdmissionGate } from './admission-gate.ts'
import { gossipService } from './gossip.ts'
import { createKnocks, type Knocks } from './knocks.ts'
import { createUpgrades, type UpgradeComponents, type Upgrades } from './upgrades.ts'
import { guardWebSockets } from './websocket-guard.ts'

/** What the libp2p of a browser peer offers beside libp2p itself. */
export type BrowserServices = { identify: Identify; pubsub: GossipSub; gate: AdmissionGate; knocks: Knocks; upgrades: Upgrades }

/** libp2p for a browser tab, not started: dials over WebSocket; WebRTC comes with browser peers. Private addresses may be dialled. @param topics of gossip that are read. */
export async function createBrowserLibp2p(privateKey: PrivateKey, topics?: readonly string[]): Promise<Libp2p<BrowserServices>> {
  return createLibp2p({
    start: false,
    privateKey,
    transports: [guardWebSockets(webSockets())],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: 1024 * 1024 }, enableKeepAlive: false })],
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false },
    services: {
      // Asked once a peer is admitted: see admission.ts.
      identify: identify({ runOnConnectionOpen: false, runOnLimitedConnection: false }),
      pubsub: gossipService(topics),
      gate: ({ registrar }: { registrar: object }) => createAdmissionGate(registrar),
      upgrades: (components: UpgradeComponents) => createUpgrades(components),
      // Nobody can open a connection to a tab.
      knocks: () => createKnocks(() => performance.now())
    }
  })
}
