/** How a node and its neighbours come to know the same: announcements, sync, and the links that both run over. */
import type { Directory } from './core/directory.ts'
import type { Offers } from './core/offers.ts'
import type { MeshError } from './errors.ts'
import { announcedAddresses } from './mesh-addresses.ts'
import type { MeshComponents } from './mesh-components.ts'
import { createAnnouncer, type Announcer } from './net/announce.ts'
import { createLinks, type Link, type Links } from './net/links.ts'
import { createReconciler } from './net/reconciler.ts'
import { createSessions } from './net/sessions.ts'
import { createSync } from './net/sync.ts'
import { VERSION } from './version.ts'

/** See {@link createMeshSync}. */
export interface MeshSync {
  readonly announcer: Announcer
  readonly links: Links
  /** Before libp2p starts. */
  listen(): Promise<void>
  /** Links begin, once libp2p has started. */
  start(): void
  /** Begins to say what this node offers, and where it is. */
  announce(): Promise<void>
  /** What this node says of itself may be another now. */
  announceNode(): void
  /** Begins to compare with neighbours. */
  compare(): void
  /** In the order in which they are to run when the node stops. */
  readonly stops: { reconciler(): unknown; announcer(): unknown; links(): unknown; sessions(): unknown }
}

/** What it needs. */
export interface MeshSyncComponents extends Pick<
  MeshComponents,
  'libp2p' | 'privateKey' | 'gossip' | 'membership' | 'incarnation' | 'name' | 'cost' | 'now' | 'random' | 'log'
> {
  directory: Directory
  offers: Pick<Offers, 'setLink'>
  count(counter: string): void
  onFault(peer: string, error: MeshError): void
  /** A neighbour says the digest of the notices that it knows. */
  onNoticeDigest(peer: string, digest: Uint8Array): void
  /** The model of which this node gives vectors. */
  embeddings(): string | undefined
  onUp(link: Link): void
  /** @returns true while a way to it over others is looked for. */
  onDown(peer: string): boolean
  /** A round trip to a neighbour, in ms. */
  onRtt?(peer: string, rttMs: number): void
}

/** Nothing runs before `listen`. */
export function createMeshSync(components: MeshSyncComponents): MeshSync {
  const { libp2p, membership, directory, offers, now, random, count, log, onFault, onNoticeDigest } = components
  const announcer = createAnnouncer(
    {
      peerId: libp2p.peerId,
      privateKey: components.privateKey,
      gossip: components.gossip,
      directory,
      now,
      random,
      count,
      needRecord: (origin, from) => reconciler.pull(origin, from),
      onConflict: () =>
        log(
          'warn',
          `another node uses this node's key: ${libp2p.peerId.toString()}; give one of them a data directory of its own`
        )
    },
    {
      mesh: membership.mesh,
      incarnation: components.incarnation,
      info: { name: components.name, version: VERSION, addresses: [], cost: components.cost }
    }
  )
  const sync = createSync({
    directory,
    now,
    ingest: (record, from) => announcer.ingest(record, from),
    onLearned: (from, hearsay) => reconciler.learned(from, hearsay),
    noticeDigest: () => membership.noticeDigest(),
    onNoticeDigest,
    onDoubt: (origin) => links.doubt(origin, true)
  })
  const sessions = createSessions(
    { libp2p, now, onFault, onInbound: (peer, session) => links.accept(peer, session) },
    sync.protocol
  )
  const links = createLinks({
    libp2p,
    sessions,
    now,
    random,
    onRtt: (peer, rttMs) => components.onRtt?.(peer, rttMs),
    onDoubt: (peer) => reconciler.doubt(peer),
    onUp(link) {
      directory.setConnected(link.peer, true, now())
      offers.setLink(link.peer, link)
      components.onUp(link)
      // Whoever lost this node for a lease has forgotten it, and takes only a newer head.
      void announcer.refresh().then(() => links.get(link.peer)?.session === link.session && reconciler.up(link))
    },
    onDown(peer, reason) {
      log('info', `lost ${peer}: ${reason}`)
      offers.setLink(peer, undefined)
      directory.setConnected(peer, false, now(), components.onDown(peer))
    }
  })
  const announceNode = (): void => {
    const { name, cost } = components
    announcer.setInfo({
      name,
      version: VERSION,
      addresses: announcedAddresses(libp2p),
      cost,
      embeddings: components.embeddings()
    })
  }
  const reconciler = createReconciler({ links, sync, directory, now, random, log: (message) => log('warn', message) })

  return {
    announcer,
    links,
    listen: () => sessions.start(),
    start: () => links.start(),
    async announce() {
      announceNode()
      await announcer.start()
      libp2p.addEventListener('self:peer:update', announceNode)
    },
    announceNode,
    compare: () => reconciler.start(),
    stops: {
      reconciler: () => reconciler.stop(),
      announcer() {
        libp2p.removeEventListener('self:peer:update', announceNode)
        return announcer.stop('shutdown')
      },
      links: () => links.stop(),
      sessions: () => sessions.stop()
    }
  }
}
