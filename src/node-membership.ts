/** Which mesh a node is of, from its data directory. Node only. */
import type { PrivateKey } from '@libp2p/interface'
import { hostname } from 'node:os'
import { MAX_MESH_NAME } from '../protocols/join/messages.ts'
import { MAX_NODE_NAME } from './config-formats.ts'
import { readMesh, writeMesh } from './data-dir-mesh.ts'
import { privateMembership, type Membership } from './trust/membership.ts'
import { openMembership } from './trust/open-membership.ts'
import { foundMesh } from './trust/mesh-state.ts'

/** Where to look, and who asks. */
export interface LoadMembership {
  /** True: the mesh that is open to everybody. */
  open: boolean
  /** Path of the data directory; without one the mesh is new, and gone with the node. */
  dataDir: string | undefined
  nodeKey: PrivateKey
  /** What the node calls itself: a mesh that is made here is named after it. */
  name: string
  /** A mesh was made. */
  onFounded?(membership: Membership): void
}

/** What a node is called that was given no name: the host's. */
export function hostNodeName(): string {
  return hostname().split('.')[0]?.slice(0, MAX_NODE_NAME) ?? 'node'
}

/** What a name of a node may have and that of a mesh not, such as what joins the parts of an emoji, is left out. */
function meshNameAfter(node: string): string {
  return `${node.replace(/\p{C}/gu, '')}'s mesh`.slice(0, MAX_MESH_NAME).replace(/[\ud800-\udbff]$/, '')
}

/** The mesh of the data directory, or a new private one of which this node is the owner. @throws MeshError `invalid_config`, `unavailable`. */
export async function loadMembership({ open, dataDir, nodeKey, name, onFounded }: LoadMembership): Promise<Membership> {
  if (open) return openMembership()
  const kept = dataDir === undefined ? undefined : await readMesh(dataDir)
  const state = kept ?? (await foundMesh(meshNameAfter(name)))
  const membership = await privateMembership({
    state,
    nodeKey,
    name,
    wallS: () => Date.now() / 1_000,
    now: () => performance.now(),
    save: async (next) => (dataDir === undefined ? undefined : writeMesh(dataDir, next))
  })
  if (kept === undefined) onFounded?.(membership)
  return membership
}
