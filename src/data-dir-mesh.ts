/** The mesh of a node in its data directory: `mesh.json`, mode 0600, as it holds the secrets of the mesh. Node only. */
import { link, readFile, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { absentOr, writeAtomic } from './data-dir-files.ts'
import { MeshError } from './errors.ts'
import { formatMeshState, parseMeshState, type MeshState } from './trust/mesh-state.ts'

const MESH_FILE = 'mesh.json'
const MAX_MESH_BYTES = 16 * 1024 * 1024

/** The mesh of the node; undefined if it has none. @throws MeshError `invalid_config` if the file is damaged or others may read it. */
export async function readMesh(dir: string): Promise<MeshState | undefined> {
  const path = join(dir, MESH_FILE)
  const found = await stat(path).catch(absentOr)
  if (found === undefined) return undefined
  if (process.platform !== 'win32' && (found.mode & 0o077) !== 0)
    throw new MeshError('invalid_config', `other users may read ${path}; if it is still yours alone, run: chmod 600 ${path}`, {
      path
    })
  if (found.size > MAX_MESH_BYTES) throw new MeshError('invalid_config', `${path} is far too large to be a mesh`, { path })
  try {
    return parseMeshState(await readFile(path, 'utf8'))
  } catch (error) {
    throw new MeshError(
      'invalid_config',
      `cannot read the mesh of this node from ${path}: ${(error as Error).message}; put your backup there, or move the file away for a new mesh`,
      { path },
      { cause: error }
    )
  }
}

/** Keeps the mesh of the node. @throws MeshError `unavailable` if it cannot be written: then nothing has changed. */
export async function writeMesh(dir: string, state: MeshState): Promise<void> {
  const path = join(dir, MESH_FILE)
  try {
    await writeAtomic(path, formatMeshState(state))
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    throw new MeshError('unavailable', `cannot write ${path} (${code}); nothing has changed`, { path }, { cause: error })
  }
}

/** Takes the mesh of the node out of use. @returns where it is kept: no other that was left before is lost for it. */
export async function setMeshAside(dir: string): Promise<string> {
  const path = await linkAside(dir)
  await unlink(join(dir, MESH_FILE))
  return path
}

/** Keeps another mesh in place of that of the node, which is set aside. @throws MeshError `unavailable` if it cannot be written: then nothing has changed. */
export async function replaceMesh(dir: string, state: MeshState): Promise<void> {
  const kept = (await readMesh(dir)) === undefined ? undefined : await linkAside(dir)
  try {
    await writeMesh(dir, state)
  } catch (error) {
    if (kept !== undefined) await unlink(kept)
    throw error
  }
}

async function linkAside(dir: string): Promise<string> {
  for (let n = 1; ; n++) {
    const path = join(dir, n === 1 ? 'mesh.left.json' : `mesh.left.${n}.json`)
    try {
      await link(join(dir, MESH_FILE), path)
      return path
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}
