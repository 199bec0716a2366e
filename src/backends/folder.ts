/** Backend `folder`: events for the files of one folder of this machine. */
import { resolve } from 'node:path'
import type { CapabilityDeclaration, ToolDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { JsonObject } from '../core/invoke.ts'
import type { ToolHandler } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { chosenTriggers, describedBy } from './capability-options.ts'
import { inState, onlineUnless } from './capability-state.ts'
import { createEventQueue } from './event-queue.ts'
import { openSharedFolder } from './file-paths.ts'
import { READ_TOOL, readSharedFile } from './file-share.ts'
import { MAX_FILES, createFolderChanges, fileAt, payloadOf } from './folder-changes.ts'
import type { FolderConfig } from './folder-config.ts'
import { watchFolder, watchProblem } from './folder-watch.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { createOwnSignal } from './own-signal.ts'
import { createRecheck, discoverBy } from './recheck.ts'

/** Time between two looks whether the folder is there, in ms. */
export const FOLDER_CHECK_MS = 2_000
/** Default of `settleMs`. */
export const DEFAULT_SETTLE_MS = 1_000

const FILE = {
  path: { type: 'string', description: 'Path inside the folder, with "/".' },
  bytes: { type: 'integer' },
  mediaType: { type: 'string' },
  modified: { type: 'string', format: 'date-time' }
}
const { bytes: _bytes, modified: _modified, ...GONE } = FILE

const TRIGGERS: TriggerDeclaration[] = [
  { event: 'file_added', description: 'A file was added, and is written whole.' },
  { event: 'file_changed', description: 'A file was changed, and is written whole.' },
  { event: 'file_removed', description: 'A file was removed.' }
].map(({ event, description }) => ({
  event,
  description,
  intentTemplate: `${description.replace(/^A file was (\w+).*/, 'The file {path} was $1')}`,
  // Each file by itself: throttles and debounces do not mix them.
  subject: 'path',
  payload: { type: 'object', required: ['path'], properties: event === 'file_removed' ? GONE : FILE }
}))

const STAT_TOOL: ToolDeclaration = {
  name: 'stat',
  description: 'Size, media type and time of change of one file.',
  input: { type: 'object', additionalProperties: false, required: ['path'], properties: { path: FILE.path } },
  output: { type: 'object', properties: FILE },
  idempotent: true
}

/** Times, shorter in tests. */
export interface FolderInit {
  /** Folder that a relative path starts from. */
  baseDir: string
  checkMs?: number
  maxFiles?: number
  queueLimit?: number
  /** Called when the folder is watched: what happens from then on is told. */
  onWatching?: () => void
}

/** Makes a backend that watches one folder. */
export function createFolderBackend(config: FolderConfig, init: FolderInit): Backend {
  const { checkMs = FOLDER_CHECK_MS } = init
  const id = config.id ?? 'folder'
  const root = resolve(init.baseDir, config.path)
  const hidden = config.hidden === true
  const declaration = declare(config, id)
  const raised = new Set((declaration.triggers ?? []).map(({ event }) => event))
  const queue = createEventQueue(id, { limit: init.queueLimit })
  const changes = createFolderChanges({
    settleMs: config.settleMs ?? DEFAULT_SETTLE_MS,
    maxFiles: init.maxFiles,
    raise: (event, payload) => {
      if (raised.has(event)) queue.raise(event, payload)
    }
  })
  let cannotWatch: string | undefined

  const open = () => openSharedFolder(root, { hidden })
  const handlers = new Map<string, ToolHandler>([['stat', async (input) => statFile(await open(), input)]])
  if (config.readable === true) handlers.set('read', (input) => readSharedFile(open, input))
  const calls = createHandlerCalls(lookupIn(id, handlers))
  const recheck = createRecheck(
    async (): Promise<CapabilityDeclaration[]> => {
      const problem = (await watchProblem(root)) ?? cannotWatch
      if (problem !== undefined || !changes.full) return onlineUnless(declaration, problem)
      const statusReason = `the folder has more than ${init.maxFiles ?? MAX_FILES} files; of the others nothing is told: narrow "match"`
      return inState(declaration, 'degraded', statusReason)
    },
    { everyMs: checkMs }
  )

  return {
    id,
    kind: 'folder',
    call: calls.call,
    discover: (signal) => discoverBy(recheck, calls, signal),
    async *watch(signal) {
      const own = createOwnSignal(signal)
      const onState = (problem: string | undefined): void => {
        cannotWatch = problem
        if (problem === undefined) init.onWatching?.()
        recheck.now()
      }
      const { match, poll = false } = config
      const watching = watchFolder({ root, hidden, poll, match, changes, checkMs, onState }, own.signal)
      try {
        yield* queue.events(own.signal)
      } finally {
        own.stop()
        await watching
      }
    }
  }
}

async function statFile(folder: Awaited<ReturnType<typeof openSharedFolder>>, input: JsonObject): Promise<JsonObject> {
  const { path } = input
  if (typeof path !== 'string') throw new MeshError('invalid_argument', '"path" must be a text', { path })
  // Throws what is wrong with the name.
  const name = folder.nameOf(await folder.find(path))
  const file = await fileAt(folder, name)
  if (file === undefined) throw new MeshError('invalid_argument', `"${path}" is no file`, { path })
  return payloadOf(name, file)
}

function declare(config: FolderConfig, id: string): CapabilityDeclaration {
  return describedBy(config, {
    id,
    type: 'storage/watched',
    name: id,
    description: 'Watches a folder: tells which files are added, changed and removed.',
    scope: 'node',
    tools: config.readable === true ? [STAT_TOOL, READ_TOOL] : [STAT_TOOL],
    triggers: chosenTriggers(TRIGGERS, config.triggers)
  })
}
