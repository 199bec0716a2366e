/** How files of the data directory are read and written: for the owner alone, whole or not at all. Node only. */
import { randomBytes } from 'node:crypto'
import { link, open, rename, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** What systems say of a directory that they cannot open or flush: there, names are as safe as they make them. */
const NOT_FLUSHED: ReadonlySet<string | undefined> = new Set(['EISDIR', 'EPERM', 'EINVAL'])

/** Undefined for a file that is not there; any other failure is thrown. */
export function absentOr(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
  throw error
}

/** False if the file exists. Whole or not at all: a power cut in between must not leave half a key that nobody dares to replace. */
export async function createPrivate(path: string, data: string | Uint8Array): Promise<boolean> {
  try {
    await throughTemporary(path, data, (temporary) => link(temporary, path))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** A reader sees the old content or the new, also after a power cut; once this resolves, the new. */
export function writeAtomic(path: string, data: string): Promise<void> {
  return throughTemporary(path, data, (temporary) => rename(temporary, path))
}

async function throughTemporary(
  path: string,
  data: string | Uint8Array,
  place: (temporary: string) => Promise<void>
): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`
  try {
    await writeFile(temporary, data, { flag: 'wx', mode: 0o600, flush: true })
    await place(temporary)
  } finally {
    await unlink(temporary).catch(absentOr)
  }
  await flushNames(dirname(path))
}

/** A new name is only on disk with its directory: without it, a power cut may bring back what the file was before. */
async function flushNames(dir: string): Promise<void> {
  try {
    const handle = await open(dir, 'r')
    await handle.sync().finally(() => handle.close())
  } catch (error) {
    if (!NOT_FLUSHED.has((error as NodeJS.ErrnoException).code)) throw error
  }
}
