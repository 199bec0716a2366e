import { sizeOf } from './document.ts'
import type { DirectoryEntry } from './directory.ts'

/**
 * Who makes room in a full directory: of those without a session the one heard longest ago. Origins cost nothing to make, sessions do:
 * thus a newcomer with a session may put out one that others see, a newcomer without only one that nobody sees.
 * @param isVisible spares those for which it is true; undefined spares none.
 * @param needsBytes only an origin with a document helps.
 */
export function oldestToForget(
  entries: Iterable<DirectoryEntry>,
  newcomer: string,
  { isVisible, needsBytes }: { isVisible: ((entry: DirectoryEntry) => boolean) | undefined; needsBytes: boolean }
): DirectoryEntry | undefined {
  let oldest: DirectoryEntry | undefined
  for (const entry of entries) {
    if (entry.connected || entry.origin === newcomer || isVisible?.(entry) === true) continue
    if (needsBytes && sizeOf(entry.document) === 0) continue
    if (oldest === undefined || entry.heardAt < oldest.heardAt) oldest = entry
  }
  return oldest
}
