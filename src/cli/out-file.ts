/** Where `--out` writes: a file that appears, or is replaced, only when the call has ended well. */
import { randomBytes } from 'node:crypto'
import { chmod, open, realpath, rename, stat, unlink, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { MeshError } from '../errors.ts'

/** The target of `--out`. All throw `invalid_argument` that names the file. */
export interface OutFile {
  write(data: Uint8Array): Promise<void>
  /** Drops what was written: another provider starts over. */
  restart(): Promise<void>
  /** Puts what was written into its place. Without it the file is as it was before. */
  keep(): Promise<void>
  /** Idempotent. */
  close(): Promise<void>
}

/** Opens a file beside `path`. Devices and pipes are written as they are. */
export async function openOutFile(path: string): Promise<OutFile> {
  const tell = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: NodeJS.ErrnoException) => {
      throw new MeshError('invalid_argument', `cannot write ${path} (${error.code ?? error.message})`, { path }, { cause: error })
    })
  const before = await stat(path).catch(() => undefined)
  // A link stays one: what it leads to is replaced.
  const target = before === undefined ? resolve(path) : await tell(realpath(path))
  const direct = before !== undefined && !before.isFile()
  const temporary = direct ? target : join(dirname(target), `.${basename(target)}.${randomBytes(4).toString('hex')}.part`)
  let handle: FileHandle | undefined = await tell(open(temporary, direct ? 'w' : 'wx'))
  let kept = direct
  return {
    write: async (data) => void (await tell(handle?.writeFile(data) ?? Promise.resolve())),
    restart: async () => {
      // A pipe cannot take back what it has; its reader sees both.
      if (direct) return
      await tell(handle?.close() ?? Promise.resolve())
      handle = await tell(open(temporary, 'w'))
    },
    keep: async () => {
      if (direct) return
      if (before !== undefined) await tell(chmod(temporary, before.mode & 0o777))
      await tell(rename(temporary, target))
      kept = true
    },
    close: async () => {
      const last = handle
      handle = undefined
      await last?.close()
      if (!kept) await unlink(temporary).catch(() => {})
      kept = true
    }
  }
}
