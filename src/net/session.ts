import { decodeFrame, encodeFrame, errorFrame, type Frame } from '../../protocols/framing/messages.ts'
import { MeshError, PEER_STOPPED, toMeshError } from '../errors.ts'
import type { Channel } from './channel.ts'
import { createInboundExchanges, type ExchangeHandler } from './inbound-exchanges.ts'
import { createOutboundExchanges, type RequestOptions } from './outbound-exchanges.ts'
import { createWindowBudget } from './receive-queue.ts'
import { exchangeHello } from './session-hello.ts'

/** Memory that all receive windows of one stream may grow to together, in bytes. */
export const SESSION_WINDOW_BUDGET_BYTES = 32 * 1024 * 1024
/** Memory that items larger than the credit left may take in all receive queues of one stream, in bytes; past it: `busy`. */
export const SESSION_EXCESS_BYTES = 32 * 1024 * 1024
/** How long `close` lets running exchanges finish, in ms. */
export const DRAIN_TIMEOUT_MS = 5_000

/** Many exchanges over one channel, opened by either side: see protocols/framing/README.md. */
export interface Session {
  /**
   * Opens an exchange: yields the bodies of the items, returns the body of the end.
   * Leaving early, or the signal, cancels it at the other side. Throws MeshError.
   */
  request(body: unknown, options: RequestOptions): AsyncGenerator<unknown, unknown, void>
  /** Sends a ping; resolves with the round trip in ms. Rejects with `unavailable` when the session ends. */
  ping(): Promise<number>
  /** Monotonic ms when a frame last came in. */
  readonly lastHeardAt: number
  /** True if new exchanges are accepted. */
  readonly open: boolean
  /** Exchanges running, both directions. */
  readonly active: number
  /** Lets running exchanges finish for DRAIN_TIMEOUT_MS, then closes. */
  close(): Promise<void>
  abort(error: MeshError): void
  readonly closed: Promise<MeshError | undefined>
}

/** What a session needs from outside. */
export interface SessionInit {
  channel: Channel
  /** True on the side that opened the stream. */
  initiator: boolean
  /** Answers exchanges that the other side opens. */
  handler: ExchangeHandler
  /** Monotonic clock in ms. */
  now: () => number
  /** Longest time that an exchange of the other side may take, in ms. Default: no limit. */
  timeoutMs?: number | undefined
}

/**
 * Does the hello and accept, then runs the session.
 * @throws MeshError `unavailable` (no answer), `unsupported` (version), `protocol_error`.
 */
export async function openSession({ channel, initiator, handler, now, timeoutMs }: SessionInit): Promise<Session> {
  const pings = new Map<number, { sentAt: number; resolve: (ms: number) => void; reject: (error: MeshError) => void }>()
  let nonce = 0
  let lastHeardAt = now()
  let draining = false
  let isPeerStopping = false
  let ended: MeshError | undefined
  let allowed = 0

  const send = (frame: Frame): void => channel.send(encodeFrame(frame))
  const budgets = { windows: createWindowBudget(SESSION_WINDOW_BUDGET_BYTES), excess: createWindowBudget(SESSION_EXCESS_BYTES) }
  const inbound = createInboundExchanges({ channel, send, handler, budgets, remoteParity: initiator ? 0 : 1, timeoutMs })

  const outbound = createOutboundExchanges({
    channel,
    send,
    budgets,
    firstId: initiator ? 1 : 2,
    maxExchanges: () => allowed,
    closedBecause: () => (ended === undefined && !draining ? undefined : closed(ended?.message ?? 'the peer is stopping')),
    alive: () => ended === undefined
  })

  /** What runs may end, nothing begins: also not what waits. */
  function drain(why: string): void {
    draining = true
    outbound.failWaiting(closed(why))
  }

  function refuse(id: number): void {
    send(errorFrame(id, 'unavailable', 'this node is stopping', { notStarted: true }))
  }

  // ---- frames in -----------------------------------------------------------------------------
  function onFrame(frame: Frame, bytes: number): void {
    lastHeardAt = now()
    switch (frame.type) {
      case 'open':
        return draining ? refuse(frame.id) : inbound.open(frame, bytes)
      case 'cancel':
        return inbound.cancel(frame.id, frame.reason)
      case 'ping':
        return send({ type: 'pong', nonce: frame.nonce })
      case 'pong': {
        const ping = pings.get(frame.nonce)
        pings.delete(frame.nonce)
        return ping?.resolve(now() - ping.sentAt)
      }
      case 'goaway':
        isPeerStopping = true
        return drain('the peer is stopping')
      case 'hello':
      case 'accept':
        throw new MeshError('protocol_error', `a ${frame.type} frame in the middle of a session`)
      case 'item':
      case 'end':
      case 'error':
      case 'credit':
        if (!outbound.onFrame(frame, bytes)) inbound.onFrame(frame, bytes)
    }
  }

  async function run(frames: AsyncIterator<Uint8Array[]>): Promise<void> {
    try {
      for (let batch = await frames.next(); batch.done !== true; batch = await frames.next()) {
        for (const bytes of batch.value) onFrame(decodeFrame(bytes), bytes.length)
      }
      finish(new MeshError('unavailable', 'the peer closed the session'))
      await channel.close()
    } catch (error) {
      const mesh = toMeshError(error)
      finish(mesh)
      channel.abort(mesh)
    }
  }

  function finish(error: MeshError): void {
    if (ended !== undefined) return
    const message = error.code === 'unavailable' ? error.message : `the session with the peer ended: ${error.message}`
    const details = { lost: true, ...(isPeerStopping && { reason: PEER_STOPPED }) }
    ended = new MeshError('unavailable', message, details, { cause: error })
    outbound.failAll(ended)
    for (const ping of pings.values()) ping.reject(ended)
    pings.clear()
    inbound.abortAll(ended)
  }

  async function close(): Promise<void> {
    if (ended === undefined && !draining) send({ type: 'goaway', reason: 'stopping' })
    drain('this node is stopping')
    let timer: ReturnType<typeof setTimeout> | undefined
    await Promise.race([
      inbound.idle(),
      channel.closed,
      new Promise((resolve) => (timer = setTimeout(resolve, DRAIN_TIMEOUT_MS)))
    ])
    clearTimeout(timer)
    finish(new MeshError('unavailable', 'the session was closed'))
    await channel.close()
  }

  const frames = channel.batches()
  const first = await exchangeHello(channel, frames, initiator)
  allowed = first.hello.maxExchanges
  try {
    for (const bytes of first.rest) onFrame(decodeFrame(bytes), bytes.length)
  } catch (error) {
    channel.abort(toMeshError(error))
    throw error
  }
  void run(frames)

  return {
    request: outbound.request,
    close,
    abort(error) {
      finish(error)
      channel.abort(error)
    },
    ping() {
      if (ended !== undefined) return Promise.reject(ended)
      const id = (nonce = (nonce + 1) >>> 0)
      return new Promise<number>((resolve, reject) => {
        pings.set(id, { sentAt: now(), resolve, reject })
        send({ type: 'ping', nonce: id })
      })
    },
    closed: channel.closed,
    get lastHeardAt() {
      return lastHeardAt
    },
    get open() {
      return ended === undefined && !draining
    },
    get active() {
      return outbound.size + inbound.size
    }
  }
}

/** Of an exchange that was never opened. */
function closed(why: string): MeshError {
  return new MeshError('unavailable', why, { notStarted: true, lost: true })
}
