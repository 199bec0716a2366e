import type { LendItem } from '../protocols/lend/messages.ts'
import type { Offer } from './core/candidates.ts'
import { createBorrowed, type NamedCapability } from './core/borrowed.ts'
import type { Directory } from './core/directory.ts'
import { capabilityViews, type ChangedOf } from './core/views.ts'
import type { CapabilityQuery, CapabilityView, KnownPeer } from './mesh-api.ts'
import type { MeshComponents } from './mesh-components.ts'
import type { MeshEvents } from './mesh-events.ts'
import { createBorrower } from './net/lend.ts'
import type { Link } from './net/links.ts'
import type { TreatyDesk } from './trust/treaty-desk.ts'

/** What nodes of other meshes lend to this one. */
export interface Borrowing {
  /** Hears what a node of another mesh lends, from the beginning. */
  begin(link: Link, mesh: string): void
  /** Forgets what it lends. */
  end(peer: string): void
  /** Treaties came: what was lent before this side knew that it borrows it was not kept. */
  again(): void
  /** Treaties ended: forgets what is borrowed no more. */
  enforce(): void
  /** For good. */
  stop(): void
  /** The offers of the own mesh and what is borrowed. */
  offers(own: Offer[]): Offer[]
  /** What the own mesh has, and what is borrowed. */
  capabilities(query?: CapabilityQuery): CapabilityView[]
  /** Connected nodes of other meshes. @param sourceOf how one was found. */
  peers(sourceOf: (peer: string) => string): KnownPeer[]
  /** What a lender calls itself; undefined if it has not said. */
  nameOf(peer: string): string | undefined
}

/** What it needs. */
export interface BorrowingComponents extends Pick<MeshComponents, 'now' | 'log'> {
  /** PeerId. */
  self: string
  treaties: Pick<TreatyDesk, 'isBorrowed'>
  directory: Pick<Directory, 'visible'>
  changedOf: ChangedOf
  events: Pick<MeshEvents, 'emit' | 'read'>
  /** What a mesh is called here. */
  meshNameOf(mesh: string): string
}

/** See {@link Borrowing}. */
export function createBorrowing(components: BorrowingComponents): Borrowing {
  const { self, treaties, directory, changedOf, events, meshNameOf, now, log } = components
  const borrower = createBorrower(now)
  const running = new Map<string, { link: Link; mesh: string; stop: AbortController }>()
  let stopped = false

  const borrowed = createBorrowed(({ kind, node, declaration: { id, type } }) => {
    // Another mesh says how often: what nobody reads is not made.
    if (!events.read) return
    if (kind === 'removed') return events.emit({ event: 'capability:removed', node, id, type, reason: 'not lent any more' })
    const capability = capabilities({ node, id })[0]
    if (capability !== undefined) events.emit({ event: `capability:${kind}`, node, capability })
  })

  function* inMesh(): Iterable<NamedCapability> {
    for (const { origin: node, document } of directory.visible())
      for (const id of document?.capabilities.keys() ?? []) yield { id, node, nodeName: document!.info.name }
  }

  function capabilities(query: CapabilityQuery = {}): CapabilityView[] {
    return borrowed.views(capabilityViews(directory.visible(), self, changedOf, query), query, inMesh)
  }

  function take(peer: string, mesh: string, item: LendItem): void {
    if (item.kind === 'node') borrowed.rename(peer, item.name)
    else if (item.kind === 'gone') borrowed.remove(peer, item.id)
    else if (item.kind === 'capability') {
      // The other side says what it lends; what is borrowed, the treaty says.
      if (treaties.isBorrowed(mesh, item.declaration.type)) borrowed.put(peer, item.declaration)
      else borrowed.remove(peer, item.declaration.id)
    }
  }

  function begin(link: Link, mesh: string): void {
    const { peer, session } = link
    end(peer)
    if (stopped) return
    const stop = new AbortController()
    running.set(peer, { link, mesh, stop })
    borrowed.begin(peer, { mesh, meshName: meshNameOf(mesh), link })
    const isOn = (): boolean => running.get(peer)?.stop === stop
    borrower
      .borrow(peer, session, (item) => isOn() && take(peer, mesh, item), stop.signal)
      .catch((error: unknown) => stop.signal.aborted || log('warn', `${peer} lends nothing: ${(error as Error).message}`))
      .finally(() => isOn() && end(peer))
  }

  function end(peer: string): void {
    running.get(peer)?.stop.abort()
    running.delete(peer)
    borrowed.end(peer)
  }

  return {
    begin,
    end,
    again() {
      for (const { link, mesh } of [...running.values()]) begin(link, mesh)
    },
    enforce: () => borrowed.keep((mesh, { type }) => treaties.isBorrowed(mesh, type)),
    stop() {
      stopped = true
      for (const peer of [...running.keys()]) end(peer)
    },
    offers: borrowed.offers,
    capabilities,
    peers: borrowed.peers,
    nameOf: borrowed.nameOf
  }
}
