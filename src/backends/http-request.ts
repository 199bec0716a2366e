/**
 * One request over HTTP, by `node:http`. The `fetch` of Node gives up after 300 s without headers or without a piece of the body, whatever its caller allows,
 * and that can only be changed with a package of its own; a language model may think for longer.
 */
import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { MeshError, abortError } from '../errors.ts'

/** A server has so long to take a connection, TLS included, if nothing is given, in ms. */
export const DEFAULT_CONNECT_MS = 10_000
/** A connection that nobody uses is kept so long, in ms: less than servers do, which close theirs after 5 s or more. A server that says less is heeded. */
export const KEEP_MS = 4_000
/** Connections that nobody uses, of one server at most. */
const MAX_KEPT = 8
/** That a kept connection was closed meanwhile shows so soon, in ms. What fails later, the server may have begun. */
const STALE_MS = 1_000
/** So long the end of an answer may take of which all that matters has come, in ms, if its connection is to be kept. */
const END_MS = 250
/** What is told of a connection that the other side has closed. */
const CLOSED_CODES: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'EPIPE'])

// A timeout of an agent ends connections that nobody uses, and no others.
const KEPT = { keepAlive: true, maxFreeSockets: MAX_KEPT, timeout: KEEP_MS }
const kept = { 'http:': new HttpAgent(KEPT), 'https:': new HttpsAgent(KEPT) } as const

/** How long parts of a request may take, in ms. All of it: the signal. */
export interface HttpTimes {
  /** Until there is a connection, TLS included. Default {@link DEFAULT_CONNECT_MS}. */
  connectMs?: number
  /** From there to the headers of the answer. Default: no limit. */
  firstByteMs?: number
  /** From one piece of the body to the next, while somebody waits for it. Default: no limit. */
  idleMs?: number
}

/** What is asked. */
export interface HttpRequest {
  method?: 'GET' | 'POST'
  /** Names in lower case. */
  headers?: Record<string, string>
  body?: string | FormData
  times?: HttpTimes
  /**
   * Doing it twice does no harm: then it goes over a connection that an earlier one has left, if there is one. Should that have been closed meanwhile, it is sent again, over
   * one of its own. Default: over one of its own at once.
   */
  mayRepeat?: boolean
  signal: AbortSignal
}

/** What comes back, once its headers are there. A redirect is an answer as any other. */
export interface HttpAnswer {
  status: number
  /** True for 2xx. */
  ok: boolean
  headers: Headers
  /** Read once. @throws what the connection ends with, `deadline_exceeded` after `idleMs`, and what the signal aborts with. */
  body: AsyncIterable<Uint8Array>
  /** Leaves the rest; the connection ends. */
  cancel(): void
  /** All that matters was read. Who leaves the body from now on leaves the connection to others, if its end comes soon. */
  complete(): void
}

/**
 * Sends a request, over a connection of its own unless it `mayRepeat`: one that is kept can have been closed meanwhile.
 * @throws MeshError `unavailable` after `connectMs`, `deadline_exceeded` after `firstByteMs`; what the signal aborts with; errors of Node, `TypeError` for an address or
 * header that cannot be.
 */
export async function httpRequest(url: string | URL, asked: HttpRequest): Promise<HttpAnswer> {
  const { method = 'GET', signal, times = {}, mayRepeat = false } = asked
  const target = new URL(url)
  // Neither would be seen by who reads the configuration, nor hidden from who reads an error.
  if (target.username !== '' || target.password !== '') throw new TypeError('an address has no user and no password')
  const { bytes, type } = await encoded(asked.body)
  if (signal.aborted) throw abortError(signal)
  const headers = {
    ...(bytes !== undefined && { 'content-length': String(bytes.byteLength) }),
    ...(type !== undefined && { 'content-type': type }),
    ...asked.headers
  }
  const isTls = target.protocol === 'https:'
  const send = (agent: HttpAgent | HttpsAgent | false): ClientRequest =>
    (isTls ? requestHttps : requestHttp)(target, { method, headers, agent, signal })
  const sentAt = performance.now()
  const first = send(mayRepeat && kept[isTls ? 'https:' : 'http:'])
  try {
    const response = await answerTo(first, bytes, times).catch((error: unknown) => {
      if (signal.aborted || !wasStale(first, error) || performance.now() - sentAt > STALE_MS) throw error
      return answerTo(send(false), bytes, times)
    })
    return answerOf(response, times.idleMs, signal)
  } catch (error) {
    throw signal.aborted ? abortError(signal) : error
  }
}

