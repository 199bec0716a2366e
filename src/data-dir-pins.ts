/** The pins of the descriptors of other nodes in a data directory: `pins.json`, mode 0600. Node only. */
import { readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Fingerprint, FingerprintDetails } from './core/fingerprint.ts'
import { MAX_PINS, type StoredPin, type StoredPins } from './core/pins.ts'
import { absentOr, writeAtomic } from './data-dir-files.ts'
import type { PinStore } from './mesh-descriptors.ts'

const PINS_FILE = 'pins.json'
/** Where a file goes that cannot be read. */
const DAMAGED_FILE = 'pins.damaged.json'
const FORMAT = 1
/** What is larger was not written by us: all that is kept takes less. */
const MAX_PINS_BYTES = 64 * 1024 * 1024
/** Time from a change to its writing, in ms: many come at once. */
const WRITE_DELAY_MS = 2_000

/** A {@link PinStore} that is a file. */
export interface PinFile extends PinStore {
  /** Resolves when what has changed is on disk, or could not be written. */
  flush(): Promise<void>
}

/** Reads the pins of a data directory, and keeps them there. @param onTrouble told in a sentence what is wrong. Never rejects. */
export async function openPinFile(dir: string, onTrouble: (message: string) => void): Promise<PinFile> {
  const path = join(dir, PINS_FILE)
  let pending: (() => StoredPins) | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let writing = Promise.resolve()
  let failing = false

  async function write(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const stored = pending
    pending = undefined
    if (stored === undefined) return
    try {
      await writeAtomic(path, `${JSON.stringify({ format: FORMAT, ...stored() })}\n`)
      failing = false
    } catch (error) {
      // The next change, or the stop, tries again.
      pending ??= stored
      if (!failing) onTrouble(`cannot write ${path} (${codeOf(error)}): a restart will not know which descriptors have changed`)
      failing = true
    }
  }

  const start = (): Promise<void> => (writing = writing.then(write))

  return {
    initial: await read(dir, path, onTrouble),
    changed(stored) {
      pending = stored
      timer ??= setTimeout(() => void start(), WRITE_DELAY_MS).unref()
    },
    flush: start
  }
}

async function read(dir: string, path: string, onTrouble: (message: string) => void): Promise<StoredPins> {
  try {
    const found = await stat(path).catch(absentOr)
    if (found === undefined) return { pins: [], full: [] }
    if (found.size > MAX_PINS_BYTES) throw new Error('it is far too large')
    return parse(await readFile(path, 'utf8'))
  } catch (error) {
    const aside = join(dir, DAMAGED_FILE)
    const moved = await rename(path, aside).then(
      () => `; it is now ${aside}`,
      () => ''
    )
    onTrouble(
      `cannot read the pinned descriptors in ${path} (${codeOf(error)})${moved}: what other nodes say of themselves now is trusted anew`
    )
    return { pins: [], full: [] }
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message
}

function parse(text: string): StoredPins {
  const { format, pins, full } = JSON.parse(text) as Record<string, unknown>
  if (format !== FORMAT || !isList(pins, isPin) || pins.length > MAX_PINS || !isList(full, isText))
    throw new Error('it holds something else')
  return { pins, full }
}

function isPin(value: unknown): value is StoredPin {
  if (!isMap(value)) return false
  const { origin, id, pinned, seen } = value
  const isSeen = seen === undefined || (isMap(seen) && isHash(seen['hash']) && isText(seen['since']))
  return isText(origin) && isText(id) && isFingerprint(pinned) && isSeen
}

function isFingerprint(value: unknown): value is Fingerprint {
  return isMap(value) && isHash(value['hash']) && (value['details'] === undefined || isDetails(value['details']))
}

function isDetails(value: unknown): value is FingerprintDetails {
  return (
    isMap(value) &&
    isList(value['parts'], isText) &&
    isText(value['text']) &&
    isList(value['tools'], (tool) => isMap(tool) && isText(tool['name']) && isList(tool['parts'], isText) && isText(tool['text']))
  )
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isList<T>(value: unknown, is: (item: unknown) => item is T): value is T[]
function isList(value: unknown, is: (item: unknown) => boolean): boolean
function isList(value: unknown, is: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(is)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}
