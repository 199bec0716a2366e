/** Payloads of events as files of a directory, mode 0600: each written beside its place, flushed, and moved there. Node only. */
import { mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { MAX_PAYLOAD_PART } from '../protocols/trigger/messages.ts'
import { MeshError } from './errors.ts'
import { notKept, type PayloadStore } from './triggers/payload-store.ts'

/** Most that one directory is to hold, in bytes: what waits at a source and its dead letters are 64 MiB each. */
export const MAX_PAYLOAD_FILES_BYTES = 128 * 1024 * 1024
const NAME = /^[A-Za-z0-9-]{1,200}$/

/** A {@link PayloadStore} that is files. */
export interface PayloadFiles extends PayloadStore {
  /** Resolves when nothing is written or deleted any more. */
  close(): Promise<void>
}

/** Opens a directory, and makes it with the first payload. What is half written in it goes. @param onTrouble told in a sentence what is wrong. Never rejects. */
export async function openPayloadFiles(
  dir: string,
  onTrouble: (message: string) => void,
  maxBytes: number = MAX_PAYLOAD_FILES_BYTES
): Promise<PayloadFiles> {
  const initial = new Map<string, number>()
  try {
    for (const name of await readdir(dir)) {
      if (NAME.test(name)) initial.set(name, (await stat(join(dir, name))).size)
      else if (name.endsWith('.tmp')) await unlink(join(dir, name))
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') onTrouble(`cannot read ${dir} (${code ?? message}): events with large payloads in it are lost`)
  }

  const running = new Set<Promise<void>>()

  function noted(work: Promise<void>): Promise<void> {
    running.add(work)
    const over = (): void => void running.delete(work)
    work.then(over, over)
    return work
  }

  async function write(name: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const [path, temporary] = [join(dir, name), join(dir, `${name}.tmp`)]
    try {
      await failing(dir, () => mkdir(dir, { recursive: true, mode: 0o700 }))
      const file = await failing(dir, () => open(temporary, 'w', 0o600))
      try {
        // Of what fails here it matters whose fault it is: a payload that does not come is no full disk.
        for await (const part of parts) await failing(dir, () => file.appendFile(part))
        await failing(dir, () => file.datasync())
      } finally {
        await file.close()
      }
      await failing(dir, () => rename(temporary, path))
      // The name is on disk with its directory. What systems cannot flush is as safe as they make it.
      const names = await open(dir, 'r').catch(() => undefined)
      await names?.sync().catch(() => undefined)
      await names?.close()
    } catch (error) {
      await unlink(temporary).catch(() => undefined)
      throw error
    }
  }

  return {
    initial,
    maxBytes,
    write: (name, parts) => noted(write(name, parts)),
    async *read(name) {
      const file = await open(join(dir, name), 'r').catch(() => undefined)
      if (file === undefined) throw notKept()
      try {
        for (;;) {
          const { bytesRead, buffer } = await failing(dir, () => file.read(new Uint8Array(MAX_PAYLOAD_PART)))
          if (bytesRead === 0) return
          yield buffer.subarray(0, bytesRead)
        }
      } finally {
        await file.close()
      }
    },
    delete: (name) => noted(unlink(join(dir, name)).catch(() => undefined)),
    async close() {
      while (running.size > 0) {
        await Promise.allSettled(running)
        // Whoever waited for that begins the next one at once.
        await new Promise((resolve) => setTimeout(resolve, 0))
      }
    }
  }
}

async function failing<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new MeshError(
      'unavailable',
      `cannot keep a payload in ${dir} (${code ?? message})`,
      { reason: 'not_kept' },
      { cause: error }
    )
  }
}
