/** How a node founds, joins and leaves a mesh: on its data directory. Node only. */
import type { Connection, Libp2p } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { parseInvite } from '../protocols/join/code.ts'
import type { Invite, Welcome } from '../protocols/join/messages.ts'
import { originId } from './core/document.ts'
import { openDataDir } from './data-dir.ts'
import { recordAlone } from './data-dir-audit.ts'
import { bringBack, readMesh, setMeshAside, writeMesh } from './data-dir-mesh.ts'
import { MeshError, isMeshError } from './errors.ts'
import { requestWelcome } from './net/join.ts'
import { enterMesh, type HandOver, type MeshSummary, type Obtained } from './node-enter.ts'
import { loadKey } from './node-key.ts'
import { hostNodeName, loadMembership } from './node-membership.ts'
import { checkMeshName, foundMesh, type MeshState } from './trust/mesh-state.ts'
import { privateMembership } from './trust/membership.ts'

/** How long all addresses of an invite are tried, in ms. */
export const REACH_MS = 10_000

/** Makes a mesh of which this node is the owner. @throws MeshError `conflict` if it has one, or if a node runs on the data directory. */
export async function initMesh(dataDir: string, name: string): Promise<MeshSummary> {
  checkMeshName(name)
  return withDataDir(dataDir, 'atmo init', async (dir) => {
    const old = await readMesh(dir)
    if (old !== undefined)
      throw new MeshError('conflict', `this node is of the mesh "${old.name}" already; to leave it, run: atmo leave`, {
        mesh: old.mesh
      })
    const nodeKey = await loadKey(dir)
    const state = await foundMesh(name)
    const membership = await privateMembership({ ...clocks(), state, nodeKey, save: (next) => writeMesh(dir, next) })
    await recordAlone(dir, { event: 'init', mesh: membership.mesh, name: membership.name })
    return { id: membership.mesh, name: membership.name, role: membership.role, peerId: peerIdFromPrivateKey(nodeKey).toString() }
  })
}

/**
 * Joins the mesh of an invite code. A mesh that this node made and nobody else ever joined is given up for it.
 * @param name what the node calls itself. @param handOver for a node that runs; see {@link HandOver}.
 * @throws MeshError `invalid_argument` for a code that is none, `permission_denied` for one that opens nothing (any more), `unavailable` if nobody
 * answers, `conflict` if the node is of another mesh, or runs and there is no `handOver`.
 */
export async function joinMesh(dataDir: string, code: string, name: string, handOver?: HandOver): Promise<MeshSummary> {
  const invite = parseInvite(code)
  const obtain = async (libp2p: Libp2p): Promise<Obtained> => {
    const connection = await reach(libp2p, invite)
    return { connection, welcome: await ask(connection, invite.token, name) }
  }
  return enterMesh(dataDir, obtain, handOver)
}

/**
 * Leaves the mesh. @param force also if this node is its only owner.
 * @returns its name, and where what belongs to it is kept.
 * @throws MeshError `conflict` if there is none, if the node runs, or if the mesh would be left without an owner.
 */
export async function leaveMesh(dataDir: string, force = false): Promise<{ name: string; id: string; kept: string }> {
  // A directory that is not there is not made only to be told that it has no mesh.
  await checkMayLeave(dataDir, force)
  return withDataDir(dataDir, 'atmo leave', async (dir) => {
    const { id, name } = await checkMayLeave(dir, force)
    const kept = await setMeshAside(dir)
    await recordAlone(dir, { event: 'leave', mesh: id, name })
    return { id, name, kept }
  })
}

/**
 * Leaves the mesh for a new one of this node's own. No node may run on the directory. @param left what {@link checkMayLeave} said.
 * @param called name of the node; default: the host's. @throws MeshError `unavailable` if that cannot be written: then nothing has changed.
 */
export async function leaveForOwn(dir: string, left: { id: string; name: string }, called = hostNodeName()): Promise<void> {
  const kept = await setMeshAside(dir)
  try {
    const { mesh, name } = await loadMembership({ open: false, dataDir: dir, nodeKey: await loadKey(dir), name: called })
    await recordAlone(dir, { event: 'leave', mesh: left.id, name: left.name })
    await recordAlone(dir, { event: 'init', mesh, name })
  } catch (error) {
    await bringBack(dir, kept)
    throw error
  }
}

/** @returns the mesh that would be left. @throws MeshError `conflict` if there is none, or without `force` if it would be left without an owner. */
export async function checkMayLeave(dir: string, force: boolean): Promise<{ name: string; id: string }> {
  const old = await readMesh(dir)
  if (old === undefined) throw new MeshError('conflict', 'this node is of no mesh')
  if (!force && isOnlyOwner(old))
    throw new MeshError(
      'conflict',
      `this node is the only owner of the mesh "${old.name}" that it knows: without one nobody can let nodes in, and the mesh ends within 30 days; make a second owner first (atmo invite --role owner), or leave all the same with --force`,
      { mesh: old.mesh }
    )
  return { name: old.name, id: old.mesh }
}

async function withDataDir<T>(path: string, what: string, work: (dir: string) => Promise<T>): Promise<T> {
  const dataDir = await openDataDir(path, what)
  try {
    return await work(dataDir.path)
  } finally {
    await dataDir.release()
  }
}

async function reach(libp2p: Libp2p, { node, addresses }: Invite): Promise<Connection> {
  const peer = originId(node)
  if (peer === libp2p.peerId.toString())
    throw new MeshError('invalid_argument', 'this invite is of this very node; use it on the other one')
  try {
    // With the PeerId: whoever else answers there is not told the token.
    const targets = addresses.map((bytes) => multiaddr(`${multiaddr(bytes).toString()}/p2p/${peer}`))
    return await libp2p.dial(targets, { signal: AbortSignal.timeout(REACH_MS) })
  } catch (error) {
    throw new MeshError(
      'unavailable',
      'the node that gave this invite does not answer; is it running, and on the same network?',
      { peer, addresses: addresses.length },
      { cause: error }
    )
  }
}

/** A node without an open invite says nothing at all to a stranger. */
async function ask(connection: Connection, token: Uint8Array, name: string): Promise<Welcome> {
  try {
    return await requestWelcome(connection, { op: 'join', token, name }, () => performance.now())
  } catch (error) {
    if (!isMeshError(error, 'unavailable') || error.details['reason'] !== undefined) throw error
    throw new MeshError(
      'permission_denied',
      'the node that gave this invite is there, and lets nobody in with it: it was used, is older than ten minutes, or that node was started anew; ask for another',
      { reason: 'unknown_invite' },
      { cause: error }
    )
  }
}

function isOnlyOwner({ meshKey, issued }: MeshState): boolean {
  return meshKey !== undefined && issued.length > 0 && !issued.some(({ role }) => role === 'owner')
}

const clocks = () => ({ wallS: () => Date.now() / 1_000, now: () => performance.now() })
