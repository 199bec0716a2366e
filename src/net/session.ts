import { isErrorCode } from '../../protocols/errors.ts'
import {
  FRAMING_VERSION,
  INITIAL_WINDOW_BYTES,
  MAX_EXCHANGES,
  MAX_FRAME_BYTES,
  decodeFrame,
  encodeFrame,
  errorFrame,
  type Frame,
  type Hello
} from '../../protocols/framing/messages.ts'
import { Cancellation } from '../core/cancellation.ts'
import { MeshError, abortError, isMeshError, toMeshError } from '../errors.ts'
import type { Channel } from './channel.ts'
import { createInboundExchanges, type ExchangeHandler } from './inbound-exchanges.ts'
import {
  EXCHANGE_OVER,
  createReceiveQueue,
  createSendCredit,
  createWindowBudget,
  type ReceiveQueue,
  type SendCredit
} from './receive-queue.ts'

/** A stream that does not say hello or accept within this time is reset, in ms. */
export const HANDSHAKE_TIMEOUT_MS = 5_000
/** Memory that all receive windows of one stream may grow to together, in bytes. */
export const SESSION_WINDOW_BUDGET_BYTES = 32 * 1024 * 1024
/** Memory that items larger than the credit left may take in all receive queues of one stream, in bytes; past it: `busy`. */
export const SESSION_EXCESS_BYTES = 32 * 1024 * 1024
/** Calls that may wait here for a free exchange at the peer; past it a call fails with `busy`. */
export const MAX_WAITING_REQUESTS = 4_096
/** How long `close` lets running exchanges finish, in ms. */
export const DRAIN_TIMEOUT_MS = 5_000

const HELLO: Hello = {
  version: FRAMING_VERSION,
  maxFrameBytes: MAX_FRAME_BYTES,
  windowBytes: INITIAL_WINDOW_BYTES,
  maxExchanges: MAX_EXCHANGES
}

/** What goes with a request. */
export interface RequestOptions {
  /** Default: never aborted. */
  signal?: AbortSignal
  /** Instead of the signal, for calls that have one. */
  cancellation?: Cancellation
  /** Bodies streamed to the other side after the open frame. */
  input?: AsyncIterable<unknown> | undefined
}

const NEVER = new AbortController().signal

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

interface Outbound {
  queue: ReceiveQueue
  /** Only where something is streamed in. */
  credit: SendCredit | undefined
}

/**
 * Does the hello and accept, then runs the session.
 * @throws MeshError `unavailable` (no answer), `unsupported` (version), `protocol_error`.
 */
