/**
 * The audit log of a node in its data directory: one JSON object a line, each with the hash of the line before, so that a line that is changed,
 * left out or put in shows. How far it went stands in a file beside it, so that an end that is cut off shows, too. Rotated by size. Node only.
 */
import { createHash } from 'node:crypto'
import { appendFile, open, readFile, rename, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Audit, AuditEvent } from './core/audit.ts'
import { absentOr } from './data-dir-files.ts'

/** Bytes of a log file after which the next one begins. */
export const MAX_AUDIT_BYTES = 8 * 1024 * 1024
/** Files that are kept, the current one included. */
export const MAX_AUDIT_FILES = 5
/** Events that wait to be written; more are counted and not kept. */
export const MAX_QUEUED = 10_000
/** The hash before the first line. */
const GENESIS = '0'.repeat(64)
/** How much of the end of a log is read to go on from it, in bytes: a line is far shorter. */
const TAIL_BYTES = 64 * 1024
/** While much is written, how far the log went is kept so often, in ms. */
const HEAD_MS = 1_000

/** A line of the log. */
export interface AuditLine {
  /** Counts up by one. */
  n: number
  /** ISO 8601, by the clock of the machine. */
  at: string
  event: AuditEvent['event'] | 'lost' | 'torn'
  /** SHA-256 of the line before, hex. */
  prev: string
  [key: string]: unknown
}

/** An open log. */
export interface AuditLog {
  record: Audit
  /** Resolves when all that was recorded is on disk, or could not be written. */
  flush(): Promise<void>
}

/** What a check of the log says. */
export interface AuditCheck {
  lines: AuditLine[]
  /** The first thing that is wrong; undefined if nothing is. */
  broken: { file: string; line: number; why: string } | undefined
  /** The last line is half a line: a power cut, or a node that is writing it. The next start takes it away and says so in the log. */
  torn: boolean
}

const headOf = (dir: string): string => join(dir, 'audit.head')
const fileOf = (dir: string, age: number): string => join(dir, age === 0 ? 'audit.log' : `audit.${age}.log`)
const hashOf = (line: string): string => createHash('sha256').update(line).digest('hex')

/** An event as it waits to be written: an input of megabytes must not wait with it. */
type Queued = Omit<AuditEvent, 'input'> & { inputSha256?: string }

function withDigest(event: AuditEvent): Queued {
  if (event.event !== 'call') return event
  const { input, ...rest } = event
  return { ...rest, inputSha256: hashOf(JSON.stringify(input ?? null)) }
}

/** Goes on with the log of the directory. @param onTrouble told once when it cannot be written, and again after it could. */
export async function openAuditLog(
  dir: string,
  onTrouble: (message: string) => void,
  now: () => Date = () => new Date()
): Promise<AuditLog> {
  const last = await lastOf(dir)
  const head = await readHead(dir)
  if (head !== undefined && head.n > last.n)
    onTrouble(`lines ${last.n + 1} to ${head.n} of the audit log are gone; atmo audit says so from now on`)
  // Numbers are not given twice: what is gone leaves a gap.
  let { n, prev } = { n: Math.max(last.n, head?.n ?? 0), prev: last.prev }
  let size = (await stat(fileOf(dir, 0)).catch(absentOr))?.size ?? 0
  let queue: Queued[] = []
  let headAt = -Infinity
  let lost = 0
  let failing = false
  let writing: Promise<void> | undefined

  function lineOf(event: Queued | { event: 'lost'; count: number } | { event: 'torn'; bytes: number }): string {
    const line = JSON.stringify({ n: ++n, at: now().toISOString(), ...event, prev })
    prev = hashOf(line)
    return `${line}\n`
  }

  async function rotate(): Promise<void> {
    for (let age = MAX_AUDIT_FILES - 2; age >= 0; age--) await rename(fileOf(dir, age), fileOf(dir, age + 1)).catch(absentOr)
    size = 0
  }

  /** Not at each line: it may be behind, never ahead. */
  async function writeHead(): Promise<void> {
    headAt = performance.now()
    await writeFile(`${headOf(dir)}.new`, JSON.stringify({ n, hash: prev }), { mode: 0o600 })
    await rename(`${headOf(dir)}.new`, headOf(dir))
  }

  async function write(): Promise<void> {
    while (queue.length > 0) {
      const before = { n, prev }
      const events = queue
      queue = []
      const gap = lost
      lost = 0
      const text = (gap > 0 ? lineOf({ event: 'lost', count: gap }) : '') + events.map(lineOf).join('')
      const bytes = Buffer.byteLength(text)
      try {
        if (size + bytes > MAX_AUDIT_BYTES && size > 0) await rotate()
        await appendFile(fileOf(dir, 0), text, { mode: 0o600 })
        size += bytes
        failing = false
        if (queue.length === 0 || performance.now() - headAt > HEAD_MS) await writeHead().catch(() => undefined)
      } catch (error) {
        // A full disk takes half of what it is given.
        await truncate(fileOf(dir, 0), size).catch(() => undefined)
        ;({ n, prev } = before)
        lost += gap + events.length
        if (!failing)
          onTrouble(
            `the audit log cannot be written (${(error as NodeJS.ErrnoException).code ?? 'failed'}); what happens meanwhile is only counted`
          )
        failing = true
      }
    }
  }

  function start(): Promise<void> {
    return (writing ??= write().finally(() => {
      writing = undefined
      if (queue.length > 0) void start()
    }))
  }

  if (last.torn > 0) {
    await appendFile(fileOf(dir, 0), lineOf({ event: 'torn', bytes: last.torn }), { mode: 0o600 })
    size = (await stat(fileOf(dir, 0))).size
  }
  return {
    record(event) {
      if (queue.length >= MAX_QUEUED) return void lost++
      queue.push(withDigest(event))
      void start()
    },
    async flush() {
      while (writing !== undefined || queue.length > 0) await start()
    }
  }
}

