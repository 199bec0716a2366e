/** What `atmo join` and `atmo leave` do beside a node that runs: it goes on in another mesh. */
import { stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { holdRoom, readMesh } from '../data-dir-mesh.ts'
import { lockDataDir, lockHolder } from '../data-dir-lock.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { MeshStatus } from '../mesh-api.ts'
import { connectToNode, type NodeClient } from './client.ts'

/** How long a node may take to stop and to start anew, in ms: calls that run are ended in order. */
const CHANGE_MS = 30_000
const LOOK_MS = 100
/** A node that starts anew lets go of its data directory for a moment; who has done so for this long, in ms, has ended. */
const GONE_MS = 2_000

/** The node that runs on a data directory, if one does. */
export async function runningNode(dataDir: string): Promise<NodeClient | undefined> {
  return connectToNode(dataDir).catch((error: unknown) => {
    if (isMeshError(error, 'unavailable')) return undefined
    throw error
  })
}

/**
 * Does what changes the mesh of a data directory, while no other command does: an invite is not spent for nothing.
 * @param what the command. @throws MeshError `conflict` if another is at it.
 */
export async function changingMesh<T>(dataDir: string, what: string, work: () => Promise<T>): Promise<T> {
  // One that is not there is not made for this: nobody can be at it.
  if (!(await stat(dataDir).catch(() => undefined))?.isDirectory()) return work()
  const lock = await lockDataDir(dataDir, { name: 'change', what })
  try {
    return await work()
  } finally {
    await lock.release()
  }
}

/**
 * Resolves when the node of the directory runs in a mesh that `isIt` accepts. @param before the node as it was.
 * @throws MeshError `unavailable` as soon as that cannot be any more, or if it does not in time.
 */
export async function untilInMesh(dataDir: string, before: NodeClient, isIt: (id: string) => boolean): Promise<void> {
  const deadline = performance.now() + CHANGE_MS
  let goneSince: number | undefined
  for (;;) {
    const client = await runningNode(dataDir).catch(() => undefined)
    const status = await client?.get<MeshStatus>('/mesh/status').catch(() => undefined)
    if (status !== undefined && isIt(status.mesh.id)) return
    if (status !== undefined && client?.node.startedAt !== before.node.startedAt)
      throw new MeshError(
        'unavailable',
        `the node here could not go into another mesh, and goes on in "${status.mesh.name}"; what it printed says why${await reason(dataDir)}`
      )
    const now = performance.now()
    goneSince = client !== undefined || (await isHeld(dataDir)) ? undefined : (goneSince ?? now)
    if (goneSince !== undefined && now - goneSince > GONE_MS) throw await hasEnded(dataDir, isIt)
    if (now > deadline)
      throw new MeshError('unavailable', `the node here did not start anew within ${CHANGE_MS / 1_000} s; see what it printed`)
    await delay(LOOK_MS)
  }
}

async function isHeld(dataDir: string): Promise<boolean> {
  const holder = await lockHolder(dataDir).catch(() => undefined)
  holder?.cancel()
  return holder !== undefined
}

/** The node went with an error of its own; what it left behind tells what has happened to its mesh. */
async function hasEnded(dataDir: string, isIt: (id: string) => boolean): Promise<MeshError> {
  const mesh = await readMesh(dataDir).catch(() => undefined)
  const now = mesh === undefined ? 'now of no mesh' : `${isIt(mesh.mesh) ? 'now' : 'still'} of the mesh "${mesh.name}"`
  return new MeshError(
    'unavailable',
    `the node that ran here could not start anew and has ended; what it printed says why${await reason(dataDir)}. It is ${now}; when that is mended, run: atmo start`,
    { ...(mesh !== undefined && { mesh: mesh.mesh }) }
  )
}

/** The most likely one, if it is still there. */
async function reason(dataDir: string): Promise<string> {
  try {
    const giveBack = await holdRoom(dataDir)
    await giveBack()
    return ''
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as { code?: string }
    return code === undefined ? '' : ` (${dataDir} cannot be written: ${code})`
  }
}
