/** Between an MCP client that talks over pipes and the endpoint of a node: messages pass as they are, the node knows all that they mean. */
import {
  StreamableHTTPClientTransport,
  type JSONRPCMessage,
  type JSONRPCRequest,
  type Transport
} from '@modelcontextprotocol/client'
import { MeshError, toMeshError } from '../errors.ts'

/** Where the transport believes the node to be; {@link McpBridgeInit.fetch} knows better. */
const PLACE = 'http://node.invalid/mcp'
const PROTOCOL_VERSION = 'io.modelcontextprotocol/protocolVersion'
const SESSION_HEADER = 'mcp-session-id'
const RENEWAL_ID = 'atmo-renewal'
/** What may be other than before at a node that has started anew. */
const LISTS = ['tools', 'resources']
const INTERNAL_ERROR = -32_603
const GOODBYE_MS = 1_000
/** Time that a node has to begin a session again, in ms: what is asked meanwhile waits for it. */
const RENEWAL_MS = 15_000
/** The stream on which the node tells of changes is opened again for as long as this runs, s apart: a node may be away for long. */
const RECONNECTION = {
  initialReconnectionDelay: 1_000,
  maxReconnectionDelay: 15_000,
  reconnectionDelayGrowFactor: 1.5,
  maxRetries: Infinity
}

/** What a bridge is made of. */
export interface McpBridgeInit {
  /** The client. */
  client: Transport
  /** Asks the node, wherever it is now. Rejects if it is not there. */
  fetch(init: RequestInit): Promise<Response>
  /** Time that a session is given to begin again, in ms. */
  renewalMs?: number
}

/** A request that has no answer yet. */
interface Open {
  /** Of a protocol without sessions: it is cancelled by the end of its stream. */
  isStateless: boolean
  abort: AbortController
  /** Resolves when the node has it, or will not. */
  sent: Promise<void>
  isSent: boolean
  /** The node has done it. */
  onDone(): void
}

const GONE = 'unavailable: the node went away before it had answered'

