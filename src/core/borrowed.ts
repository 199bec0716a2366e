import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { CapabilityQuery, CapabilityView, KnownPeer } from '../mesh-api.ts'
import type { Offer } from './candidates.ts'
import { roundedRtt, type LinkState } from './offers.ts'
import { matches, statusOf } from './query.ts'

/** A node of another mesh that lends to this one. */
export interface Lending {
  /** Id of its mesh, and what that is called. */
  mesh: string
  meshName: string
  link: LinkState
}

/** A capability that came, changed or went. */
export interface BorrowedChange {
  kind: 'available' | 'updated' | 'removed'
  node: string
  declaration: CapabilityDeclaration
}

/** What other meshes lend to this node: known to it alone, and only while it is connected with the lender. */
export interface Borrowed {
  /** A peer begins to lend; what it lent before is gone. */
  begin(peer: string, lending: Lending): void
  rename(peer: string, name: string): void
  put(peer: string, declaration: CapabilityDeclaration): void
  remove(peer: string, id: string): void
  /** A peer lends nothing any more. */
  end(peer: string): void
  /** What a lender calls itself; undefined if it has not said. */
  nameOf(peer: string): string | undefined
  /** The lenders, by the names of their meshes. @param sourceOf how one was found. */
  peers(sourceOf: (peer: string) => string): KnownPeer[]
  /** Takes away what does not fit. */
  keep(fits: (mesh: string, declaration: CapabilityDeclaration) => boolean): void
  /** The offers of the own mesh, and then these; the very same list while nothing is borrowed. */
  offers(own: Offer[]): Offer[]
  /** The views of the own mesh, and then those of these that fit the query. @param all what the own mesh has, without a query. */
  views(own: CapabilityView[], query: CapabilityQuery, all: () => Iterable<NamedCapability>): CapabilityView[]
}

/** A capability as references name it. */
export type NamedCapability = Pick<CapabilityView, 'id' | 'node' | 'nodeName'>

interface Lender extends Lending {
  /** Undefined until it has said it. */
  name: string | undefined
  capabilities: Map<string, CapabilityDeclaration>
}

/** @param emit told of what came, changed and went. */
export function createBorrowed(emit: (change: BorrowedChange) => void): Borrowed {
  const lenders = new Map<string, Lender>()
  let cached: { own: Offer[]; all: Offer[] } | undefined

  function remove(peer: string, id: string): void {
    const declaration = lenders.get(peer)?.capabilities.get(id)
    if (declaration === undefined) return
    lenders.get(peer)!.capabilities.delete(id)
    cached = undefined
    emit({ kind: 'removed', node: peer, declaration })
  }

  function end(peer: string): void {
    for (const id of lenders.get(peer)?.capabilities.keys() ?? []) remove(peer, id)
    lenders.delete(peer)
  }

  function offerOf(node: string, lender: Lender, capability: CapabilityDeclaration): Offer {
    return {
      node,
      nodeName: lender.name ?? node,
      local: false,
      direct: true,
      id: capability.id,
      type: capability.type,
      capability,
      mesh: lender.mesh,
      get rttMs() {
        return lender.link.rttMs
      }
    }
  }

  /** The shortest reference that means one alone. Each is looked at once: a lender may have many, and change them often. */
  function references(all: () => Iterable<NamedCapability>): (id: string, node: string, name: string) => string {
    const [byId, byName] = [new Map<string, Set<string>>(), new Map<string, Set<string>>()]
    const add = (index: Map<string, Set<string>>, key: string, node: string): void => {
      const nodes = index.get(key)
      if (nodes === undefined) index.set(key, new Set([node]))
      else nodes.add(node)
    }
    for (const { id, node, nodeName } of all()) {
      add(byId, id, node)
      add(byName, nodeName, node)
    }
    for (const [node, { name = node, capabilities }] of lenders) {
      if (capabilities.size > 0) add(byName, name, node)
      for (const id of capabilities.keys()) add(byId, id, node)
    }
    // The one that is asked about is among them.
    return (id, node, name) => (byId.get(id)!.size === 1 ? id : `${id}@${byName.get(name)!.size === 1 ? name : node}`)
  }

  return {
    begin(peer, lending) {
      end(peer)
      lenders.set(peer, { ...lending, name: undefined, capabilities: new Map() })
    },
    rename(peer, name) {
      const lender = lenders.get(peer)
      if (lender !== undefined) lender.name = name
      cached = undefined
    },
    put(peer, declaration) {
      const lender = lenders.get(peer)
      if (lender === undefined) return
      const kind = lender.capabilities.has(declaration.id) ? 'updated' : 'available'
      lender.capabilities.set(declaration.id, declaration)
      cached = undefined
      emit({ kind, node: peer, declaration })
    },
    remove,
    end,
    nameOf: (peer) => lenders.get(peer)?.name,
    peers: (sourceOf) =>
      [...lenders]
        .map(
          ([
            peerId,
            {
              name = '',
              mesh,
              meshName,
              link: { rttMs },
              capabilities
            }
          ]) => ({
            peerId,
            name,
            version: '',
            rttMs: roundedRtt(rttMs),
            direct: true,
            hops: 1,
            via: null,
            source: sourceOf(peerId),
            addresses: [],
            capabilities: [...capabilities.keys()],
            mesh: meshName,
            meshId: mesh
          })
        )
        .sort((a, b) => (`${a.mesh} ${a.name} ${a.peerId}` < `${b.mesh} ${b.name} ${b.peerId}` ? -1 : 1)),
    keep(fits) {
      for (const [peer, { mesh, capabilities }] of lenders)
        for (const [id, declaration] of capabilities) if (!fits(mesh, declaration)) remove(peer, id)
    },
    offers(own) {
      if (lenders.size === 0) return own
      if (cached?.own !== own) {
        const lent = [...lenders].flatMap(([peer, lender]) =>
          [...lender.capabilities.values()].map((declaration) => offerOf(peer, lender, declaration))
        )
        cached = { own, all: [...own, ...lent] }
      }
      return cached.all
    },
    views(own, query, all) {
      if (lenders.size === 0) return own
      const fitting = [...lenders]
        .filter(([node, { name = node }]) => query.node === undefined || query.node === node || query.node === name)
        .map(([node, lender]) => ({
          node,
          lender,
          declarations: [...lender.capabilities.values()].filter((one) => matches(one, query))
        }))
      if (fitting.every(({ declarations }) => declarations.length === 0)) return own
      const refOf = references(all)
      const lent = fitting.flatMap(({ node, lender: { name = node, mesh, meshName }, declarations }) =>
        declarations.map(({ changed: _claimed, ...declaration }): CapabilityView => ({
          ...declaration,
          name: declaration.name ?? declaration.id,
          status: statusOf(declaration),
          tools: declaration.tools ?? [],
          triggers: declaration.triggers ?? [],
          node,
          nodeName: name,
          ref: refOf(declaration.id, node, name),
          local: false,
          mesh: meshName,
          meshId: mesh
        }))
      )
      return [...own, ...lent.sort((a, b) => (`${a.mesh} ${a.nodeName} ${a.id}` < `${b.mesh} ${b.nodeName} ${b.id}` ? -1 : 1))]
    }
  }
}
