/** The mesh of a node in its data directory: `mesh.json`, mode 0600, as it holds the secrets of the mesh. Node only. */
import { randomBytes } from 'node:crypto'
import { link, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { absentOr, writeAtomic } from './data-dir-files.ts'
import { MeshError } from './errors.ts'
import { formatMeshState, parseMeshState, type MeshState } from './trust/mesh-state.ts'

const MESH_FILE = 'mesh.json'
const MAX_MESH_BYTES = 16 * 1024 * 1024
/** What a start writes beside its mesh, in bytes, and more: its counter, what it says of itself, addresses, the first lines of its logs. */
const START_BYTES = 16 * 1024

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
    throw notWritten(path, error)
  }
}

/**
 * Holds room on the disk for another mesh and for a start in it, so that a node which stops for it can start anew.
 * @param mesh as text. @returns what gives the room back. @throws MeshError `unavailable` if there is none: nothing has changed.
 */
export async function holdRoom(dir: string, mesh = ''): Promise<() => Promise<void>> {
  const path = join(dir, MESH_FILE)
  const spare = `${path}.${randomBytes(4).toString('hex')}.tmp`
  const free = async (): Promise<void> => void (await unlink(spare).catch(absentOr))
  try {
    // Of chance: some file systems keep no zeros.
    await writeFile(spare, randomBytes(2 * Buffer.byteLength(mesh) + START_BYTES), { flag: 'wx', mode: 0o600, flush: true })
    return free
  } catch (error) {
    await free().catch(() => undefined)
    throw notWritten(path, error)
  }
}

function notWritten(path: string, error: unknown): MeshError {
  const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message
  return new MeshError('unavailable', `cannot write ${path} (${code}); nothing has changed`, { path }, { cause: error })
}

/** Takes the mesh of the node out of use. @returns where it is kept: no other that was left before is lost for it. */
export async function setMeshAside(dir: string): Promise<string> {
  const path = await linkAside(dir)
  await unlink(join(dir, MESH_FILE))
  return path
}

/** Takes a mesh into use again. @param kept what {@link setMeshAside} returned. */
export async function bringBack(dir: string, kept: string): Promise<void> {
  await rename(kept, join(dir, MESH_FILE))
}

/** Keeps another mesh in place of that of the node, which is set aside. @throws MeshError `unavailable` if it cannot be written: then nothing has changed. */
export async function replaceMesh(dir: string, state: MeshState): Promise<void> {
  const kept = (await readMesh(dir)) === undefined ? undefined : await linkAside(dir)
  try {
    await writeMesh(dir, state)
  } catch (error) {
    // Of the two names for one file, one goes. Where the new mesh is there and only its name is not safe, the old one stays.
    if (kept !== undefined && (await stat(kept)).ino === (await stat(join(dir, MESH_FILE))).ino) await unlink(kept)
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
