/** How a node that runs changes into another mesh: it stops, its data directory changes, it is run again. Node only. */
import { MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'
import type { MeshChange } from './http/change-routes.ts'

/**
 * @param dir data directory. @param restart stops the node, does the work on the directory when nothing else writes to it, and runs it again.
 * The node modules are loaded when they are needed: a start does not wait for them.
 */
export function createMeshChange(
  mesh: Pick<Mesh, 'status'>,
  dir: string,
  restart: (work: () => Promise<unknown>) => void
): MeshChange {
  function refuseOpen(): void {
    if (mesh.status().mesh.open)
      throw new MeshError('conflict', 'this node was started with --open; stop it, and start it without', { dataDir: dir })
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
      restart(() => keepMesh(dir, obtained))
      return { id, name }
    },
    async leave(force) {
      refuseOpen()
      const [{ checkMayLeave }, { setMeshAside }] = await Promise.all([import('./node-join.ts'), import('./data-dir-mesh.ts')])
      const left = await checkMayLeave(dir, force)
      restart(() => setMeshAside(dir))
      return left
    }
  }
}
