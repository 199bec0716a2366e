/** What an MCP client sends by a pipe, line by line: what is no message is answered here, since the SDK drops it and the client would wait for ever. */
import { parseJSONRPCMessage } from '@modelcontextprotocol/client'
import { repeatedKey } from '../../protocols/repeated-key.ts'

/** Longest line, in bytes: what the node takes. */
export const MAX_LINE_BYTES = 32 * 1024 * 1024

const NEWLINE = 0x0a
const [PARSE_ERROR, INVALID_REQUEST] = [-32_700, -32_600]

/** Why a line is no message, as JSON-RPC has it: https://www.jsonrpc.org/specification#error_object */
interface Refused {
  code: number
  message: string
  data?: { code: string; details: Record<string, unknown> }
}

/**
 * The messages, one a line, those of a batch each on its own: so they are answered, as over HTTP.
 * @param tell writes an answer to the client; nothing more is read before it is written.
 */
export async function* messageLines(
  input: AsyncIterable<Uint8Array>,
  tell: (answer: string) => Promise<void>,
  maxBytes: number = MAX_LINE_BYTES
): AsyncGenerator<Buffer, void, void> {
  for await (const line of linesOf(input, maxBytes)) {
    const read = line === undefined ? refused(INVALID_REQUEST, `a message is over ${maxBytes} bytes`) : readLine(line)
    for (const one of read) {
      if (Buffer.isBuffer(one)) yield one
      else await tell(`${JSON.stringify({ jsonrpc: '2.0', error: one, id: null })}\n`)
    }
  }
}

/** Lines without their ends; undefined for one that is too long, of which no more than that is kept. */
async function* linesOf(input: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Buffer | undefined, void, void> {
  let parts: Uint8Array[] = []
  let bytes = 0
  const add = (part: Uint8Array): void => {
    bytes += part.length
    if (bytes > maxBytes) parts = []
    else parts.push(part)
  }
  const line = (): Buffer | undefined => {
    const whole = bytes > maxBytes ? undefined : Buffer.concat(parts)
    parts = []
    bytes = 0
    return whole
  }
  for await (const chunk of input) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, end))
      yield line()
      from = end + 1
    }
    add(chunk.subarray(from))
  }
  if (bytes > 0) yield line()
}

function readLine(line: Buffer): (Buffer | Refused)[] {
  const text = line.toString()
  if (text.trim() === '') return []
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return refused(PARSE_ERROR, `the message is not JSON: ${(error as Error).message}`)
  }
  const repeated = repeatedKey(text)
  if (repeated !== undefined) {
    const message = `the message has the key '${repeated.key}' twice, at ${repeated.pointer}; give it once`
    return refused(INVALID_REQUEST, message, { code: 'invalid_argument', details: repeated })
  }
  if (!Array.isArray(value)) return isMessage(value) ? [Buffer.concat([line, Buffer.of(NEWLINE)])] : refused(...NO_MESSAGE)
  if (value.length === 0) return refused(INVALID_REQUEST, 'a batch holds one message at least')
  return value.flatMap((one): (Buffer | Refused)[] =>
    isMessage(one) ? [Buffer.from(`${JSON.stringify(one)}\n`)] : refused(...NO_MESSAGE)
  )
}

const NO_MESSAGE = [INVALID_REQUEST, 'this is no request, notification or response of JSON-RPC 2.0'] as const

function isMessage(value: unknown): boolean {
  try {
    parseJSONRPCMessage(value)
    return true
  } catch {
    return false
  }
}

function refused(code: number, message: string, data?: Refused['data']): Refused[] {
  return [{ code, message, ...(data !== undefined && { data }) }]
}
