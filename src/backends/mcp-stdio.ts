/**
 * The stdio transport of MCP over our own programs. The SDK has one, too, but it starts the server inside our process
 * group and ends it alone: what `npx` and the like started in turn would stay behind.
 */
import { ReadBuffer, serializeMessage } from '@modelcontextprotocol/client'
import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client'
import { MeshError } from '../errors.ts'
import type { Program, ProgramGroup, ProgramSpec } from './child-process.ts'

/** Longest message of a server, in bytes. A longer one ends the connection. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
/** Time that a server gets to end by itself once its input is closed, in ms. The MCP specification asks for this step. */
export const CLOSE_GRACE_MS = 500

/** A transport that also knows why its server ended. */
export interface StdioTransport extends Transport {
  /** Reason for people: how the server ended, and its last words. Undefined while it runs. */
  endReason(): string | undefined
  /** Presence of these two tells the SDK that this is stdio. */
  readonly pid: number | null
  readonly stderr: null
}

/** Makes a transport that starts the server when the SDK calls `start`. */
export function createStdioTransport(spec: Omit<ProgramSpec, 'stdin'>, programs: ProgramGroup): StdioTransport {
  const buffer = new ReadBuffer({ maxBufferSize: MAX_MESSAGE_BYTES })
  let server: Program | undefined
  let reason: string | undefined
  let closed = false

  const onChunk = (chunk: Buffer): void => {
    try {
      buffer.append(chunk)
      for (let more = true; more;) more = readOne()
    } catch (error) {
      transport.onerror?.(error as Error)
      reason ??= 'the server sent a message that is too long'
      void transport.close()
    }
  }
  // A line that is no message (a server that prints to stdout) is reported and skipped.
  const readOne = (): boolean => {
    let message: JSONRPCMessage | null
    try {
      message = buffer.readMessage()
    } catch (error) {
      transport.onerror?.(error as Error)
      return true
    }
    if (message === null) return false
    transport.onmessage?.(message)
    return true
  }
  const onEnd = (started: Program): void => {
    void started.exited.then(({ exitCode, signal }) => {
      const words = started.stderr()
      const how = exitCode === null ? `was ended by ${signal}` : `ended with exit code ${exitCode}`
      reason ??= `the MCP server ${how}${words === '' ? '' : `: ${words}`}`
      closed = true
      buffer.clear()
      transport.onclose?.()
    })
  }

  const transport: StdioTransport = {
    stderr: null,
    get pid() {
      return server?.pid ?? null
    },
    endReason: () => reason,
    async start() {
      server = await programs.start({ ...spec, stdin: true })
      server.stdout.on('data', onChunk)
      server.stdout.on('error', () => {})
      onEnd(server)
      if (closed) await server.kill()
    },
    send(message) {
      return new Promise<void>((resolve, reject) => {
        const stdin = server?.stdin
        if (closed || stdin === null || stdin === undefined || !stdin.writable) {
          reject(new MeshError('unavailable', reason ?? 'the MCP server is not running'))
          return
        }
        stdin.write(serializeMessage(message), (error) => {
          if (error === null || error === undefined) resolve()
          else reject(new MeshError('unavailable', reason ?? 'the MCP server closed its input', {}, { cause: error }))
        })
      })
    },
    async close() {
      closed = true
      if (server === undefined) return
      server.stdin?.end()
      const timer = setTimeout(() => void server?.kill(), CLOSE_GRACE_MS)
      await server.exited
      clearTimeout(timer)
    }
  }
  return transport
}
