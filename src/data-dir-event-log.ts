/** A log of records as a file: one line each, a checksum before it. Many that come at once are written and flushed together. Node only. */
import { open, readFile, rename, stat, type FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import type { JsonObject } from '../protocols/json.ts'
import { absentOr, createPrivate, writeAtomic } from './data-dir-files.ts'
import { MeshError } from './errors.ts'
import type { EventLog } from './triggers/event-store.ts'

/** A log is written anew, without what is over, when it has grown to this, in bytes, and to twice what it was then. */
export const COMPACT_BYTES = 4 * 1024 * 1024
/** Largest file that is read, in bytes. */
export const MAX_LOG_BYTES = 512 * 1024 * 1024
/** Largest file that is written, in bytes: what is kept at most takes less, events by base64. What finds no room is not kept, so that the next start can read the rest. */
export const FULL_LOG_BYTES = 384 * 1024 * 1024
/** Of that so much is written before the file is written anew, though it has not grown to twice what it was then. */
const COMPACT_SHARE = 0.75
/** After a failure it is left alone so long, in ms; then what comes is tried at once, and what is not written by itself, twice as long after each time. */
export const RETRY_MS = 1_000
/** At most. */
export const MAX_RETRY_MS = 60_000
/** Bytes that are written at once, about. */
const BATCH_BYTES = 4 * 1024 * 1024

/** An {@link EventLog} that is a file. */
export interface EventLogFile extends EventLog {
  /** Resolves when what was appended is on disk, or could not be written. */
  flush(): Promise<void>
  /** The same, after one more try for what could not be written. Nothing may be appended after it. */
  close(): Promise<void>
}

interface Waiting {
  line: string
  flush: boolean
  resolve: () => void
  reject: (error: MeshError) => void
}

/** See {@link EventLogFile}. @param onTrouble told in a sentence what is wrong. @param fullBytes see {@link FULL_LOG_BYTES}. Never rejects. */
export async function openEventLog(
  path: string,
  onTrouble: (message: string) => void,
  fullBytes = FULL_LOG_BYTES
): Promise<EventLogFile> {
  const found = await read(path, onTrouble)
  let { records } = found
  let handle: FileHandle | undefined
  let queue: Waiting[] = []
  let writing: Promise<void> | undefined
  /** What follows is not there. */
  let { size } = found
  let compactAt = COMPACT_BYTES
  /** What is in the file is not all, or not what is to be there. */
  let isStale = found.isDamaged
  let failedAt = -Infinity
  let retry: ReturnType<typeof setTimeout> | undefined
  let retryMs = RETRY_MS
  /** What could not be written is to be tried, though nothing else comes. */
  let isRetry = false
  let isClosed = false
  let snapshot: () => Iterable<JsonObject> = () => records

  /** One that is there needs no room for another, which is what a full disk has not. */
  async function opened(): Promise<FileHandle> {
    const there = await open(path, 'r+').catch(absentOr)
    return there ?? createPrivate(path, '').then(() => open(path, 'r+'))
  }

  async function closeFile(): Promise<void> {
    const file = handle
    handle = undefined
    await file?.close()
  }

  /** @throws what the system says. */
  async function write(text: string, flush: boolean): Promise<void> {
    const file = (handle ??= await opened())
    const bytes = Buffer.from(text)
    if (size + bytes.length > fullBytes) throw new Error('it is full')
    try {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await file.write(bytes, done, bytes.length - done, size + done)
        done += bytesWritten
      }
      if (flush) await file.datasync()
    } catch (error) {
      // Half a line is not to stand before the next one.
      await file.truncate(size).catch(() => undefined)
      throw error
    }
    size += bytes.length
  }

  /** Without what is over. All that was appended until now is in it. */
  async function rewrite(): Promise<void> {
    let [text, bytes] = ['', 0]
    for (const record of snapshot()) {
      const line = lineOf(record)
      bytes += Buffer.byteLength(line)
      if (bytes > fullBytes) throw new Error('more is to be kept than it may hold')
      text += line
    }
    await closeFile()
    await writeAtomic(path, text)
    size = bytes
    compactAt = nextCompactAt(size, fullBytes)
    isStale = false
  }

  /** As {@link rewrite}, where the file is only too large. @returns false: it goes on as it is until it has grown some more. @throws what the system says. */
  async function compact(): Promise<boolean> {
    try {
      await rewrite()
      return true
    } catch (error) {
      compactAt = size + COMPACT_BYTES
      // Another one may have taken its place all the same: then it is not known what is in it.
      if ((await stat(path).catch(() => undefined))?.size !== size) throw error
      return false
    }
  }

  const isTooMuch = (batch: readonly Waiting[]): boolean =>
    batch.reduce((sum, { line }) => sum + Buffer.byteLength(line), size) > fullBytes

  /** Some that wait. */
  function take(): Waiting[] {
    let [count, bytes] = [0, 0]
    while (count < queue.length && bytes < BATCH_BYTES) bytes += queue[count++]!.line.length
    return queue.splice(0, count)
  }

  /** All of a batch that is in the queue, or in what is written anew. @throws what the system says. */
  async function writeBatch(batch: Waiting[], isLate: boolean): Promise<void> {
    if (!isLate && performance.now() < failedAt + RETRY_MS) throw new Error('it failed a moment ago')
    if (isStale) return rewrite()
    if ((size > compactAt || isTooMuch(batch)) && (await compact())) return
    await write(
      batch.map(({ line }) => line).join(''),
      batch.some(({ flush }) => flush)
    )
  }

  async function writeAll(): Promise<void> {
    while (queue.length > 0 || isRetry) {
      const isLate = isRetry
      isRetry = false
      const batch = isStale || size > compactAt ? [] : take()
      // All of them if the file is written anew: they are in it.
      if (batch.length === 0 || isTooMuch(batch)) batch.push(...queue.splice(0))
      try {
        await writeBatch(batch, isLate)
        retryMs = RETRY_MS
        for (const { resolve } of batch) resolve()
      } catch (error) {
        for (const { reject } of batch) reject(failed(error))
      }
    }
    // In the same turn as the last look at the queue: what comes after it begins anew.
    writing = undefined
  }

  function failed(error: unknown): MeshError {
    if (failedAt + RETRY_MS <= performance.now()) failedAt = performance.now()
    // What is missing now is written with the rest as soon as that succeeds.
    isStale = true
    tryLater()
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    return new MeshError('unavailable', `cannot write ${path} (${why}): a restart loses what is not done by then`, {
      reason: 'not_kept'
    })
  }

  function tryLater(): void {
    if (retry !== undefined || isClosed) return
    retry = setTimeout(() => {
      retry = undefined
      if (isStale) begin(true)
    }, retryMs)
    retry.unref()
    retryMs = Math.min(MAX_RETRY_MS, 2 * retryMs)
  }

  function begin(isLate: boolean): void {
    isRetry ||= isLate
    // What comes in the same turn goes together.
    writing ??= Promise.resolve().then(writeAll)
  }

  async function idle(): Promise<void> {
    while (writing !== undefined) await writing
  }

  return {
    get initial() {
      return records
    },
    append(record, flush = true) {
      if (isClosed) return Promise.reject(new MeshError('unavailable', 'the node has stopped', { reason: 'not_kept' }))
      return new Promise<void>((resolve, reject) => {
        queue.push({ line: lineOf(record), flush, resolve, reject })
        begin(false)
      })
    },
    onCompact(of) {
      snapshot = of
      records = []
    },
    flush: idle,
    async close() {
      await idle()
      isClosed = true
      clearTimeout(retry)
      if (retry !== undefined && isStale) begin(true)
      await idle()
      queue = []
      await closeFile()
    }
  }
}