export async function openSession({ channel, initiator, handler, now, timeoutMs }: SessionInit): Promise<Session> {
  const outbound = new Map<number, Outbound>()
  const pings = new Map<number, { sentAt: number; resolve: (ms: number) => void; reject: (error: MeshError) => void }>()
  const slots: { resolve: () => void; reject: (error: MeshError) => void }[] = []
  let nextId = initiator ? 1 : 2
  let nonce = 0
  let lastHeardAt = now()
  let draining = false
  let ended: MeshError | undefined
  let remote: Hello = HELLO

  const send = (frame: Frame): void => channel.send(encodeFrame(frame))
  const budgets = { windows: createWindowBudget(SESSION_WINDOW_BUDGET_BYTES), excess: createWindowBudget(SESSION_EXCESS_BYTES) }
  const inbound = createInboundExchanges({ channel, send, handler, budgets, remoteParity: initiator ? 0 : 1, timeoutMs })

  // ---- frames in -----------------------------------------------------------------------------
  function onFrame(frame: Frame, bytes: number): void {
    lastHeardAt = now()
    switch (frame.type) {
      case 'open':
        return draining ? send(errorFrame(frame.id, 'unavailable', 'this node is stopping', {})) : inbound.open(frame, bytes)
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
        draining = true
        return
      case 'hello':
      case 'accept':
        throw new MeshError('protocol_error', `a ${frame.type} frame in the middle of a session`)
    }
    const exchange = outbound.get(frame.id)
    if (exchange === undefined) return inbound.onFrame(frame, bytes)
    if (frame.type === 'item') exchange.queue.push(frame.body, bytes)
    else if (frame.type === 'end') exchange.queue.end(frame.body)
    else if (frame.type === 'credit') exchange.credit?.add(frame.bytes)
    else exchange.queue.fail(fromWire(frame.code, frame.message, frame.details))
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
    ended =
      error.code === 'unavailable'
        ? error
        : new MeshError('unavailable', `the session with the peer ended: ${error.message}`, {}, { cause: error })
    for (const exchange of outbound.values()) {
      exchange.queue.fail(ended)
      exchange.credit?.fail(ended)
    }
    for (const ping of pings.values()) ping.reject(ended)
    for (const slot of slots.splice(0)) slot.reject(ended)
    pings.clear()
    inbound.abortAll(ended)
  }

  // ---- requests out --------------------------------------------------------------------------
  async function slot(signal: AbortSignal): Promise<void> {
    if (slots.length >= MAX_WAITING_REQUESTS) throw new MeshError('busy', 'too many calls to this peer are waiting; slow down')
    let mine: (typeof slots)[number] | undefined
    try {
      await unlessAborted(signal, new Promise<void>((resolve, reject) => slots.push((mine = { resolve, reject }))))
    } finally {
      const at = slots.indexOf(mine!)
      if (at >= 0) slots.splice(at, 1)
    }
  }

  /** Waits for a free exchange and a channel that takes more. Whoever gives up lets the next one try. */
  async function turn(signal: AbortSignal): Promise<void> {
    try {
      while (ended === undefined && !draining) {
        if (outbound.size >= remote.maxExchanges) await slot(signal)
        else if (!channel.writable) await unlessAborted(signal, channel.ready())
        else return
      }
      throw ended ?? new MeshError('unavailable', 'the peer is stopping')
    } catch (error) {
      slots.shift()?.resolve()
      throw error
    }
  }

  async function* request(body: unknown, options: RequestOptions): AsyncGenerator<unknown, unknown, void> {
    const { input } = options
    const cancellation = options.cancellation ?? Cancellation.of({ signal: options.signal ?? NEVER })
    if (cancellation.reason !== undefined) throw cancellation.reason
    while (ended !== undefined || draining || outbound.size >= remote.maxExchanges || !channel.writable)
      await turn(cancellation.signal)
    // From here to the sending nothing waits: ids must reach the peer in order.
    const id = nextId
    const frame = encodeFrame({ type: 'open', id, body, more: input !== undefined })
    nextId += 2
    const credit = input === undefined ? undefined : createSendCredit()
    const queue = createReceiveQueue((bytes) => send({ type: 'credit', id, bytes }), budgets)
    const onAbort = (reason: MeshError): void => queue.fail(reason)
    outbound.set(id, { queue, credit })
    cancellation.onAbort(onAbort)
    let remoteDone = false
    let stopInput: (() => void) | undefined
    try {
      channel.send(frame)
      if (input !== undefined) stopInput = pump(id, input, credit!, queue)
      for (;;) {
        if (cancellation.reason !== undefined) throw cancellation.reason
        const item = queue.take()
        if (item !== undefined) yield item.body
        else if (queue.ended) {
          remoteDone = true
          return queue.endBody
        } else await queue.wait()
      }
    } catch (error) {
      // An error that the other side sent has ended the exchange there; anything else has not.
      remoteDone = isMeshError(error) && fromPeer.has(error)
      throw error
    } finally {
      cancellation.offAbort(onAbort)
      if (options.cancellation === undefined) cancellation.release()
      outbound.delete(id)
      credit?.fail(EXCHANGE_OVER)
      queue.dispose()
      stopInput?.()
      slots.shift()?.resolve()
      if (!remoteDone && ended === undefined) send({ type: 'cancel', id, reason: cancelReason(cancellation) })
    }
  }

  /** Streams the input of a request; the returned function stops it and its source. */
  function pump(id: number, input: AsyncIterable<unknown>, credit: SendCredit, queue: ReceiveQueue): () => void {
    const source = input[Symbol.asyncIterator]()
    let stopped = false
    const stop = (): void => {
      stopped = true
      source.return?.().then(undefined, () => undefined)
    }
    const feed = async (): Promise<void> => {
      for (let step = await source.next(); !stopped; step = await source.next()) {
        if (step.done === true) return send({ type: 'end', id, body: null })
        const frame = encodeFrame({ type: 'item', id, body: step.value })
        if (!credit.open) await credit.wait()
        while (!channel.writable) await channel.ready()
        if (stopped) return
        credit.spend(frame.length)
        channel.send(frame)
      }
    }
    feed().catch((error: unknown) => {
      if (!stopped) queue.fail(toMeshError(error))
    })
    return stop
  }

  async function close(): Promise<void> {
    if (ended === undefined && !draining) send({ type: 'goaway', reason: 'stopping' })
    draining = true
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

  // ---- hello ---------------------------------------------------------------------------------
  const frames = channel.batches()
  // Trap 5: nothing is sent before the other side has shown that it reads.
  if (initiator) send({ type: 'hello', hello: HELLO })
  const first = await firstFrame(frames, channel)
  if (first.frame.type !== (initiator ? 'accept' : 'hello')) {
    const error = new MeshError('protocol_error', `a session must begin with hello, not ${first.frame.type}`)
    channel.abort(error)
    throw error
  }
  remote = first.frame.hello
  if (remote.version < FRAMING_VERSION) {
    const error = new MeshError(
      'unsupported',
      `the peer speaks framing version ${remote.version}, this node needs ${FRAMING_VERSION}`
    )
    channel.abort(error)
    throw error
  }
  if (!initiator) send({ type: 'accept', hello: HELLO })
  try {
    for (const bytes of first.rest) onFrame(decodeFrame(bytes), bytes.length)
  } catch (error) {
    channel.abort(toMeshError(error))
    throw error
  }
  void run(frames)

  return {
    request,
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

/** What `wait` resolves with, unless the signal aborts first. @throws MeshError that the signal stands for. */
export async function unlessAborted<T>(signal: AbortSignal, wait: Promise<T>): Promise<T> {
  let onAbort!: () => void
  const aborted = new Promise<never>((_, reject) => (onAbort = () => reject(abortError(signal))))
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([wait, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Apart, so that an abort in the meantime is seen. */
function cancelReason({ reason }: Cancellation): string {
  return reason?.code ?? 'cancelled'
}

/** Errors that came over the wire: their exchange has already ended at the other side. */
const fromPeer = new WeakSet<MeshError>()

function fromWire(code: string, message: string, details: Record<string, unknown>): MeshError {
  const error = new MeshError(isErrorCode(code) ? code : 'internal', message, isErrorCode(code) ? details : { ...details, code })
  fromPeer.add(error)
  return error
}

async function firstFrame(
  frames: AsyncIterator<Uint8Array[]>,
  channel: Channel
): Promise<{ frame: Frame & { type: 'hello' | 'accept' | 'open' }; rest: Uint8Array[] }> {
  const timer = setTimeout(
    () => channel.abort(new MeshError('unavailable', 'the peer did not answer hello in time')),
    HANDSHAKE_TIMEOUT_MS
  )
  try {
    const batch = await frames.next()
    if (batch.done === true) throw new MeshError('unavailable', 'the peer closed the stream before hello')
    const frame = decodeFrame(batch.value[0]!) as Frame & { type: 'hello' | 'accept' | 'open' }
    return { frame, rest: batch.value.slice(1) }
  } catch (error) {
    const mesh = toMeshError(error)
    channel.abort(mesh)
    throw mesh
  } finally {
    clearTimeout(timer)
  }
}
