/** How a node that runs changes into another mesh: it stops, its data directory changes, it is run again. Node only. */
import { MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'
import type { MeshChange } from './http/change-routes.ts'

/** What a change works on. */
export interface MeshChangeInit {
  mesh: Pick<Mesh, 'status'>
  /** Data directory. */
  dir: string
  /** What the node was told to be called; default: the host's name. */
  name: string | undefined
  /** Stops the node, does the work on the directory when nothing else writes to it, and runs it again. @throws MeshError `unavailable`. */
  restart(work: () => Promise<unknown>): void
}

/**
 * What can fail is tried before anything stops; if the work fails all the same, the node goes on in the mesh that it had.
 * The node modules are loaded when they are needed: a start does not wait for them.
 */
export function createMeshChange({ mesh, dir, name: called, restart }: MeshChangeInit): MeshChange {
  function refuseOpen(): void {
    if (mesh.status().mesh.open)
      throw new MeshError('conflict', 'this node was started with --open; stop it, and start it without', { dataDir: dir })
  }
  /** @param state the new mesh, as far as it is known. */
  async function restartWith(work: () => Promise<unknown>, state?: string): Promise<void> {
    const { holdRoom } = await import('./data-dir-mesh.ts')
    const free = await holdRoom(dir, state)
    try {
      // What the node writes while it stops must not take it.
      restart(async () => {
        await free()
        await work()
      })
    } catch (error) {
      await free()
      throw error
    }
  }
  return {
    async enter(obtained) {
      refuseOpen()
      const [{ checkMayEnter, keepMesh }, { parseMeshState }] = await Promise.all([
        import('./node-enter.ts'),
        import('./trust/mesh-state.ts')
      ])
      await checkMayEnter(dir)
      const { mesh: id, name } = parseMeshState(obtained.state)
      await restartWith(() => keepMesh(dir, obtained), obtained.state)
      return { id, name }
    },
    async leave(force) {
      refuseOpen()
      const { checkMayLeave, leaveForOwn } = await import('./node-join.ts')
      const left = await checkMayLeave(dir, force)
      await restartWith(() => leaveForOwn(dir, left, called))
      return left
    }
  }
}
