/** What `atmo join` and `atmo leave` do beside a node that runs: it goes on in another mesh. */
import { setTimeout as delay } from 'node:timers/promises'
import { MeshError, isMeshError } from '../errors.ts'
import type { MeshStatus } from '../mesh-api.ts'
import { connectToNode, type NodeClient } from './client.ts'

/** How long a node may take to stop and to start anew, in ms: calls that run are ended in order. */
const CHANGE_MS = 30_000
const LOOK_MS = 100

/** The node that runs on a data directory, if one does. */
export async function runningNode(dataDir: string): Promise<NodeClient | undefined> {
  return connectToNode(dataDir).catch((error: unknown) => {
    if (isMeshError(error, 'unavailable')) return undefined
    throw error
  })
}

/** Resolves when the node of the directory runs in a mesh that `isIt` accepts. @throws MeshError `unavailable` if it does not in time. */
export async function untilInMesh(dataDir: string, isIt: (id: string) => boolean): Promise<void> {
  const deadline = performance.now() + CHANGE_MS
  for (;;) {
    const status = await runningNode(dataDir)
      .then((client) => client?.get<MeshStatus>('/mesh/status'))
      .catch(() => undefined)
    if (status !== undefined && isIt(status.mesh.id)) return
    if (performance.now() > deadline)
      throw new MeshError('unavailable', `the node here did not start anew within ${CHANGE_MS / 1_000} s; see what it printed`)
    await delay(LOOK_MS)
  }
}