/** Not with every record where nearly all of it is to be kept. */
function nextCompactAt(size: number, fullBytes: number): number {
  const doubled = Math.max(COMPACT_BYTES, 2 * size)
  const most = COMPACT_SHARE * fullBytes
  return doubled <= most ? doubled : Math.max(most, size + COMPACT_BYTES)
}

function lineOf(record: JsonObject): string {
  const json = JSON.stringify(record)
  return `${checksum(json)} ${json}\n`
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0')
}

/** What the file holds. Half a line at its end is what a power cut leaves; anything else that is wrong is told. */
async function read(
  path: string,
  onTrouble: (message: string) => void
): Promise<{ records: JsonObject[]; size: number; isDamaged: boolean }> {
  const records: JsonObject[] = []
  try {
    const found = await stat(path).catch(absentOr)
    if (found === undefined) return { records, size: 0, isDamaged: false }
    if (found.size > MAX_LOG_BYTES) throw new Error('it is far too large')
    const lines = (await readFile(path, 'utf8')).split('\n')
    const torn = lines.pop()!
    let damaged = 0
    for (const line of lines) {
      const json = line.slice(9)
      if (line.slice(0, 9) === `${checksum(json)} `) records.push(JSON.parse(json) as JsonObject)
      else damaged++
    }
    if (damaged > 0) onTrouble(`${damaged} lines of ${path} are damaged: the events in them are lost`)
    return { records, size: found.size, isDamaged: damaged > 0 || torn !== '' }
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    const aside = path.replace(/log$/, 'damaged.log')
    const moved = await rename(path, aside).then(
      () => `; they are now in ${aside}`,
      () => ''
    )
    onTrouble(`cannot read the events in ${path} (${why})${moved}: what was not done is lost`)
    return { records: [], size: 0, isDamaged: true }
  }
}