function wasStale({ reusedSocket }: ClientRequest, error: unknown): boolean {
  return reusedSocket && CLOSED_CODES.has((error as NodeJS.ErrnoException).code)
}

/** A body and the content type that belongs to it. A form has one with a boundary that only its encoder knows. */
async function encoded(body: string | FormData | undefined): Promise<{ bytes?: Uint8Array; type?: string }> {
  if (body === undefined) return {}
  if (typeof body === 'string') return { bytes: Buffer.from(body) }
  const form = new Response(body)
  return { type: form.headers.get('content-type')!, bytes: new Uint8Array(await form.arrayBuffer()) }
}

function answerTo(request: ClientRequest, bytes: Uint8Array | undefined, times: HttpTimes): Promise<IncomingMessage> {
  const { connectMs = DEFAULT_CONNECT_MS, firstByteMs } = times
  const giveUp = (error: MeshError): void => void request.destroy(error)
  let timer: ReturnType<typeof setTimeout> | undefined = setTimeout(() => {
    giveUp(new MeshError('unavailable', `the server has taken no connection within ${connectMs} ms`, { notDone: true }))
  }, connectMs)
  const connected = (): void => {
    clearTimeout(timer)
    if (firstByteMs === undefined) return
    timer = setTimeout(() => giveUp(tooLate(`has not begun to answer within ${firstByteMs} ms`)), firstByteMs)
  }
  request.once('socket', (socket) => {
    if (request.reusedSocket) connected()
    else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', connected)
  })
  return new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    // Also later: what happens then, who reads the body is told.
    request.on('error', reject)
    request.end(bytes)
  }).finally(() => clearTimeout(timer))
}

function answerOf(response: IncomingMessage, idleMs: number | undefined, signal: AbortSignal): HttpAnswer {
  // Nobody may be reading when it ends.
  response.on('error', () => {})
  const { statusCode: status = 0 } = response
  const headers = new Headers()
  for (const [name, values = []] of Object.entries(response.headersDistinct))
    for (const value of values) headers.append(name, value)
  let isComplete = false
  const leave = (): void => (isComplete ? awaitEnd(response) : void response.destroy())
  return {
    status,
    ok: status >= 200 && status < 300,
    headers,
    body: piecesOf(response, { idleMs, signal, leave }),
    cancel: leave,
    complete: () => void (isComplete = true)
  }
}

/** Lets the rest of an answer come, which is nothing but its end, if it is as it should be. */
function awaitEnd(response: IncomingMessage): void {
  if (response.readableEnded || response.destroyed) return
  const timer = setTimeout(() => response.destroy(), END_MS)
  timer.unref()
  response.once('close', () => clearTimeout(timer)).resume()
}

async function* piecesOf(
  response: IncomingMessage,
  { idleMs, signal, leave }: { idleMs: number | undefined; signal: AbortSignal; leave: () => void }
): AsyncGenerator<Uint8Array> {
  const wait = (): ReturnType<typeof setTimeout> | undefined =>
    idleMs === undefined
      ? undefined
      : setTimeout(() => response.destroy(tooLate(`has said nothing for ${idleMs} ms, in the middle of its answer`)), idleMs)
  let timer = wait()
  try {
    for await (const piece of response.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
      clearTimeout(timer)
      yield piece
      timer = wait()
    }
  } catch (error) {
    throw signal.aborted ? abortError(signal) : error
  } finally {
    clearTimeout(timer)
    leave()
  }
}

const tooLate = (what: string): MeshError => new MeshError('deadline_exceeded', `the server ${what}`)
