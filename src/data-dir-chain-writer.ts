/** Writes a log whose lines are chained by hashes: see data-dir-chain.ts. Node only. */
import { appendFile, open, rename, stat, truncate } from 'node:fs/promises'
import { absentOr, writeAtomic } from './data-dir-files.ts'
import {
  MAX_CHAIN_BYTES,
  MAX_CHAIN_FILES,
  chainFile,
  chainHead,
  endOfChain,
  firstLineOf,
  hashOf,
  readChainHead
} from './data-dir-chain.ts'

/** Entries that wait to be written; more are counted and not kept. */
export const MAX_QUEUED = 10_000
/** Of these, bytes of what their writers say is large; past them, too, entries are counted and not kept. */
export const MAX_QUEUED_BYTES = 16 * 1024 * 1024
/** Longest line, in bytes; of an entry that would be longer, what it was and its digest are kept. */
export const MAX_LINE_BYTES = 64 * 1024
/** Bytes that are written at once, about. */
const BATCH_BYTES = 1024 * 1024
/** How far the log went is kept so often at most, in ms: two writes that wait for the disk. */
const HEAD_MS = 1_000

/** What happened, and when. */
export interface ChainEntry {
  /** ISO 8601. */
  at: string
  event: string
}

/** An open log. */
export interface ChainLog {
  /** @param bytes how many it holds, about, where that is more than a few hundred. */
  append(entry: ChainEntry, bytes?: number): void
  /** Resolves when all that was appended is on disk, or could not be written. */
  flush(): Promise<void>
}

/** Where a log is. */
export interface ChainLogInit {
  dir: string
  /** Of its files, without the end. */
  name: string
  now: () => Date
  /** What is appended may wait so long for what comes after it, in ms: to open, write and close a file costs as much for many lines as for one. Default: it does not wait. */
  gatherMs?: number
  /** Told once when it cannot be written, and again after it could. */
  onTrouble: (message: string) => void
}

/** Goes on with a log, or begins it. */
export async function openChainLog({ dir, name, now, gatherMs = 0, onTrouble }: ChainLogInit): Promise<ChainLog> {
  const file = chainFile(dir, name, 0)
  const head = await readChainHead(dir, name)
  const end = await endOfChain(dir, name, head)
  if (head !== undefined && head.n > end.n)
    onTrouble(`lines ${end.n + 1} to ${head.n} of ${file} are gone; atmo audit says so from now on`)
  // Numbers are not given twice: what is gone leaves a gap.
  let { n, prev } = { n: Math.max(end.n, head?.n ?? 0), prev: end.hash }
  let first = head?.first ?? (end.n === 0 ? 1 : Infinity)
  let size = (await stat(file).catch(absentOr))?.size ?? 0
  let queue: { entry: ChainEntry & { [key: string]: unknown }; bytes: number }[] = []
  if (end.torn > 0) queue.push({ entry: { at: stamp(), event: 'torn', bytes: end.torn }, bytes: 0 })
  let queuedBytes = 0
  let lost = 0
  let failing = false
  let writing: Promise<void> | undefined
  /** There is a head on disk. */
  let begun = head !== undefined || end.n > 0
  let headAt = -Infinity
  /** What the head does not say yet. */
  let behind = false
  /** Somebody waits for all to be on disk. */
  let hurry = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let gathering: ReturnType<typeof setTimeout> | undefined

  function stamp(): string {
    return now().toISOString()
  }

  function lineOf(entry: ChainEntry & { [key: string]: unknown }): string {
    n++
    let line = JSON.stringify({ n, ...entry, prev })
    const bytes = Buffer.byteLength(line)
    if (bytes > MAX_LINE_BYTES) {
      const { at, event } = entry
      line = JSON.stringify({ n, at, event, tooLong: bytes, sha256: hashOf(JSON.stringify(entry)), prev })
    }
    prev = hashOf(line)
    return `${line}\n`
  }

  async function writeHead(place = { n, hash: prev }): Promise<void> {
    headAt = performance.now()
    if (place.n > 0) await sync(file)
    await writeAtomic(chainHead(dir, name), JSON.stringify({ ...place, first }))
    behind = false
  }

  /** @param place the last line of what was written. */
  async function rotate(place: { n: number; hash: string }): Promise<void> {
    // First the head: it says which lines will be gone, and that all others were written.
    first = (await firstLineOf(chainFile(dir, name, MAX_CHAIN_FILES - 2))) ?? first
    await writeHead(place)
    for (let age = MAX_CHAIN_FILES - 2; age >= 0; age--)
      await rename(chainFile(dir, name, age), chainFile(dir, name, age + 1)).catch(absentOr)
    size = 0
  }

  /** The next lines, as many as are written at once. */
  function batch(): { text: string; count: number } {
    const gap = lost
    lost = 0
    let text = gap > 0 ? lineOf({ at: stamp(), event: 'lost', count: gap }) : ''
    let count = 0
    while (count < queue.length && text.length < BATCH_BYTES) {
      queuedBytes -= queue[count]!.bytes
      text += lineOf(queue[count++]!.entry)
    }
    queue = queue.slice(count)
    return { text, count: gap + count }
  }

  async function write(): Promise<void> {
    while (queue.length > 0) {
      const before = { n, prev }
      let count = 0
      try {
        if (!begun) await writeHead()
        begun = true
        const next = batch()
        count = next.count
        const bytes = Buffer.byteLength(next.text)
        if (size + bytes > MAX_CHAIN_BYTES && size > 0) await rotate({ n: before.n, hash: before.prev })
        await appendFile(file, next.text, { mode: 0o600 })
        size += bytes
        failing = false
        behind = true
      } catch (error) {
        // A full disk takes half of what it is given.
        await truncate(file, size).catch(() => undefined)
        ;({ n, prev } = before)
        lost += count + queue.length
        queue = []
        queuedBytes = 0
        if (!failing)
          onTrouble(
            `${file} cannot be written (${(error as NodeJS.ErrnoException).code ?? 'failed'}); what happens meanwhile is only counted`
          )
        failing = true
      }
    }
    if (!behind) return
    const wait = headAt + HEAD_MS - performance.now()
    if (wait <= 0 || hurry) return writeHead().catch(() => undefined)
    timer ??= setTimeout(() => {
      timer = undefined
      void start()
    }, wait)
    timer.unref()
  }

  /** In a while; at once where that is enough for a write of its own. */
  function startSoon(): void {
    if (gatherMs === 0 || queuedBytes >= BATCH_BYTES || queue.length >= MAX_QUEUED / 2) return void start()
    gathering ??= setTimeout(() => void start(), gatherMs).unref()
  }

  function start(): Promise<void> {
    clearTimeout(gathering)
    gathering = undefined
    return (writing ??= write().finally(() => {
      writing = undefined
      if (queue.length > 0) void start()
    }))
  }

  if (queue.length > 0) await start()
  return {
    append(entry, bytes = 0) {
      if (queue.length >= MAX_QUEUED || queuedBytes + bytes > MAX_QUEUED_BYTES) return void lost++
      queue.push({ entry: { ...entry }, bytes })
      queuedBytes += bytes
      startSoon()
    },
    async flush() {
      hurry = true
      while (writing !== undefined || queue.length > 0) await start()
      if (behind) await start()
      hurry = false
      clearTimeout(timer)
      timer = undefined
    }
  }
}

/** What was written to a file is on disk. */
async function sync(path: string): Promise<void> {
  const file = await open(path, 'r+').catch(absentOr)
  try {
    await file?.sync()
  } finally {
    await file?.close()
  }
}
