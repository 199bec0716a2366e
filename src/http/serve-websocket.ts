/** The event stream as a WebSocket (RFC 6455): the same lines, one in each text message. Whether it is allowed, and what it holds, the route says. */
import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import { MeshError } from '../errors.ts'
import { PROGRAM } from '../version.ts'
import type { FetchHandler } from './app.ts'
import { errorResponse, refusal } from './errors.ts'
import { HEARTBEAT_MS } from './events-route.ts'

/** Path of the one WebSocket that there is. */
export const WEBSOCKET_PATH = '/mesh/events'
/** Subprotocol that the server takes: a browser gives no connection to who offers some and gets none. */
export const SUBPROTOCOL = 'atmosphere.events'
/** Beginning of the subprotocol that carries a token, in base64url, since a browser sets no headers. As Kubernetes does it. */
export const TOKEN_SUBPROTOCOL = 'base64url.bearer.authorization.atmosphere.'
/** So many pings in a row without an answer, and the client is cut. */
const MAX_MISSED = 2
/** Who was refused has so long to read why, in ms. */
const REFUSED_MS = 2_000
/** Largest message of a client, in bytes. It has nothing to say. */
const MAX_MESSAGE_BYTES = 1_024

/** The WebSockets of one server. */
export interface WebSockets {
  /** For `upgrade` of `node:http`. Never throws. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Cuts all that have not ended by themselves. */
  terminate(): void
}

/** What a request holds to become something else than HTTP/1.1. */
const UPGRADES: readonly string[] = ['connection', 'upgrade', 'http2-settings']

/**
 * Gives a server what it needs to upgrade. Node then takes every request that offers to upgrade out of its hands, as clients of HTTP/2 do with each first
 * one: those are given back without the offer, as RFC 9110, 7.8 lets a server do.
 */
export function serveWebSockets(server: Server, sockets: WebSockets): void {
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const { method, url, rawHeaders, headers } = request
    if (headers.upgrade?.toLowerCase() === 'websocket') return sockets.upgrade(request, socket, head)
    const isLast = /(^|,)\s*close\s*(,|$)/i.test(headers.connection ?? '')
    const lines = [`${method} ${url} HTTP/1.1`, ...(isLast ? ['connection: close'] : [])]
    for (let at = 0; at < rawHeaders.length; at += 2)
      if (!UPGRADES.includes(rawHeaders[at]!.toLowerCase())) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`)
    socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
    server.emit('connection', socket)
  })
}

/** @param fetch the local API: its guards hold for WebSockets as well. @param heartbeatMs between two pings. */
export function createWebSockets(fetch: FetchHandler, heartbeatMs: number = HEARTBEAT_MS): WebSockets {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    clientTracking: true,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false)
  })

  server.on('headers', (headers) => headers.push(`server: ${PROGRAM}`))

  /** From the first byte of the request on, also while nobody knows yet what becomes of them. */
  const open = new Set<Duplex>()
  let isOver = false

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const over = new AbortController()
    open.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      over.abort()
    })
    if (isOver) return void socket.destroy()
    const response = await answer(request, over.signal)
    const { body } = response
    if (!response.ok || body === null) return refuse(socket, response)
    if (over.signal.aborted) return void body.cancel()
    // A handshake that is none is answered by `ws`, which ends the socket.
    server.handleUpgrade(request, socket, head, (client) => void run(client, body).finally(() => over.abort()))
  }

  /** As a plain GET: it is refused, or a stream of lines. */
  async function answer(request: IncomingMessage, signal: AbortSignal): Promise<Response> {
    try {
      return await fetch(requestOf(request, signal))
    } catch (error) {
      return errorResponse(error)
    }
  }

  /** One message at a time: what a client is too slow for stays where the lines come from, which is bounded. */
  async function run(client: WebSocket, body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader()
    const closed = new Promise<void>((resolve) => client.once('close', resolve))
    void closed.then(() => reader.cancel())
    client.on('error', () => client.terminate())
    client.on('message', () => client.close(1008, 'this stream takes no messages'))
    let missed = 0
    client.on('pong', () => (missed = 0))
    const heartbeat = setInterval(() => {
      if (missed === MAX_MISSED) return client.terminate()
      missed++
      client.ping()
    }, heartbeatMs)
    try {
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
        const line = new TextDecoder().decode(chunk.value).trimEnd()
        await new Promise<void>((resolve) => client.send(line, () => resolve()))
      }
      client.close(1001, 'the node ends this stream')
      await closed
    } finally {
      clearInterval(heartbeat)
    }
  }

  return {
    upgrade(request, socket, head) {
      socket.on('error', () => socket.destroy())
      upgrade(request, socket, head).catch(() => socket.destroy())
    },
    terminate() {
      isOver = true
      for (const client of server.clients) client.terminate()
      for (const socket of open) socket.destroy()
    }
  }
}

/** @throws MeshError for what is no WebSocket, or one of another path. */
function requestOf(request: IncomingMessage, signal: AbortSignal): Request {
  const { method = 'GET', headers } = request
  if (method !== 'GET') throw refusal({ status: 400 }, 'unsupported', 'a WebSocket begins with GET')
  const url = URL.canParse(request.url ?? '', `http://${headers.host}`)
    ? new URL(request.url ?? '', `http://${headers.host}`)
    : undefined
  if (url === undefined) throw new MeshError('invalid_argument', 'the request is malformed')
  if (url.pathname !== WEBSOCKET_PATH)
    throw refusal({ status: 404 }, 'unsupported', `there is no WebSocket at ${url.pathname}, only at ${WEBSOCKET_PATH}`)
  const given = new Headers({ accept: 'application/x-ndjson' })
  const authorization = headers.authorization ?? tokenOf(headers['sec-websocket-protocol'])
  for (const [name, value] of Object.entries({ host: headers.host, origin: headers.origin, authorization }))
    if (value !== undefined) given.set(name, value)
  return new Request(url, { headers: given, signal })
}

function tokenOf(offered: string | undefined): string | undefined {
  const carrier = offered?.split(',').find((one) => one.trim().startsWith(TOKEN_SUBPROTOCOL))
  if (carrier === undefined) return undefined
  const token = Buffer.from(carrier.trim().slice(TOKEN_SUBPROTOCOL.length), 'base64url').toString('utf8')
  // Anything else is no header; the guard says that a token is needed.
  return /^[\x21-\x7e]{1,512}$/.test(token) ? `Bearer ${token}` : undefined
}

/** A client that does not close its side is cut: `node:http` looks after a socket no more once it was offered for an upgrade. */
async function refuse(socket: Duplex, response: Response): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer())
  const headers = new Headers(response.headers)
  headers.set('content-length', String(body.length))
  headers.set('connection', 'close')
  const lines = [...headers].map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.once('finish', () => socket.destroy())
  setTimeout(() => socket.destroy(), REFUSED_MS).unref()
  socket.end(
    Buffer.concat([Buffer.from(`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? ''}\r\n${lines}\r\n`), body])
  )
}
