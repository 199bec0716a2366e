/**
 * The audit log of a node in its data directory: one JSON object a line, each with the hash of the line before, so that a line that is changed,
 * left out or put in shows. Rotated by size. Node only.
 */
import { createHash } from 'node:crypto'
import { appendFile, open, readFile, rename, stat, truncate } from 'node:fs/promises'
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

/** A line of the log. */
export interface AuditLine {
  /** Counts up by one. */
  n: number
  /** ISO 8601, by the clock of the machine. */
  at: string
  event: AuditEvent['event'] | 'lost'
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
}

const fileOf = (dir: string, age: number): string => join(dir, age === 0 ? 'audit.log' : `audit.${age}.log`)
const hashOf = (line: string): string => createHash('sha256').update(line).digest('hex')

/** Goes on with the log of the directory. @param onTrouble told once when it cannot be written, and again after it could. */
export async function openAuditLog(
  dir: string,
  onTrouble: (message: string) => void,
  now: () => Date = () => new Date()
): Promise<AuditLog> {
  let { n, prev } = await lastOf(dir)
  let size = (await stat(fileOf(dir, 0)).catch(absentOr))?.size ?? 0
  let queue: AuditEvent[] = []
  let lost = 0
  let failing = false
  let writing: Promise<void> | undefined

  function lineOf(event: AuditEvent | { event: 'lost'; count: number }): string {
    const { input, ...rest } = event as AuditEvent & { input?: unknown }
    const digest = event.event === 'call' ? { inputSha256: hashOf(JSON.stringify(input ?? null)) } : {}
    const line = JSON.stringify({ n: ++n, at: now().toISOString(), ...rest, ...digest, prev })
    prev = hashOf(line)
    return `${line}\n`
  }

  async function rotate(): Promise<void> {
    for (let age = MAX_AUDIT_FILES - 2; age >= 0; age--) await rename(fileOf(dir, age), fileOf(dir, age + 1)).catch(absentOr)
    size = 0
  }

  async function write(): Promise<void> {
    while (queue.length > 0) {
      const before = { n, prev }
      const events = queue
      queue = []
      const gap = lost
      lost = 0
      const text = (gap > 0 ? lineOf({ event: 'lost', count: gap }) : '') + events.map(lineOf).join('')
      try {
        if (size + text.length > MAX_AUDIT_BYTES && size > 0) await rotate()
        await appendFile(fileOf(dir, 0), text, { mode: 0o600 })
        size += text.length
        failing = false
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

  return {
    record(event) {
      if (queue.length >= MAX_QUEUED) return void lost++
      queue.push(event)
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
  let broken: AuditCheck['broken']
  let prev: string | undefined
  for (let age = MAX_AUDIT_FILES - 1; age >= 0; age--) {
    const file = fileOf(dir, age)
    const text = await readFile(file, 'utf8').catch(absentOr)
    if (text === undefined) continue
    for (const [index, line] of text.split('\n').entries()) {
      if (line === '') continue
      const parsed = parse(line)
      const why =
        parsed === undefined
          ? 'it is no line of this log'
          : prev !== undefined && parsed.prev !== prev
            ? 'the line before it was changed, left out or put in'
            : prev === undefined && parsed.n === 1 && parsed.prev !== GENESIS
              ? 'it is not the first'
              : undefined
      if (why !== undefined) broken ??= { file, line: index + 1, why }
      if (parsed !== undefined) lines.push(parsed)
      prev = hashOf(line)
    }
  }
  return { lines, broken }
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

/** Where the log stands: its last line, from the end of the file. Half a line, of a power cut, is ended, so that the next one stands alone. */
async function lastOf(dir: string): Promise<{ n: number; prev: string }> {
  for (const age of [0, 1]) {
    const file = await open(fileOf(dir, age), 'r+').catch(absentOr)
    if (file === undefined) continue
    try {
      const { size } = await file.stat()
      if (size === 0) continue
      const length = Math.min(size, TAIL_BYTES)
      const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length)
      const text = buffer.toString('utf8')
      if (!text.endsWith('\n')) await file.write('\n', size)
      const lines = text.split('\n').filter((line) => line !== '')
      const last = lines.at(-1)
      const known = lines.map(parse).findLast((line) => line !== undefined)
      if (last !== undefined) return { n: known?.n ?? 0, prev: hashOf(last) }
    } finally {
      await file.close()
    }
  }
  return { n: 0, prev: GENESIS }
}
