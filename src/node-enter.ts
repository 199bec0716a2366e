/** How a node enters another mesh: what it is given by a member, and how that is kept in its data directory. Node only. */
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import type { Connection, Libp2p } from '@libp2p/interface'
import type { Welcome } from '../protocols/join/messages.ts'
import { originBytes, originId } from './core/document.ts'
import { openDataDir } from './data-dir.ts'
import { holdRoom, readMesh, replaceMesh } from './data-dir-mesh.ts'
import { MeshError } from './errors.ts'
import { rememberPeer } from './net/node-discovery.ts'
import { createNodeLibp2p } from './net/node-preset.ts'
import { loadKey } from './node-key.ts'
import { verifyChain } from './trust/certificate.ts'
import { clockOffsetS, createMeshClock } from './trust/mesh-clock.ts'
import { formatMeshState, parseMeshState, type MeshState } from './trust/mesh-state.ts'
import { createRevocations } from './trust/revocations.ts'
import { createSuccessions } from './trust/successions.ts'

/** A mesh, as a person is told of it. */
export interface MeshSummary {
  id: string
  name: string
  role: string
  peerId: string
}

/** A welcome, and the connection over which it came. */
export interface Obtained {
  welcome: Welcome
  connection: Connection
}

/** A membership that is obtained and checked, and not kept yet. As it crosses the local API of a node that runs; it holds secrets. */
export interface ObtainedMesh {
  /** See `formatMeshState`. */
  state: string
  /** Who let this node in, and where it was reached. */
  peer: { id: string; address: string }
}

/** Gives what was obtained to the node that runs on the data directory, which goes on in that mesh. */
export type HandOver = (obtained: ObtainedMesh) => Promise<void>

/**
 * Keeps the welcome that `obtain` gets over a libp2p of this node, which is stopped afterwards. @param handOver for a data directory on which a node runs.
 * @throws MeshError `conflict` if the node is of another mesh, or runs and there is no `handOver`, `permission_denied` if the certificates are not good, and what `obtain` throws.
 */
export async function enterMesh(
  path: string,
  obtain: (libp2p: Libp2p) => Promise<Obtained>,
  handOver?: HandOver
): Promise<MeshSummary> {
  if (handOver !== undefined) {
    const { obtained, summary } = await obtainMesh(path, obtain)
    await handOver(obtained)
    return summary
  }
  const dataDir = await openDataDir(path, 'atmo join')
  try {
    const { obtained, summary } = await obtainMesh(dataDir.path, obtain)
    await keepMesh(dataDir.path, obtained)
    return summary
  } finally {
    await dataDir.release()
  }
}

/** Keeps nothing: a node may run on the directory. */
async function obtainMesh(
  dir: string,
  obtain: (libp2p: Libp2p) => Promise<Obtained>
): Promise<{ obtained: ObtainedMesh; summary: MeshSummary }> {
  await checkMayEnter(dir)
  // An invite opens once: on a full disk it must not be spent.
  const giveBack = await holdRoom(dir)
  await giveBack()
  // The clock here may be a year off, and nobody is known yet who could tell.
  const libp2p = await createNodeLibp2p(await loadKey(dir), [], { tls: false })
  await libp2p.start()
  try {
    const { welcome, connection } = await obtain(libp2p)
    const { mesh, secret, chain, successions = [], meshKey, name: called, now: theirs } = welcome
    const keys = createSuccessions(mesh)
    await keys.take(successions)
    // The clock of who let this node in: its own may be a year off.
    const node = libp2p.peerId.toMultihash().bytes
    const member = await verifyChain(chain, { mesh, node, nowS: theirs, rootStanding: keys.rootStanding })
    const state: MeshState = {
      mesh: originId(mesh),
      name: called,
      secret,
      chain,
      meshKey: meshKey === undefined ? undefined : privateKeyFromProtobuf(meshKey),
      clock: { floorS: member.notBefore, offsetS: clockOffsetS(Date.now() / 1_000, theirs) },
      issued: [],
      successions: keys.all(),
      revocations: []
    }
    const text = formatMeshState(state)
    // What cannot be read again must not be written: the next start would call it damaged.
    parseMeshState(text)
    return {
      obtained: {
        state: text,
        peer: { id: connection.remotePeer.toString(), address: connection.remoteAddr.toString() }
      },
      summary: { id: state.mesh, name: called, role: member.role, peerId: libp2p.peerId.toString() }
    }
  } finally {
    await libp2p.stop()
  }
}

/** @throws MeshError `conflict` if the node of this directory is of a mesh that it would have to leave first. */
export async function checkMayEnter(dir: string): Promise<void> {
  const old = await readMesh(dir)
  if (old !== undefined && !isOwnAlone(old) && !(await isEnded(old)))
    throw new MeshError('conflict', `this node is of the mesh "${old.name}"; to leave it, run: atmo leave`, { mesh: old.mesh })
}

/** Keeps a membership, in place of the one that there was. No node may run on the directory. @throws MeshError `unavailable` if it cannot be written. */
export async function keepMesh(dir: string, { state, peer }: ObtainedMesh): Promise<void> {
  await replaceMesh(dir, parseMeshState(state))
  await rememberPeer(dir, peer)
}

/** Revoked by somebody who may, or by a key of the mesh that was replaced: there is nothing left to leave. The same as the node itself goes by. */
async function isEnded({ mesh, chain, clock, revocations, successions = [] }: MeshState): Promise<boolean> {
  const own = originBytes(mesh)
  const { nowS, toleranceS } = createMeshClock(
    () => Date.now() / 1_000,
    () => performance.now(),
    clock
  )
  const keys = createSuccessions(own)
  await keys.take(successions)
  const ends = createRevocations(own, nowS, toleranceS, keys)
  for (const signed of revocations) await ends.take(signed, { kept: true })
  return (
    ends.endOf(chain) !== undefined || chain.slice(-1).some(({ certificate }) => keys.rootStanding(certificate) === 'superseded')
  )
}

function isOwnAlone({ meshKey, issued, treaties = [] }: MeshState): boolean {
  return meshKey !== undefined && issued.length === 0 && treaties.length === 0
}
