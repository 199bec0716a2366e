import type { Libp2p } from '@libp2p/interface'
import { join } from 'node:path'
import { networkInterfaces } from 'node:os'
import { createAddressBook } from './address-book.ts'
import { createAddressBookFile } from './address-book-file.ts'
import { connectionsOf } from './dial-links.ts'
import { createDialer } from './dialer.ts'
import { readInterfaces, type InterfaceAddress, type InterfaceFilter } from './interfaces.ts'
import { createMdns } from './mdns.ts'

/** File of remembered addresses in the data directory. */
export const PEERS_FILE = 'peers.json'

/** Options of discovery. */
export interface NodeDiscoveryInit {
  /** What the node listens on, as given. */
  listen: string[]
  /** Multiaddrs of static peers. */
  peers: string[]
  /** False: no multicast at all. */
  mdns: boolean | { interfaces?: InterfaceFilter }
  /** Where addresses are remembered; undefined: not at all. */
  dataDir: string | undefined
  log: (message: string) => void
}

/** What the node shows of its network. */
export interface NetworkState {
  state: 'ok' | 'no-network' | 'no-multicast'
  message: string
}

/** mDNS, static peers, remembered addresses, and the dialer that keeps connected to what they find. */
export interface NodeDiscovery {
  start(): Promise<void>
  stop(): Promise<void>
  learned(peer: string, addresses: string[]): void
  add(address: string): void
  /** Ignores a peer for `ms`. */
  avoid(peer: string, ms: number): void
  /** Ignores nobody any more, and tries at once who refused this node. */
  forgive(): void
  /** How proving ended with a peer. */
  proved(peer: string, accepted: boolean): void
  sourceOf(peer: string): string
  state(): NetworkState
  counters(): Record<string, number>
}

/** Notes where a peer was reached, for the next start on this data directory. Never rejects. */
export async function rememberPeer(dataDir: string, peer: { id: string; address: string }): Promise<void> {
  const file = createAddressBookFile(join(dataDir, PEERS_FILE))
  const book = createAddressBook({ ...file, now: Date.now, schedule: () => () => undefined })
  await book.open()
  const address = peer.address.replace(/\/p2p\/[^/]+$/, '')
  book.good(peer.id, `${address}/p2p/${peer.id}`, 'peer')
  await book.flush()
}

/** Where the nodes are that this data directory remembers: multiaddrs, those of the one that was there last first. Never rejects. */
export async function rememberedAddresses(dataDir: string): Promise<string[]> {
  const file = createAddressBookFile(join(dataDir, PEERS_FILE))
  const book = createAddressBook({ ...file, now: Date.now, schedule: () => () => undefined })
  await book.open()
  return book.entries().flatMap(({ addrs }) => addrs)
}

/** @param onState is told when the network comes and goes. @param onInterfaces when addresses of this machine do. */
export function createNodeDiscovery(
  libp2p: Libp2p,
  init: NodeDiscoveryInit,
  onState: (state: NetworkState) => void,
  onInterfaces: () => void = () => undefined
): NodeDiscovery {
  const self = libp2p.peerId.toString()
  const schedule = (action: () => void, ms: number): (() => void) => {
    const timer = setTimeout(action, ms)
    return () => clearTimeout(timer)
  }
  const filter = typeof init.mdns === 'object' ? init.mdns.interfaces : undefined
  const file = init.dataDir === undefined ? undefined : createAddressBookFile(join(init.dataDir, PEERS_FILE))
  const book = createAddressBook({
    load: async () => file?.load(),
    save: async (bytes) => file?.save(bytes),
    now: Date.now,
    schedule
  })
  let interfaces: readonly InterfaceAddress[] = readInterfaces(networkInterfaces(), filter)
  let state: NetworkState = {
    state: 'ok',
    message: init.mdns === false ? 'mDNS is off: only static, remembered and announced peers' : ''
  }
  const dialer = createDialer({
    libp2p,
    addressBook: book,
    now: () => performance.now(),
    random: Math.random,
    schedule,
    interfaces: () => interfaces
  })

  /** libp2p leaves link-local addresses out; a wildcard with its real port lets mDNS name them on their own link. */
  function listenAddresses(): string[] {
    const concrete = libp2p.getMultiaddrs().map((address) => address.toString())
    const port = concrete.map((address) => /^\/ip6\/[^/]+\/tcp\/(\d+)/.exec(address)?.[1]).find((found) => found !== undefined)
    const wildcard = init.listen.some((address) => address.startsWith('/ip6/::/'))
    return port === undefined || !wildcard ? concrete : [...concrete, `/ip6/::/tcp/${port}/p2p/${self}`]
  }

  const mdns =
    init.mdns === false
      ? undefined
      : createMdns(
          {
            peerId: self,
            getMultiaddrs: listenAddresses,
            onPeer: (peer, addresses) => dialer.found(peer, addresses, 'mdns'),
            onState: (next, message) => onState((state = { state: next, message })),
            onInterfaces(addresses) {
              interfaces = addresses
              dialer.networkChanged()
              onInterfaces()
            },
            log: init.log
          },
          filter === undefined ? {} : { interfaces: filter }
        )

  return {
    async start() {
      await book.open()
      dialer.start()
      for (const address of init.peers) this.add(address)
      mdns?.start()
    },
    async stop() {
      dialer.stop()
      await mdns?.stop()
      await book.flush()
    },
    learned: (peer, addresses) => dialer.found(peer, addresses, 'peer'),
    add(address) {
      dialer.found(undefined, [address], 'static')
    },
    avoid: (peer, ms) => dialer.avoid(peer, ms),
    forgive: () => dialer.forgive(),
    proved: (peer, accepted) => dialer.proved(peer, accepted),
    sourceOf(peer) {
      // What no address is known of was announced by those that it is reached over.
      const source = dialer.peers().find(({ peerId }) => peerId === peer)?.source ?? 'peer'
      // Its own announcement told its addresses after it had come to us: that is not how it was found.
      const inbound = source === 'peer' && connectionsOf(libp2p, peer).some(({ direction }) => direction === 'inbound')
      return inbound ? 'inbound' : source
    },
    state: () => state,
    counters() {
      const counted: Record<string, number> = {}
      for (const [name, value] of Object.entries(dialer.counters())) counted[`dialer.${name}`] = value
      for (const [name, value] of Object.entries<number>({ ...mdns?.counters() })) counted[`mdns.${name}`] = value
      return counted
    }
  }
}
