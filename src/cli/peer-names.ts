/** Names in place of PeerIds, where people read. */
import { namePeerIds } from '../../protocols/short-id.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { LiveEvent } from '../http/event-log.ts'
import type { MeshStatus, PeerView } from '../mesh-api.ts'
import type { NodeClient } from './client.ts'
import { createNaming } from './show-way.ts'

/** Names of nodes that are known to a node, and of those of which events tell later. */
export interface PeerNames {
  /** The name, with the end of the PeerId if several have it; of a node that is not known, that end alone. */
  nameOf(node: string): string
  /** The same in the name of a handler, `capability@PeerId`. */
  handlerOf(handler: string): string
  learn(event: LiveEvent): void
}

/** Asks the node whom it knows, and what it is called itself. @throws MeshError `unavailable` if it is gone. */
export async function readPeerNames(client: Pick<NodeClient, 'get'>): Promise<PeerNames> {
  const [self, { nodes }] = await Promise.all([
    client.get<MeshStatus>('/mesh/status'),
    client.get<{ nodes: PeerView[] }>('/mesh/nodes')
  ])
  return createPeerNames([self, ...nodes])
}

/** Names of these, and of what is learnt later. */
export function createPeerNames(known: Iterable<Pick<PeerView, 'peerId' | 'name'>>): PeerNames {
  const names = new Map([...known].map(({ peerId, name }) => [peerId, name]))
  let naming: ((node: string) => string) | undefined

  function note(node: string, name: string): void {
    if (names.get(node) === name) return
    names.set(node, name)
    naming = undefined
  }

  const nameOf = (node: string): string => (naming ??= createNaming([...names].map(([one, name]) => ({ node: one, name }))))(node)

  return {
    nameOf,
    handlerOf(handler) {
      const at = handler.lastIndexOf('@')
      return `${handler.slice(0, at)}@${nameOf(handler.slice(at + 1))}`
    },
    learn(event) {
      if (event.event === 'peer:join' || event.event === 'peer:updated') note(event.peerId, event.name)
      if (event.event === 'route') note(event.node, event.nodeName)
    }
  }
}

/** An error of a call or a trace that says which node could not be reached, by name. Others stay: what they name may be meant to be typed. */
export async function withNames(client: Pick<NodeClient, 'get'>, error: unknown): Promise<unknown> {
  if (!isMeshError(error, 'unavailable') || namePeerIds(error.message, () => '') === error.message) return error
  const names = await readPeerNames(client).catch(() => undefined)
  if (names === undefined) return error
  return new MeshError(error.code, namePeerIds(error.message, names.nameOf), error.details, { cause: error })
}
