/** The bridge from the local API to node:http. */
import { createServer, type Server } from 'node:http'
import { hostname } from 'node:os'
import { isIP, type AddressInfo } from 'node:net'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { MeshError } from '../errors.ts'
import type { Agents } from '../agents/agents.ts'
import type { Hooks } from '../mesh-api-hooks.ts'
import type { Mesh } from '../mesh-api.ts'
import { apiAddressProblem, apiKeyProblem, isLoopbackHost, readApiAddress } from './api-address.ts'
import { createApp } from './app.ts'
import type { MeshChange } from './change-routes.ts'
import { errorResponse } from './errors.ts'
import type { NodeReadings } from './health.ts'
import { LOOPBACK_HOSTS } from './guard.ts'
import { answerAtOnce } from './serve-answer.ts'
import { createWebSockets, serveWebSockets, type WebSockets } from './serve-websocket.ts'

/** Time for the headers of a request, in ms. */
const HEADERS_TIMEOUT_MS = 10_000
/** Time for a whole request, body included, in ms. The answer may take as long as it takes. */
const REQUEST_TIMEOUT_MS = 60_000
/** How often connections are looked at for the two above, in ms. */
const CHECK_INTERVAL_MS = 1_000
/** Connections at once; more are closed by Node. */
const MAX_CONNECTIONS = 512
/** Time for running requests to end when the server closes, in ms. */
const CLOSE_GRACE_MS = 2_000

/** What a server of the local API is made of. Times are for tests; the defaults are named above. */
export interface ServeInit {
  mesh: Mesh
  /** See `AppInit`. */
  agents?: Agents
  /** See `AppInit`. */
  hooks?: Hooks
  /** Token of the data directory. */
  token: string
  /** `HOST:PORT`, `:PORT` or `PORT`; `[::1]:PORT` for IPv6. Default `127.0.0.1:0`. Port 0 is any free one. */
  listen?: string
  /** A second key, needed to listen on more than loopback. */
  apiKey?: string
  stop?: () => void
  /** See `AppInit`. */
  change?: MeshChange
  /** See `AppInit`. */
  readings?: () => Promise<NodeReadings>
  heartbeatMs?: number
  headersTimeoutMs?: number
  requestTimeoutMs?: number
  checkIntervalMs?: number
}

/** A server that listens. */
export interface ApiServer {
  /** Base URL, no trailing slash. */
  readonly url: string
  /** Ends event streams, lets running requests end for 2 s, then closes all. Idempotent. */
  close(): Promise<void>
}

/** Serves the local API. Throws `invalid_config` for a wrong address or a missing key, `conflict` if the port is taken. */
export async function serveApi(init: ServeInit): Promise<ApiServer> {
  const { host, port } = parseListen(init.listen ?? '127.0.0.1:0')
  const loopback = isLoopbackHost(host)
  const problem = apiKeyProblem(host, host, init.apiKey)
  if (problem !== undefined) throw new MeshError('invalid_config', problem, { host })
  const closing = new AbortController()
  const fetch = createApp({
    mesh: init.mesh,
    agents: init.agents,
    hooks: init.hooks,
    tokens: init.apiKey ? [init.token, init.apiKey] : [init.token],
    hosts: loopback ? LOOPBACK_HOSTS : [...LOOPBACK_HOSTS, urlHost(host), hostname(), `${hostname()}.local`],
    anyAddress: !loopback,
    stop: init.stop,
    change: init.change,
    readings: init.readings,
    closing: closing.signal,
    heartbeatMs: init.heartbeatMs
  })
  const answer = async (request: Request, served: HttpBindings): Promise<Response> =>
    answerAtOnce(await fetch(request, served), served.outgoing)
  const listener = getRequestListener((request, served) => answer(request, served as HttpBindings), {
    // The globals of the process are not ours to replace.
    overrideGlobalObjects: false,
    errorHandler: (error) =>
      errorResponse(new MeshError('invalid_argument', error instanceof Error ? error.message : 'the request is malformed'))
  })
  const server = createServer(
    {
      headersTimeout: init.headersTimeoutMs ?? HEADERS_TIMEOUT_MS,
      requestTimeout: init.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: init.checkIntervalMs ?? CHECK_INTERVAL_MS
    },
    (incoming, outgoing) => void listener(incoming, outgoing)
  )
  const sockets = createWebSockets(fetch, init.heartbeatMs)
  serveWebSockets(server, sockets)
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, host, port)
  const address = server.address() as AddressInfo
  let closed: Promise<void> | undefined
  return {
    url: `http://${urlHost(isWildcard(host) ? (host === '::' ? '::1' : '127.0.0.1') : host)}:${address.port}`,
    close: () => (closed ??= close(server, sockets, closing))
  }
}

/** Splits `HOST:PORT`. Throws `invalid_config`. */
export function parseListen(text: string): { host: string; port: number } {
  const address = readApiAddress(text)
  if (address === undefined) throw new MeshError('invalid_config', apiAddressProblem(text)!, { api: text })
  return address
}

const isWildcard = (host: string) => host === '0.0.0.0' || host === '::'
const urlHost = (host: string) => (isIP(host) === 6 ? `[${host}]` : host)

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE'
      const hint = taken ? 'another program uses it; choose another with --api HOST:PORT' : `${error.code ?? error.message}`
      reject(
        new MeshError(
          taken ? 'conflict' : 'invalid_config',
          `cannot listen on ${urlHost(host)}:${port}: ${hint}`,
          { host, port },
          { cause: error }
        )
      )
    })
    server.listen(port, host, () => {
      server.removeAllListeners('error')
      server.on('error', () => {})
      resolve()
    })
  })
}

async function close(server: Server, sockets: WebSockets, closing: AbortController): Promise<void> {
  closing.abort()
  const done = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const timer = setTimeout(() => {
    server.closeAllConnections()
    sockets.terminate()
  }, CLOSE_GRACE_MS)
  await done
  clearTimeout(timer)
}
