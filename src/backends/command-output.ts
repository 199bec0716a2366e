/** Turns the standard output of a program into items and a result, within bounds. */
import type { Readable } from 'node:stream'
import { MeshError } from '../errors.ts'
import type { JsonValue } from '../core/invoke.ts'
import type { StdoutMode } from './command-config.ts'

/** Longest line in `lines` and `ndjson`, in bytes. */
export const MAX_LINE_BYTES = 1024 * 1024
/** Longest output in `text` and `json`, in bytes. */
export const MAX_RESULT_BYTES = 3 * 1024 * 1024

const NEWLINE = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * Yields what the mode streams and returns the result.
 * @param ended - called when the output is over; throws if the program failed, which says more than output that makes no sense.
 * Throws `too_large`, and `tool_failed` for what is not JSON.
 */
export async function* readOutput(
  stdout: Readable,
  mode: StdoutMode,
  ended: () => Promise<void>
): AsyncGenerator<JsonValue | Uint8Array, JsonValue, void> {
  if (mode === 'text' || mode === 'json') {
    const text = await readAll(stdout)
    await ended()
    if (mode === 'text') return text.trimEnd()
    return text.trim() === '' ? null : parseJson(text, 'output')
  }
  if (mode === 'bytes') {
    let bytes = 0
    for await (const chunk of chunksOf(stdout)) {
      bytes += chunk.length
      yield new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)
    }
    await ended()
    return { bytes }
  }
  let lines = 0
  for await (const line of readLines(stdout)) {
    if (mode === 'ndjson' && line.trim() === '') continue
    lines++
    yield mode === 'ndjson' ? parseJson(line, `line ${lines}`) : line
  }
  await ended()
  return { lines }
}

/** A pipe that was closed on our side has ended, too: the program was killed, or left a daemon behind that holds it. */
async function* chunksOf(stream: Readable): AsyncGenerator<Buffer, void, void> {
  try {
    yield* stream as AsyncIterable<Buffer>
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE')) throw error
  }
}

/** The lines of a stream, without their ends, as they come. Throws `too_large` beyond {@link MAX_LINE_BYTES}. */
export async function* readLines(stream: Readable): AsyncGenerator<string, void, void> {
  let pieces: Buffer[] = []
  let length = 0
  for await (const chunk of chunksOf(stream)) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      if (length + end - start > MAX_LINE_BYTES) throw lineTooLong()
      yield toLine([...pieces, chunk.subarray(start, end)])
      pieces = []
      length = 0
      start = end + 1
    }
    if (start === chunk.length) continue
    pieces.push(chunk.subarray(start))
    length += chunk.length - start
    if (length > MAX_LINE_BYTES) throw lineTooLong()
  }
  if (length > 0) yield toLine(pieces)
}

function toLine(pieces: readonly Buffer[]): string {
  const line = pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces)
  return line.toString('utf8', 0, line.at(-1) === CARRIAGE_RETURN ? line.length - 1 : line.length)
}

function lineTooLong(): MeshError {
  return new MeshError(
    'too_large',
    `the program printed a line of more than ${MAX_LINE_BYTES} bytes; use stdout: bytes for such output`,
    {
      maxBytes: MAX_LINE_BYTES
    }
  )
}

async function readAll(stdout: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of chunksOf(stdout)) {
    length += chunk.length
    if (length > MAX_RESULT_BYTES) {
      throw new MeshError(
        'too_large',
        `the program printed more than ${MAX_RESULT_BYTES} bytes; use stdout: lines or bytes for such output`,
        {
          maxBytes: MAX_RESULT_BYTES
        }
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string, what: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue
  } catch (error) {
    const start = text.length > 80 ? `${text.slice(0, 80)}…` : text
    throw new MeshError('tool_failed', `${what} of the program is not JSON: ${start}`, {}, { cause: error })
  }
}