/** Runs until the client goes or `signal` aborts; what runs then is cancelled. A node that starts anew is found again, and the session with it begun again. */
export async function bridgeMcp({ client, fetch, renewalMs = RENEWAL_MS }: McpBridgeInit, signal: AbortSignal): Promise<void> {
  const open = new Map<string | number, Open>()
  /** Resources that an old client is subscribed to in its session. */
  const subscribed = new Set<string>()
  let handshake: JSONRPCRequest | undefined
  let renewing: Promise<void> | undefined
  let onRenewed: ((answer: JSONRPCMessage) => void) | undefined
  const ending = new AbortController()
  let node = await connect()

  async function connect(): Promise<StreamableHTTPClientTransport> {
    const transport = new StreamableHTTPClientTransport(new URL(PLACE), {
      reconnectionOptions: RECONNECTION,
      fetch: async (_url, init = {}) => {
        const response = await fetch(init)
        // The stream of changes finds out first, where nothing is called.
        if (response.status === 404 && transport === node && new Headers(init.headers).has(SESSION_HEADER))
          void renew().catch(() => {})
        return response
      }
    })
    transport.onmessage = (message) => fromNode(transport, message)
    await transport.start()
    return transport
  }

  /** The node has started anew, or had no more room for the session: another one, of which the client need not know. */
  function renew(): Promise<void> {
    renewing ??= begin().finally(() => (renewing = undefined))
    return renewing
  }

  async function begin(): Promise<void> {
    if (handshake === undefined) return
    const next = await connect()
    try {
      await shakeHands(next, handshake)
    } catch (error) {
      await next.close()
      throw error
    }
    const before = node
    node = next
    await before.close()
    for (const [id, { isSent, isStateless }] of open) if (isSent && !isStateless) fail(id, GONE)
    await Promise.all([...subscribed].map((uri, at) => subscribeAgain(next, uri, at)))
    for (const list of LISTS) await toClient({ jsonrpc: '2.0', method: `notifications/${list}/list_changed` })
  }

  /** The client is told nothing of it: where the node has no room for it, nothing comes, and what is read there says so. */
  async function subscribeAgain(next: StreamableHTTPClientTransport, uri: string, at: number): Promise<void> {
    const message = { jsonrpc: '2.0' as const, id: `${RENEWAL_ID}-${at}`, method: 'resources/subscribe', params: { uri } }
    const requestSignal = AbortSignal.any([AbortSignal.timeout(renewalMs), ending.signal])
    await next.send(message, { requestSignal }).catch(() => {})
  }

  /** Rejects if the node goes meanwhile, says no or takes too long. */
  async function shakeHands(next: StreamableHTTPClientTransport, first: JSONRPCRequest): Promise<void> {
    const requestSignal = AbortSignal.any([AbortSignal.timeout(renewalMs), ending.signal])
    await new Promise<void>((resolve, reject) => {
      const giveUp = (why: string): void => reject(new MeshError('unavailable', why))
      requestSignal.addEventListener('abort', () => giveUp('the node has not begun a session in time'), { once: true })
      onRenewed = (answer) => ('error' in answer ? giveUp(`the node begins no session (${answer.error.message})`) : resolve())
      const onRequestStreamEnd = (): void => giveUp('the node went away while a session was to begin')
      next.send({ ...first, id: RENEWAL_ID }, { requestSignal, onRequestStreamEnd }).catch(reject)
    })
    await next.send({ jsonrpc: '2.0', method: 'notifications/initialized' }, { requestSignal })
  }

  function toClient(message: JSONRPCMessage): Promise<void> {
    // A client that went hears nothing.
    return client.send(message).catch(() => {})
  }

  function fromNode(transport: StreamableHTTPClientTransport, message: JSONRPCMessage): void {
    const id = 'id' in message && !('method' in message) ? message.id : undefined
    const version = 'result' in message ? message.result['protocolVersion'] : undefined
    if (typeof version === 'string' && (id === RENEWAL_ID || id === handshake?.id)) transport.setProtocolVersion(version)
    if (id === RENEWAL_ID) return onRenewed?.(message)
    if (typeof id === 'string' && id.startsWith(`${RENEWAL_ID}-`)) return
    const asked = id === undefined ? undefined : open.get(id)
    if (id !== undefined) open.delete(id)
    if ('result' in message) asked?.onDone()
    void toClient(message)
  }

  function fail(id: string | number, why: string): void {
    if (open.delete(id)) void toClient({ jsonrpc: '2.0', id, error: { code: INTERNAL_ERROR, message: why } })
  }

  async function deliver(message: JSONRPCRequest, { signal: requestSignal }: AbortController): Promise<void> {
    const options = { requestSignal, onRequestStreamEnd: () => fail(message.id, GONE) }
    await renewing
    const used = node
    try {
      await used.send(message, options)
    } catch (error) {
      // There was no such session, so nothing of it has been done: the one time that it can be sent again.
      if (requestSignal.aborted || !isSessionOver(error) || handshake === undefined) throw error
      await (node === used ? renew() : renewing)
      await node.send(message, options)
    }
  }

  function request(message: JSONRPCRequest): void {
    const { id, method, params } = message
    if (method === 'initialize') {
      handshake = message
      subscribed.clear()
    }
    const abort = new AbortController()
    const sent = deliver(message, abort).then(
      () => void (one.isSent = true),
      (error: unknown) => {
        if (!abort.signal.aborted) fail(id, reasonOf(error))
      }
    )
    const isStateless = typeof params?._meta?.[PROTOCOL_VERSION] === 'string'
    const one: Open = { isStateless, abort, sent, isSent: false, onDone: () => keep(message) }
    open.set(id, one)
  }

  /** What the session of an old client is subscribed to now; the node bounds it. */
  function keep({ method, params }: JSONRPCRequest): void {
    if (method === 'resources/subscribe') subscribed.add(String(params?.['uri']))
    if (method === 'resources/unsubscribe') subscribed.delete(String(params?.['uri']))
  }

  async function notification(message: JSONRPCMessage): Promise<void> {
    const isCancel = 'method' in message && message.method === 'notifications/cancelled'
    const id = isCancel ? (message.params?.['requestId'] as string | number) : ''
    const what = isCancel ? open.get(id) : undefined
    if (what?.isStateless === true) {
      open.delete(id)
      return what.abort.abort()
    }
    await what?.sent
    if (what !== undefined) open.delete(id)
    await node.send(message)
  }

  const over = new Promise<void>((resolve) => {
    client.onclose = resolve
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  client.onmessage = (message: JSONRPCMessage) => {
    if ('method' in message && 'id' in message) request(message)
    // One that cannot be told is lost, as the protocol has it.
    else void notification(message).catch(() => {})
  }
  await client.start()
  await over
  ending.abort()
  await Promise.race([node.terminateSession().catch(() => {}), new Promise((resolve) => setTimeout(resolve, GOODBYE_MS))])
  await node.close()
  await client.close()
}

function isSessionOver(error: unknown): boolean {
  return (error as { status?: unknown } | undefined)?.status === 404
}

/** What the node said, or why it did not. */
function reasonOf(error: unknown): string {
  const { text } = error as { text?: unknown }
  try {
    const { error: told } = JSON.parse(text as string) as { error: { message: string } }
    return told.message
  } catch {
    const { code, message } = toMeshError(error)
    return code === 'internal'
      ? `unavailable: the node does not answer (${String((error as Error).message)})`
      : `${code}: ${message}`
  }
}
