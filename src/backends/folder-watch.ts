/** Watches a folder for as long as it is there, and waits for it when it is not. */
import { lstat, stat } from 'node:fs/promises'
import { watch } from 'chokidar'
import type { FSWatcher } from 'chokidar'
import { matchGlob } from '../../protocols/glob.ts'
import { openSharedFolder } from './file-paths.ts'
import type { SharedFolder } from './file-paths.ts'
import type { FolderChanges } from './folder-changes.ts'
import { createOwnSignal } from './own-signal.ts'
import { delay } from './restart-delay.ts'

/** Folders below folders that are watched. */
export const MAX_WATCH_DEPTH = 32

/** What is watched, and how. */
export interface FolderWatchInit {
  /** Absolute path. */
  root: string
  hidden: boolean
  poll: boolean
  match: readonly string[] | undefined
  changes: FolderChanges
  /** Time between two looks whether the folder is there, in ms. */
  checkMs: number
  /** Called when the folder went away or came back, or cannot be watched: `problem` says why. */
  onState(problem: string | undefined): void
}

/** Why a folder cannot be watched, or undefined if it can. */
export async function watchProblem(root: string): Promise<string | undefined> {
  const found = await stat(root).catch(() => undefined)
  if (found === undefined) return 'the watched folder is not there; create it, or change its path'
  return found.isDirectory() ? undefined : 'what is watched is not a folder; change its path'
}

/** Runs until the signal aborts; then nothing is watched any more. Never throws. */
export async function watchFolder(init: FolderWatchInit, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const problem = (await watchProblem(init.root)) ?? (await watchOnce(init, signal).catch((error: unknown) => reasonOf(error)))
    if (problem !== undefined && !signal.aborted) init.onState(problem)
    await delay(init.checkMs, signal)
  }
}

/** Watches until the folder is gone. Throws what the system said if it cannot be watched. */
async function watchOnce(init: FolderWatchInit, outer: AbortSignal): Promise<void> {
  const { changes, match } = init
  const folder = await openSharedFolder(init.root, { hidden: init.hidden })
  const identity = await identityOf(init.root)
  const isThere = async (): Promise<boolean> => identity !== undefined && (await identityOf(init.root)) === identity
  const own = createOwnSignal(outer)
  const { signal } = own
  const failures: Error[] = []
  const watcher = startWatcher(await folder.find(''), folder, init)
  watcher.on('error', (error) => {
    failures.push(error instanceof Error ? error : new Error(String(error)))
    own.stop()
  })
  const isMeant = (name: string): boolean => match === undefined || match.some((glob) => matchGlob(glob, name))
  const found = new Set<string>()
  let isReady = false
  watcher.on('all', (event, path) => {
    const name = folder.nameOf(path)
    if (event === 'addDir' || event === 'unlinkDir' || !isMeant(name)) return
    if (isReady) changes.hint(name)
    else found.add(name)
  })
  try {
    await Promise.race([new Promise<void>((resolve) => watcher.once('ready', resolve)), aborted(signal)])
    if (signal.aborted) return
    if (!changes.begun) await changes.begin(found, folder)
    // It was away: what is other than before is told.
    else for (const name of new Set([...found, ...changes.known()])) changes.hint(name)
    isReady = true
    init.onState(undefined)
    const following = changes.follow(folder, isThere, signal)
    while (!signal.aborted && (await isThere())) await delay(init.checkMs, signal)
    own.stop()
    await following
  } finally {
    own.stop()
    await watcher.close()
  }
  for (const failure of failures) throw failure
}

function startWatcher(root: string, folder: SharedFolder, init: FolderWatchInit): FSWatcher {
  return watch(root, {
    // What happens is looked at by ourselves, when a file is written whole.
    atomic: false,
    followSymlinks: false,
    depth: MAX_WATCH_DEPTH,
    usePolling: init.poll,
    ignored: (path) => {
      const name = folder.nameOf(path)
      return name !== '' && !name.split('/').every((segment) => folder.isVisible(segment))
    }
  })
}

/** Which folder is there now: another one of the same name is another one. */
async function identityOf(root: string): Promise<string | undefined> {
  const found = await stat(root).catch(() => lstat(root).catch(() => undefined))
  return found?.isDirectory() === true ? `${found.dev}:${found.ino}` : undefined
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOSPC' || code === 'EMFILE')
    return 'this system watches too many files already; raise fs.inotify.max_user_watches and max_user_instances, or set poll: true'
  if (code === 'EACCES' || code === 'EPERM') return 'part of the watched folder cannot be read; check its permissions'
  return `the folder cannot be watched: ${error instanceof Error ? error.message : String(error)}`
}