/** All lines that are kept, the oldest first, and whether they are as they were written. */
export async function readAuditLog(dir: string): Promise<AuditCheck> {
  const lines: AuditLine[] = []
  const head = await readHead(dir)
  let broken: AuditCheck['broken']
  let torn = false
  let files = 0
  let before: { n: number; hash: string } | undefined
  for (let age = MAX_AUDIT_FILES - 1; age >= 0; age--) {
    const file = fileOf(dir, age)
    const text = await readFile(file, 'utf8').catch(absentOr)
    if (text === undefined) continue
    files++
    const texts = text.split('\n')
    for (const [index, line] of texts.entries()) {
      if (line === '') continue
      const parsed = parse(line)
      if (parsed === undefined && age === 0 && index === texts.length - 1) {
        torn = true
        continue
      }
      const why = faultOf(line, parsed, before, head)
      if (why !== undefined) broken ??= { file, line: index + 1, why }
      if (parsed !== undefined) lines.push(parsed)
      before = { n: parsed?.n ?? NaN, hash: hashOf(line) }
    }
  }
  const [first, last] = [lines[0]?.n ?? 1, lines.at(-1)?.n ?? 0]
  if (first > 1 && files < MAX_AUDIT_FILES) broken ??= { file: fileOf(dir, 0), line: 1, why: `lines 1 to ${first - 1} are gone` }
  // A log has its head from its first line on.
  if (head === undefined && last > 0)
    broken ??= { file: headOf(dir), line: 1, why: 'it is gone or damaged: nobody can tell how far the log went' }
  if (head !== undefined && head.n > last)
    broken ??= { file: fileOf(dir, 0), line: lines.length, why: `lines ${last + 1} to ${head.n} are gone` }
  return { lines, broken, torn }
}

/** What is wrong with a line, as far as the one before it and the head of the log tell. */
function faultOf(
  line: string,
  parsed: AuditLine | undefined,
  before: { n: number; hash: string } | undefined,
  head: { n: number; hash: string } | undefined
): string | undefined {
  if (parsed === undefined) return 'it is no line of this log'
  const { n, prev } = parsed
  const changed = n === head?.n && hashOf(line) !== head.hash ? 'it was changed' : undefined
  if (before === undefined) return n === 1 && prev !== GENESIS ? 'it is not the first' : changed
  if (prev !== before.hash) return 'the line before it was changed, left out or put in'
  if (n !== before.n + 1) return `lines ${before.n + 1} to ${n - 1} are gone`
  return changed
}

/** How far the log went when that was last written down; undefined if it never was. */
async function readHead(dir: string): Promise<{ n: number; hash: string } | undefined> {
  const text = await readFile(headOf(dir), 'utf8').catch(absentOr)
  if (text === undefined) return undefined
  try {
    const { n, hash } = JSON.parse(text) as { n: unknown; hash: unknown }
    return typeof n === 'number' && Number.isSafeInteger(n) && typeof hash === 'string' ? { n, hash } : undefined
  } catch {
    return undefined
  }
}

function parse(line: string): AuditLine | undefined {
  try {
    const value = JSON.parse(line) as Partial<AuditLine>
    return typeof value.n === 'number' && typeof value.at === 'string' && typeof value.prev === 'string'
      ? (value as AuditLine)
      : undefined
  } catch {
    return undefined
  }
}

/** Where the log stands: its last line, from the end of the file. Half a line, of a power cut, is taken away. */
async function lastOf(dir: string): Promise<{ n: number; prev: string; torn: number }> {
  let torn = 0
  for (const age of [0, 1]) {
    const file = await open(fileOf(dir, age), 'r+').catch(absentOr)
    if (file === undefined) continue
    try {
      const { size } = await file.stat()
      if (size === 0) continue
      const length = Math.min(size, TAIL_BYTES)
      const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length)
      const lines = buffer.toString('utf8').split('\n')
      const end = lines.pop()!
      if (end !== '' && parse(end) !== undefined) {
        lines.push(end)
        await file.write('\n', size)
      } else if (end !== '') {
        // In bytes: half a character is none in the text.
        const half = length - (buffer.lastIndexOf('\n') + 1)
        torn += half
        await file.truncate(size - half)
      }
      const last = lines.findLast((line) => line !== '')
      const known = lines.map(parse).findLast((line) => line !== undefined)
      if (last !== undefined) return { n: known?.n ?? 0, prev: hashOf(last), torn }
    } finally {
      await file.close()
    }
  }
  return { n: 0, prev: GENESIS, torn }
}
