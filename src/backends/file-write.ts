/** Writing a file into a shared folder: streamed, all or nothing. */
import { createHash, randomUUID } from 'node:crypto'
import { link, lstat, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError } from '../errors.ts'
import type { Item, JsonObject } from '../core/invoke.ts'
import type { SharedFolder } from './file-paths.ts'

/** Longest file that `write` takes where the configuration names no limit, in bytes. */
export const DEFAULT_MAX_FILE_BYTES = 1024 ** 3

/**
 * Writes `name` from `input.text` or the stream; `input.overwrite` allows it to replace a file. Nothing is there before all is.
 * Throws `conflict`, `too_large`, `invalid_argument`, and `tool_failed` if the folder refuses.
 */
export async function writeFile(
  folder: SharedFolder,
  name: string,
  input: JsonObject,
  options: { stream: AsyncIterable<Item> | undefined; signal: AbortSignal; maxFileBytes: number }
): Promise<JsonObject> {
  const place = await folder.place(name)
  const target = join(place.folder, place.file)
  const part = join(place.folder, `.${randomUUID()}.part`)
  const hash = createHash('sha256')
  let bytes = 0
  const handle = await open(part, 'wx', 0o644).catch((error: unknown) => {
    throw new MeshError('tool_failed', `cannot write "${name}" in the shared folder`, {}, { cause: error })
  })
  try {
    await folder.assertInside(handle, part)
    for await (const chunk of contentOf(input, options.stream)) {
      options.signal.throwIfAborted()
      bytes += chunk.length
      if (bytes > options.maxFileBytes) {
        throw new MeshError('too_large', `a file has at most ${options.maxFileBytes} bytes here`, {
          maxBytes: options.maxFileBytes
        })
      }
      hash.update(chunk)
      await handle.writeFile(chunk)
    }
    await handle.sync()
    options.signal.throwIfAborted()
    await publish(part, target, name, input['overwrite'] === true)
  } finally {
    await handle.close()
    await rm(part, { force: true })
  }
  return { bytes, sha256: hash.digest('hex') }
}

async function* contentOf(input: JsonObject, stream: AsyncIterable<Item> | undefined): AsyncGenerator<Uint8Array, void, void> {
  if (typeof input['text'] === 'string') yield Buffer.from(input['text'])
  else if (stream === undefined) throw new MeshError('invalid_argument', 'nothing to write: stream bytes, or give "text"')
  else {
    for await (const item of stream) {
      if (item.kind === 'bytes') yield item.bytes
      else if (item.kind === 'json')
        throw new MeshError('invalid_argument', 'a file is made of bytes; stream bytes, or give "text"')
    }
  }
}

/** Gives the finished file its name, in one step. */
async function publish(part: string, target: string, name: string, overwrite: boolean): Promise<void> {
  const found = await lstat(target).catch(() => undefined)
  if (found !== undefined && !found.isFile())
    throw new MeshError('invalid_argument', `"${name}" is there already and not a regular file`, { path: name })
  if (overwrite) return rename(part, target)
  // A link fails if the name is taken, even by someone who was faster than our look.
  await link(part, target).catch((error: unknown) => {
    throw new MeshError('conflict', `"${name}" is there already; set overwrite to replace it`, { path: name }, { cause: error })
  })
}
