/** Talks to the node that runs on a data directory, through its local API. */
import { request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { lockHolder } from '../data-dir-lock.ts'
import { readApiToken, readNodeFile, type NodeFile } from '../data-dir.ts'
import { MeshError, abortError, isErrorCode } from '../errors.ts'
import { showPath } from './output.ts'

/** Longest line of a stream that is read, in characters. An item is far below it. */
const MAX_LINE_LENGTH = 64 * 1024 * 1024

/** A request for a stream. */
export interface StreamRequest {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  body?: unknown
  /** Beside those of every request. */
  headers?: Readonly<Record<string, string>>
  signal?: AbortSignal
  /** The node has taken the request; the first line may be long in coming. */
  onOpen?: () => void
}

/** The local API of one node. All throw {@link MeshError}: what the node said, or `unavailable` if it is gone. */
export interface NodeClient {
  readonly node: NodeFile
  get<T>(path: string): Promise<T>
  post<T>(path: string, body?: unknown, headers?: StreamRequest['headers']): Promise<T>
  delete<T>(path: string): Promise<T>
  /** The lines of an NDJSON answer. Read ahead by no more than one network buffer. Leaving early cuts the connection. */
  lines(request: StreamRequest): AsyncGenerator<string, void, void>
  /** As the Fetch standard has it, with the token. @throws TypeError as that does, and no MeshError. @param path begins with a slash. */
  fetch(path: string, init: RequestInit): Promise<Response>
}

/** Finds the node of a data directory. Throws `unavailable` if none runs there. */
export async function connectToNode(dataDir: string): Promise<NodeClient> {
  const [node, token] = await Promise.all([readNodeFile(dataDir), readApiToken(dataDir)]).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOTDIR') throw noDirectory(dataDir, error)
      throw new MeshError(
        'unavailable',
        `cannot read ${error.path ?? dataDir} (${error.code ?? error.message}); run this as the user who started the node, or name another --data-dir`,
        { dataDir },
        { cause: error }
      )
    }
  )
  // After a kill -9 another program may have its port: the token goes only to who holds the lock.
  const holder = node && (await lockHolder(dataDir))
  holder?.cancel()
  if (!node || !token || !holder) throw noNode(dataDir)
  if (holder.pid !== 0 && holder.pid !== node.pid)
    throw new MeshError('unavailable', 'The node is starting; try again in a moment.', { dataDir })

  const send = async (call: StreamRequest, accept: string): Promise<IncomingMessage> => {
    const response = await open(node, token, call, accept)
    if (response.statusCode !== undefined && response.statusCode < 300) return response
    throw errorFrom(await text(response), response.statusCode ?? 0)
  }
  const whole = async <T>(call: StreamRequest) => JSON.parse(await text(await send(call, 'application/json'))) as T
  return {
    node,
    get: (path) => whole({ method: 'GET', path }),
    post: (path, body = {}, headers = {}) => whole({ method: 'POST', path, body, headers }),
    delete: (path) => whole({ method: 'DELETE', path }),
    async *lines(call) {
      const response = await send(call, 'application/x-ndjson')
      call.onOpen?.()
      yield* linesOf(response, call.signal)
    },
    fetch(path, init) {
      const headers = new Headers(init.headers)
      headers.set('authorization', `Bearer ${token}`)
      return fetch(`${node.api}${path}`, { ...init, headers })
    }
  }
}

function noDirectory(dataDir: string, cause: unknown): MeshError {
  return new MeshError(
    'invalid_config',
    `the data directory ${dataDir} is no directory; name another with --data-dir`,
    { dataDir },
    { cause }
  )
}

function noNode(dataDir: string): MeshError {
  return new MeshError('unavailable', 'No node is running here. Start one with: atmo start', {
    dataDir,
    hint: `(data directory ${showPath(dataDir)})`
  })
}

function open(
  node: NodeFile,
  token: string,
  { method, path, body, headers, signal }: StreamRequest,
  accept: string
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortError(signal))
    const url = new URL(node.api)
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const outgoing = request({
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      path,
      method,
      signal,
      // One request per connection: nothing keeps the process alive afterwards.
      agent: false,
      headers: {
        ...headers,
        authorization: `Bearer ${token}`,
        accept,
        connection: 'close',
        ...(payload !== undefined && { 'content-type': 'application/json' })
      }
    })
    outgoing.on('error', (cause) =>
      reject(
        signal?.aborted
          ? abortError(signal)
          : new MeshError(
              'unavailable',
              `the node does not answer (${(cause as NodeJS.ErrnoException).code ?? cause.message})`,
              {},
              { cause }
            )
      )
    )
    outgoing.on('response', resolve)
    outgoing.end(payload)
  })
}

async function* linesOf(response: IncomingMessage, signal?: AbortSignal): AsyncGenerator<string, void, void> {
  response.setEncoding('utf8')
  let parts: string[] = []
  let length = 0
  try {
    for await (const chunk of response as AsyncIterable<string>) {
      const pieces = chunk.split('\n')
      for (const piece of pieces.slice(0, -1)) {
        yield parts.join('') + piece
        parts = []
        length = 0
      }
      const rest = pieces.at(-1) ?? ''
      length += rest.length
      if (length > MAX_LINE_LENGTH) throw new MeshError('too_large', 'the node sent a line that is too long')
      if (rest) parts.push(rest)
    }
  } catch (error) {
    if (error instanceof MeshError) throw error
    if (signal?.aborted) throw abortError(signal)
    throw new MeshError('unavailable', 'the node went away', {}, { cause: error })
  } finally {
    response.destroy()
  }
}

function errorFrom(body: string, status: number): MeshError {
  try {
    const { error } = JSON.parse(body) as { error: { code: unknown; message: string; details?: Record<string, unknown> } }
    return new MeshError(isErrorCode(error.code) ? error.code : 'internal', error.message, error.details ?? {})
  } catch {
    return new MeshError('protocol_error', `the node answered with status ${status}`)
  }
}
