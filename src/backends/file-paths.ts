/** Names inside a shared folder, and the promise that they stay inside. */
import { constants } from 'node:fs'
import { lstat, open, realpath } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { MeshError } from '../errors.ts'

/** Longest path that is accepted, in characters. */
export const MAX_PATH_LENGTH = 4_096

/** A shared folder. */
export interface SharedFolder {
  /** The real path of a name that exists. Throws `invalid_argument` if it is not there or leads outside. */
  find(name: string): Promise<string>
  /** Real folder and last part of a name that need not exist yet. Throws as {@link SharedFolder.find} for the folder. */
  place(name: string): Promise<{ folder: string; file: string }>
  /** Opens a regular file for reading. Throws as {@link SharedFolder.find}, also for folders, pipes and devices. */
  openFile(name: string): Promise<FileHandle>
  /** Throws `permission_denied` if an open file is not inside. */
  assertInside(handle: FileHandle, path: string): Promise<void>
  /** The name of a real path, with `/`; empty for the folder itself. */
  nameOf(path: string): string
  /** True if a name may be seen. */
  isVisible(segment: string): boolean
}

/** Opens the folder `root`. Throws `unavailable` if it is not there. */
export async function openSharedFolder(root: string, options: { hidden: boolean }): Promise<SharedFolder> {
  const base = await realpath(root).catch((error: unknown) => {
    throw new MeshError(
      'unavailable',
      'the shared folder is not there; its owner must create it, or change its path',
      {},
      { cause: error }
    )
  })
  const isVisible = (segment: string): boolean => options.hidden || !segment.startsWith('.')

  const segmentsOf = (name: string): string[] => {
    if (name.length > MAX_PATH_LENGTH) throw new MeshError('too_large', `a path has at most ${MAX_PATH_LENGTH} characters`)
    if (name.includes('\0') || (sep === '\\' && /[\\:]/.test(name))) throw refused(name, 'it has a character that no path has')
    if (name.startsWith('/')) throw refused(name, 'paths start at the shared folder, without "/"')
    const segments = name.split('/').filter((segment) => segment !== '' && segment !== '.')
    if (segments.includes('..')) throw refused(name, '".." is not allowed')
    if (!segments.every(isVisible)) throw missing(name)
    return segments
  }

  const nameOf = (path: string): string => relative(base, path).split(sep).join('/')

  const checkInside = (path: string, name: string): void => {
    const inside = path === base || path.startsWith(base.endsWith(sep) ? base : base + sep)
    if (!inside) throw new MeshError('permission_denied', `"${name}" leads out of the shared folder`, { path: name })
  }

  const resolveInside = async (segments: readonly string[], name: string): Promise<string> => {
    const real = await realpath(join(base, ...segments)).catch((error: unknown) => {
      throw missing(name, error)
    })
    checkInside(real, name)
    // A visible link may point at a hidden file.
    if (real !== base && !nameOf(real).split('/').every(isVisible)) throw missing(name)
    return real
  }

  const assertInside = async (handle: FileHandle, path: string): Promise<void> => {
    // What was opened counts, not what the path meant a moment ago: someone may have swapped a folder for a link.
    const real = await realpath(process.platform === 'linux' ? `/proc/self/fd/${handle.fd}` : path).catch((error: unknown) => {
      throw missing(nameOf(path), error)
    })
    checkInside(real, nameOf(path))
  }

  return {
    nameOf,
    isVisible,
    assertInside,
    find: (name) => resolveInside(segmentsOf(name), name),
    async place(name) {
      const segments = segmentsOf(name)
      if (segments.length === 0 || name.endsWith('/')) throw refused(name, 'it names a folder; add a file name')
      const folder = await resolveInside(segments.slice(0, -1), dirname(name))
      return { folder, file: basename(name) }
    },
    async openFile(name) {
      const path = await resolveInside(segmentsOf(name), name)
      // A pipe would block the open, a device would act on it: look first, open without waiting, and look again.
      if (!(await lstat(path)).isFile()) throw refused(name, 'it is not a regular file')
      const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
        (error: unknown) => {
          throw missing(name, error)
        }
      )
      try {
        await assertInside(handle, path)
        if (!(await handle.stat()).isFile()) throw refused(name, 'it is not a regular file')
        return handle
      } catch (error) {
        await handle.close()
        throw error
      }
    }
  }
}

function missing(name: string, cause?: unknown): MeshError {
  return new MeshError('invalid_argument', `there is no readable "${name}" in this folder`, { path: name }, { cause })
}

function refused(name: string, why: string): MeshError {
  return new MeshError('invalid_argument', `path "${name}" is refused: ${why}`, { path: name })
}
