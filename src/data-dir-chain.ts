/**
 * A log in the data directory whose lines are chained by hashes: one JSON object a line, each with the hash of the line before, so that a line
 * that is changed, left out or put in shows. How far it went stands in its head, a file beside it, so that an end that is cut off shows, too.
 * What the head says is on disk before the head is: what comes after it may be torn by a power cut, what comes before it never is. Node only.
 */
import { createHash } from 'node:crypto'
import { appendFile, readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { absentOr } from './data-dir-files.ts'

/** Bytes of a log file after which the next one begins. */
export const MAX_CHAIN_BYTES = 8 * 1024 * 1024
/** Files of a log that are kept, the current one included. */
export const MAX_CHAIN_FILES = 5
/** The hash before the first line. */
export const GENESIS = '0'.repeat(64)

/** A line of such a log. */
export interface ChainLine {
  /** Counts up by one. */
  n: number
  /** ISO 8601, by the clock of the machine. */
  at: string
  event: string
  /** SHA-256 of the line before, hex. */
  prev: string
  [key: string]: unknown
}

/** A place in the chain: the number of a line, and its hash. */
export interface ChainPlace {
  n: number
  hash: string
}

/** How far a log went for certain. */
export interface ChainHead extends ChainPlace {
  /** The first line that is kept; Infinity if nobody knows. */
  first: number
}

/** What a check of a log says. */
export interface ChainCheck {
  lines: ChainLine[]
  /** The first thing that is wrong; undefined if nothing is. */
  broken: { file: string; line: number; why: string } | undefined
  /** The end is not whole: a power cut, or a node that is writing it. The next start takes it away and says so in the log. */
  torn: boolean
}

/** SHA-256, hex. */
export const hashOf = (text: string | Uint8Array): string => createHash('sha256').update(text).digest('hex')

/** Path of the file of this age, 0 for the one that is written. */
export const chainFile = (dir: string, name: string, age: number): string =>
  join(dir, age === 0 ? `${name}.log` : `${name}.${age}.log`)

/** Path of the head. */
export const chainHead = (dir: string, name: string): string => join(dir, `${name}.head`)

/** All lines that are kept, the oldest first, and whether they are as they were written. */
export async function readChain(dir: string, name: string, tries = 3): Promise<ChainCheck> {
  const head = await readChainHead(dir, name)
  const check = await checkChain(dir, name, head)
  // A node that writes may have begun a new file meanwhile.
  const isWritten = check.broken !== undefined && (await readChainHead(dir, name))?.n !== head?.n
  return isWritten && tries > 1 ? readChain(dir, name, tries - 1) : check
}

async function checkChain(dir: string, name: string, head: ChainHead | undefined): Promise<ChainCheck> {
  const check: ChainCheck = { lines: [], broken: undefined, torn: false }
  const { lines } = check
  let before: ChainPlace | undefined
  for (let age = MAX_CHAIN_FILES - 1; age >= 0; age--) {
    const file = chainFile(dir, name, age)
    const text = (await readFile(file, 'utf8').catch(absentOr)) ?? ''
    const texts = text.split('\n')
    for (const [index, line] of texts.entries()) {
      if (line === '' || check.torn) continue
      const parsed = parseLine(line)
      const why = faultOf(line, parsed, before, head)
      // After the head nothing is certain to have reached the disk.
      const isAfterHead = head !== undefined && (before?.n ?? 0) >= head.n
      const isHalf = parsed === undefined && age === 0 && index === texts.length - 1
      check.torn = isHalf || (why !== undefined && isAfterHead)
      if (check.torn) continue
      if (why !== undefined) check.broken ??= { file, line: index + 1, why }
      if (parsed !== undefined) lines.push(parsed)
      before = { n: parsed?.n ?? NaN, hash: hashOf(line) }
    }
  }
  const [first, last] = [lines[0]?.n ?? 1, lines.at(-1)?.n ?? 0]
  const file = chainFile(dir, name, 0)
  // A log has its head before its first line.
  if (head === undefined && last > 0)
    check.broken ??= { file: chainHead(dir, name), line: 1, why: 'it is gone or damaged: nobody can tell how far the log went' }
  if (head !== undefined && first > head.first)
    check.broken ??= { file, line: 1, why: `lines ${head.first} to ${first - 1} are gone` }
  if (head !== undefined && head.n > last)
    check.broken ??= { file, line: lines.length, why: `lines ${last + 1} to ${head.n} are gone` }
  return check
}

/** What is wrong with a line, as far as the one before it and the head of the log tell. */
function faultOf(
  line: string,
  parsed: ChainLine | undefined,
  before: ChainPlace | undefined,
  head: ChainPlace | undefined
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
export async function readChainHead(dir: string, name: string): Promise<ChainHead | undefined> {
  const text = await readFile(chainHead(dir, name), 'utf8').catch(absentOr)
  if (text === undefined) return undefined
  try {
    const { n, hash, first } = JSON.parse(text) as { n: unknown; hash: unknown; first: unknown }
    if (typeof n !== 'number' || !Number.isSafeInteger(n) || typeof hash !== 'string') return undefined
    return { n, hash, first: typeof first === 'number' ? first : Infinity }
  } catch {
    return undefined
  }
}

/** Number of the first line of a file; undefined if there is no such file, Infinity if that is no line. */
export async function firstLineOf(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(absentOr)
  return text === undefined ? undefined : (parseLine(text.split('\n', 1)[0] ?? '')?.n ?? Infinity)
}

function parseLine(line: string): ChainLine | undefined {
  try {
    const value = JSON.parse(line) as Partial<ChainLine>
    return typeof value.n === 'number' && typeof value.at === 'string' && typeof value.prev === 'string'
      ? (value as ChainLine)
      : undefined
  } catch {
    return undefined
  }
}

/**
 * Where the log stands: its last line. What a power cut left behind the head that is no more of the chain is taken away.
 * @returns also how many bytes that was.
 */
export async function endOfChain(dir: string, name: string, head: ChainHead | undefined): Promise<ChainPlace & { torn: number }> {
  const file = chainFile(dir, name, 0)
  const lines = await linesOf(file)
  let from = head === undefined ? -1 : lines.findLastIndex(({ text }) => hashOf(text) === head.hash) + 1 || -1
  if (head !== undefined && from < 0) {
    const before = head.n === 0 ? GENESIS : hashOf((await linesOf(chainFile(dir, name, 1))).at(-1)?.text ?? '')
    if (before === head.hash) from = 0
  }
  // A head that stands nowhere: somebody cut the log. It goes on where it ends, and the check says what is gone.
  if (head === undefined || from < 0) return lastLine(dir, name)
  let place: ChainPlace = head
  const last = lines.at(-1)
  if (from === lines.length && last?.isOpen === true) await writeNewline(file, last.end)
  for (const { text, at, end, isOpen } of lines.slice(from)) {
    const parsed = parseLine(text)
    if (parsed?.n !== place.n + 1 || parsed.prev !== place.hash) {
      await truncate(file, at)
      return { ...place, torn: lines.at(-1)!.end - at }
    }
    place = { n: parsed.n, hash: hashOf(text) }
    if (isOpen) await writeNewline(file, end)
  }
  return { ...place, torn: 0 }
}

/** The last line of a log whose head is of no use. Half a line is taken away. */
async function lastLine(dir: string, name: string): Promise<ChainPlace & { torn: number }> {
  let torn = 0
  for (const age of [0, 1]) {
    const file = chainFile(dir, name, age)
    const lines = await linesOf(file)
    const last = lines.at(-1)
    if (last?.isOpen === true && parseLine(last.text) === undefined) {
      await truncate(file, last.at)
      torn += last.end - last.at
      lines.pop()
    } else if (last?.isOpen === true) await writeNewline(file, last.end)
    const n = lines.map(({ text }) => parseLine(text)?.n).findLast((known) => known !== undefined)
    if (lines.length > 0) return { n: n ?? 0, hash: hashOf(lines.at(-1)!.text), torn }
  }
  return { n: 0, hash: GENESIS, torn }
}

async function writeNewline(file: string, end: number): Promise<void> {
  await truncate(file, end)
  await appendFile(file, '\n')
}

/** The lines of a file that are not empty, each with the bytes that it begins and ends at, and whether its end of line is missing. */
async function linesOf(file: string): Promise<{ text: string; at: number; end: number; isOpen: boolean }[]> {
  const bytes = (await readFile(file).catch(absentOr)) ?? Buffer.alloc(0)
  const lines = []
  // In bytes: half a character is none in the text.
  for (let at = 0; at < bytes.length;) {
    const found = bytes.indexOf(NEWLINE, at)
    const end = found < 0 ? bytes.length : found
    if (end > at) lines.push({ text: bytes.toString('utf8', at, end), at, end, isOpen: found < 0 })
    at = end + 1
  }
  return lines
}
const NEWLINE = 10
