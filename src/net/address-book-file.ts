/** The address book as a file of the data directory. Node only. */
import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { MAX_BOOK_BYTES } from './address-book.ts'

/**
 * Load and save for an address book. A save writes a file beside it, syncs it and renames it over the old one, so a
 * power cut leaves the old or the new book, never half of one. Mode 0600: it says whom this node knows.
 * `load` gives undefined for a missing file; other errors of the file system reject.
 */
export function createAddressBookFile(path: string): {
  load(): Promise<Uint8Array | undefined>
  save(bytes: Uint8Array): Promise<void>
} {
  const temporary = `${path}.${process.pid}.new`
  return {
    load: async () => {
      try {
        if ((await stat(path)).size > MAX_BOOK_BYTES) throw new RangeError('address book too large')
        return await readFile(path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    save: async (bytes) => {
      try {
        const file = await open(temporary, 'w', 0o600)
        try {
          await file.writeFile(bytes)
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(temporary, path)
      } catch (error) {
        await rm(temporary, { force: true })
        throw error
      }
    }
  }
}
