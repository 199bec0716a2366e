/** What has become of the files of a watched folder: hints say where to look, and what is there then is told. */
import { lstat } from 'node:fs/promises'
import type { JsonObject } from '../core/invoke.ts'
import type { SharedFolder } from './file-paths.ts'
import type { FolderEvent } from './folder-config.ts'
import { mediaTypeOf } from './media-types.ts'
import { delay } from './restart-delay.ts'

/** Files of one folder that are remembered; more are not told. */
export const MAX_FILES = 50_000
/** Time between two looks at files that are being written, in ms, at most. */
const MAX_LOOK_MS = 250

/** A file as it was when it was last told. */
export interface KnownFile {
  bytes: number
  modifiedMs: number
}

/** The files of one folder over time. Lives longer than any watcher, so that what changed while it was away is seen. */
export interface FolderChanges {
  /** True if the files were looked at before. */
  readonly begun: boolean
  /** True if there are more than {@link MAX_FILES}, and some are not told. */
  readonly full: boolean
  /** Takes what is there now as known, without an event. */
  begin(names: Iterable<string>, folder: SharedFolder): Promise<void>
  /** Something happened to a file, perhaps. */
  hint(name: string): void
  /** Every file that is known. */
  known(): Iterable<string>
  /** Looks at hinted files until the signal aborts. A file is told when it has not changed for `settleMs`. */
  follow(folder: SharedFolder, isThere: () => Promise<boolean>, signal: AbortSignal): Promise<void>
}

/** What is told. */
export type RaiseFileEvent = (event: FolderEvent, payload: JsonObject) => void

/** Makes an empty one. */
export function createFolderChanges(init: { settleMs: number; raise: RaiseFileEvent; maxFiles?: number }): FolderChanges {
  const { settleMs, raise, maxFiles = MAX_FILES } = init
  const known = new Map<string, KnownFile>()
  // When something last happened to a file, and how it was when it was last looked at.
  const hinted = new Map<string, { sinceMs: number; looked: boolean; seen: KnownFile | undefined }>()
  let begun = false
  let full = false

  function remember(name: string, file: KnownFile): boolean {
    full ||= !known.has(name) && known.size >= maxFiles
    if (!known.has(name) && known.size >= maxFiles) return false
    known.set(name, file)
    return true
  }

  function tell(name: string, file: KnownFile | undefined): void {
    const before = known.get(name)
    if (file === undefined) {
      if (known.delete(name)) raise('file_removed', { path: name, mediaType: mediaTypeOf(name) })
    } else if (before === undefined) {
      if (remember(name, file)) raise('file_added', payloadOf(name, file))
    } else {
      known.set(name, file)
      raise('file_changed', payloadOf(name, file))
    }
  }

  async function look(folder: SharedFolder, isThere: () => Promise<boolean>): Promise<void> {
    for (const [name, hint] of [...hinted]) {
      const file = await fileAt(folder, name)
      if (file !== undefined && isSame(known.get(name), file)) {
        hinted.delete(name)
      } else if (!hint.looked || !isSame(hint.seen, file)) {
        Object.assign(hint, { looked: true, seen: file, sinceMs: performance.now() })
      } else if (performance.now() - hint.sinceMs >= settleMs) {
        // The files of a disk that is pulled out are not removed.
        if (file === undefined && !(await isThere())) return
        hinted.delete(name)
        tell(name, file)
      }
    }
  }

  return {
    get begun() {
      return begun
    },
    get full() {
      return full
    },
    async begin(names, folder) {
      for (const name of names) {
        const file = await fileAt(folder, name)
        if (file !== undefined) remember(name, file)
      }
      begun = true
    },
    hint(name) {
      const hint = hinted.get(name)
      if (hint !== undefined) hint.sinceMs = performance.now()
      else if (hinted.size < maxFiles) hinted.set(name, { sinceMs: performance.now(), looked: false, seen: undefined })
      else full = true
    },
    known: () => known.keys(),
    async follow(folder, isThere, signal) {
      while (!signal.aborted) {
        await look(folder, isThere)
        await delay(Math.min(Math.max(settleMs / 4, 10), MAX_LOOK_MS), signal)
      }
    }
  }
}

/** A file as it is now; undefined if there is none that may be told: no folder, nothing hidden, no link that leads out. */
export async function fileAt(folder: SharedFolder, name: string): Promise<KnownFile | undefined> {
  try {
    const stats = await lstat(await folder.find(name))
    return stats.isFile() ? { bytes: stats.size, modifiedMs: stats.mtimeMs } : undefined
  } catch {
    return undefined
  }
}

/** What is told of a file. */
export function payloadOf(name: string, { bytes, modifiedMs }: KnownFile): JsonObject {
  return { path: name, bytes, mediaType: mediaTypeOf(name), modified: new Date(modifiedMs).toISOString() }
}

function isSame(one: KnownFile | undefined, other: KnownFile | undefined): boolean {
  return one?.bytes === other?.bytes && one?.modifiedMs === other?.modifiedMs
}
