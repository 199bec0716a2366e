/** Backend `files`: one folder of this machine, read and, if allowed, written in pieces of bounded size. */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import type { Stats } from 'node:fs'
import { access, lstat, opendir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { CapabilityDeclaration, ToolDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { JsonObject } from '../core/invoke.ts'
import type { ToolHandler } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { DEFAULT_MAX_FILE_BYTES, writeFile } from './file-write.ts'
import { openSharedFolder } from './file-paths.ts'
import type { SharedFolder } from './file-paths.ts'
import type { FilesConfig } from './files-config.ts'
import { onlineUnless } from './capability-state.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { createRecheck, discoverBy } from './recheck.ts'

/** Size of one piece of a file, in bytes. */
export const CHUNK_BYTES = 64 * 1024
/** Entries of one `list`. */
export const MAX_LIST_ENTRIES = 10_000
/** Folders below folders that one `list` goes down. */
export const MAX_LIST_DEPTH = 8
const path = { type: 'string', description: 'Path inside the folder, with "/", such as "photos/cat.jpg".' }
const entry = {
  type: 'object',
  properties: {
    path: { type: 'string' },
    kind: { enum: ['file', 'folder'] },
    bytes: { type: 'integer' },
    modified: { type: 'string', format: 'date-time' }
  }
}
const written = { type: 'object', properties: { bytes: { type: 'integer' }, sha256: { type: 'string' } } }

/** Declaration of the tool that {@link readSharedFile} is. */
export const READ_TOOL: ToolDeclaration = {
  name: 'read',
  description: 'Streams the bytes of a file; the result has their number and SHA-256.',
  input: {
    type: 'object',
    additionalProperties: false,
    required: ['path'],
    properties: {
      path,
      offset: { type: 'integer', minimum: 0, default: 0, description: 'First byte.' },
      length: { type: 'integer', minimum: 0, description: 'Number of bytes; default: to the end.' }
    }
  },
  output: written,
  streams: true,
  idempotent: true
}

const READ_TOOLS: ToolDeclaration[] = [
  {
    name: 'list',
    description: 'Files and folders, each with size and time of change.',
    input: {
      type: 'object',
      additionalProperties: false,
      properties: { path, depth: { type: 'integer', minimum: 1, maximum: MAX_LIST_DEPTH, default: 1 } }
    },
    output: { type: 'object', properties: { entries: { type: 'array', items: entry }, truncated: { type: 'boolean' } } },
    idempotent: true
  },
  {
    name: 'stat',
    description: 'Kind, size and time of change of one file or folder.',
    input: { type: 'object', additionalProperties: false, required: ['path'], properties: { path } },
    output: entry,
    idempotent: true
  },
  READ_TOOL
]

const WRITE_TOOL: ToolDeclaration = {
  name: 'write',
  description: 'Writes a file from the bytes that the caller streams, or from "text". It appears only when it is complete.',
  input: {
    type: 'object',
    additionalProperties: false,
    required: ['path'],
    properties: { path, text: { type: 'string' }, overwrite: { type: 'boolean', default: false } }
  },
  output: written,
  acceptsStream: true
}

/** Makes a backend for one folder. `baseDir` is the folder that a relative path starts from. */
export function createFileShareBackend(config: FilesConfig, init: { baseDir: string; recheckMs?: number }): Backend {
  const id = config.id ?? 'files'
  const root = resolve(init.baseDir, config.path)
  const folder = (): Promise<SharedFolder> => openSharedFolder(root, { hidden: config.hidden === true })
  const handlers = new Map<string, ToolHandler>([
    ['list', async (input, { signal }) => listFolder(await folder(), input, signal)],
    ['stat', async (input) => statOne(await folder(), textIn(input, 'path'))],
    ['read', (input) => readSharedFile(folder, input)]
  ])
  const maxFileBytes = config.maxFileBytes ?? DEFAULT_MAX_FILE_BYTES
  if (config.writable === true) {
    handlers.set('write', async (input, { stream, signal }) =>
      writeFile(await folder(), textIn(input, 'path'), input, { stream, signal, maxFileBytes })
    )
  }
  const calls = createHandlerCalls(lookupIn(id, handlers))

  const declaration: CapabilityDeclaration = {
    id,
    type: 'storage/file',
    name: config.name ?? id,
    description: config.description ?? 'Files of a shared folder.',
    scope: 'node',
    examples: ['List the shared files', 'Fetch a file from there'],
    tools: config.writable === true ? [...READ_TOOLS, WRITE_TOOL] : READ_TOOLS
  }
  const recheck = createRecheck(async () => onlineUnless(declaration, await folderProblem(root, config.writable === true)), {
    everyMs: init.recheckMs
  })

  return {
    id,
    kind: 'files',
    call: calls.call,
    discover: (signal) => discoverBy(recheck, calls, signal)
  }
}

async function folderProblem(root: string, writable: boolean): Promise<string | undefined> {
  const found = await stat(root).catch(() => undefined)
  if (found?.isDirectory() === false) return 'what is shared is not a folder; change its path'
  if (found === undefined) return 'the shared folder is not there; create it, or change its path'
  const mode = constants.R_OK | constants.X_OK | (writable ? constants.W_OK : 0)
  return access(root, mode).then(
    () => undefined,
    () => `the shared folder cannot be ${writable ? 'written' : 'read'}; check its permissions`
  )
}

type Entry = JsonObject & { path: string }

function describe(name: string, stats: Stats): Entry {
  const common = { path: name, modified: stats.mtime.toISOString() }
  return stats.isDirectory() ? { ...common, kind: 'folder' } : { ...common, kind: 'file', bytes: stats.size }
}

async function statOne(folder: SharedFolder, name: string): Promise<JsonObject> {
  const real = await folder.find(name)
  const stats = await lstat(real)
  if (!stats.isFile() && !stats.isDirectory())
    throw new MeshError('invalid_argument', `"${name}" is neither a file nor a folder`, { path: name })
  return describe(name, stats)
}

async function listFolder(folder: SharedFolder, input: JsonObject, signal: AbortSignal): Promise<JsonObject> {
  const name = input['path'] === undefined ? '' : textIn(input, 'path')
  const depth = Math.min(numberIn(input, 'depth') ?? 1, MAX_LIST_DEPTH)
  const start = await folder.find(name)
  if (!(await lstat(start)).isDirectory())
    throw new MeshError('invalid_argument', `"${name}" is a file, not a folder; ask "stat" for it`, { path: name })
  const entries: Entry[] = []
  let truncated = false

  const walk = async (real: string, level: number): Promise<void> => {
    for await (const item of await opendir(real)) {
      signal.throwIfAborted()
      if (!folder.isVisible(item.name)) continue
      if (entries.length >= MAX_LIST_ENTRIES) {
        truncated = true
        return
      }
      const child = join(real, item.name)
      const childName = folder.nameOf(child)
      // Links are shown as what they lead to, never walked: a link to a folder above would go round for ever.
      const found = await folder
        .find(childName)
        .then((target) => lstat(target))
        .catch(() => undefined)
      if (found === undefined || !(found.isFile() || found.isDirectory())) continue
      entries.push(describe(childName, found))
      if (item.isDirectory() && level < depth) await walk(child, level + 1)
    }
  }
  await walk(start, 1)
  entries.sort((a, b) => (a.path < b.path ? -1 : 1))
  return { entries, truncated }
}

/** Streams the bytes of a file of a folder. Throws as {@link SharedFolder.openFile}. */
export async function* readSharedFile(
  folder: () => Promise<SharedFolder>,
  input: JsonObject
): AsyncGenerator<Uint8Array, JsonObject, void> {
  const handle = await (await folder()).openFile(textIn(input, 'path'))
  try {
    const hash = createHash('sha256')
    let position = numberIn(input, 'offset') ?? 0
    let left = numberIn(input, 'length') ?? Number.POSITIVE_INFINITY
    let bytes = 0
    while (left > 0) {
      // A new buffer for each piece: it belongs to the reader from then on.
      const buffer = new Uint8Array(Math.min(CHUNK_BYTES, left))
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position)
      if (bytesRead === 0) break
      const chunk = buffer.subarray(0, bytesRead)
      hash.update(chunk)
      position += bytesRead
      left -= bytesRead
      bytes += bytesRead
      yield chunk
    }
    return { bytes, sha256: hash.digest('hex') }
  } finally {
    await handle.close()
  }
}

function textIn(input: JsonObject, key: string): string {
  const value = input[key]
  if (typeof value === 'string') return value
  throw new MeshError('invalid_argument', `"${key}" must be a text`, { key })
}

function numberIn(input: JsonObject, key: string): number | undefined {
  const value = input[key]
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new MeshError('invalid_argument', `"${key}" must be a whole number from 0`, { key })
}
