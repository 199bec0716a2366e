import { MAX_EXCHANGES, encodeFrame, errorFrame, type Frame } from '../../protocols/framing/messages.ts'
import { Cancellation } from '../core/cancellation.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { Channel } from './channel.ts'
import { IdTable } from '../core/id-table.ts'
import {
  EXCHANGE_OVER,
  createReceiveQueue,
  createSendCredit,
  type ReceiveBudgets,
  type ReceiveQueue,
  type SendCredit
} from './receive-queue.ts'

/** Bodies of open frames of running exchanges that one peer may make this node keep, in bytes; past it: `busy`. */
export const MAX_OPEN_BYTES = 16 * 1024 * 1024

/** An exchange that the other side opened. */
export interface IncomingExchange {
  body: unknown
  /** Bodies that the other side streams after its open frame, if it said so. */
  input: AsyncIterable<unknown> | undefined
  /** Aborted when the other side cancels or is gone. */
  cancellation: Cancellation
  /** The same as a signal. */
  readonly signal: AbortSignal
}

/** Answers an exchange: yields bodies of items, returns the body of the end. Its `finally` runs when the other side cancels. */
export type ExchangeHandler = (exchange: IncomingExchange) => AsyncGenerator<unknown, unknown, void>

/** The exchanges of one session that the other side opened. */
export interface InboundExchanges {
  open(frame: Frame & { type: 'open' }, bytes: number): void
  cancel(id: number, reason: string): void
  /** A frame of an exchange of either side that is not among the session's own running ones. */
  onFrame(frame: Frame & { id: number }, bytes: number): void
  abortAll(error: MeshError): void
  /** Resolves when none is running. */
  idle(): Promise<void>
  readonly size: number
}

interface Running {
  queue: ReceiveQueue | undefined
  /** From the first item on. */
  credit: SendCredit | undefined
  cancellation: Cancellation
  output: AsyncGenerator<unknown, unknown, void>
  openBytes: number
  timer: ReturnType<typeof setTimeout> | undefined
}

/** What the exchanges need of their session. */
export interface InboundInit {
  channel: Channel
  send: (frame: Frame) => void
  handler: ExchangeHandler
  budgets: ReceiveBudgets
  /** `id % 2` of the ids that the other side uses. */
  remoteParity: 0 | 1
  /** An exchange that takes longer is ended with `deadline_exceeded`. Default: no limit. */
  timeoutMs?: number | undefined
}

/** A class: a getter in an object literal is a hidden class of its own for each object, kept to the next major collection. */
class Incoming implements IncomingExchange {
  readonly body: unknown
  readonly input: AsyncIterable<unknown> | undefined
  readonly cancellation: Cancellation

  constructor(body: unknown, input: AsyncIterable<unknown> | undefined, cancellation: Cancellation) {
    this.body = body
    this.input = input
    this.cancellation = cancellation
  }

  get signal(): AbortSignal {
    return this.cancellation.signal
  }
}

/** See {@link InboundExchanges}. */
export function createInboundExchanges({
  channel,
  send,
  handler,
  budgets,
  remoteParity,
  timeoutMs
}: InboundInit): InboundExchanges {
  const running = new IdTable<Running>()
  let lastId = 0
  let openBytes = 0
  /** Running ones, and those that are over but whose source, or whose last item, has not come to its end: each holds memory. */
  let unfinished = 0
  const idleWaiters: (() => void)[] = []

  function open(frame: Frame & { type: 'open' }, bytes: number): void {
    const { id } = frame
    if (id % 2 !== remoteParity || id <= lastId)
      throw new MeshError('protocol_error', `exchange id ${id} is not a new one of the peer`)
    lastId = id
    if (running.size >= MAX_EXCHANGES || unfinished >= 2 * MAX_EXCHANGES || openBytes + bytes > MAX_OPEN_BYTES) {
      return send(
        errorFrame(id, 'busy', 'too many calls of this peer are running here', { running: running.size, notStarted: true })
      )
    }
    const cancellation = new Cancellation()
    const queue = frame.more ? createReceiveQueue((credit) => send({ type: 'credit', id, bytes: credit }), budgets) : undefined
    const output = handler(new Incoming(frame.body, queue?.read(), cancellation))
    openBytes += bytes
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => expire(id), timeoutMs)
    const exchange: Running = { queue, credit: undefined, cancellation, output, openBytes: bytes, timer }
    running.add(id, exchange)
    // Whoever runs the call may end it, by its deadline: the other side is told even if it takes nothing at the moment.
    cancellation.onAbort((reason) => {
      if (!running.has(id)) return
      send(errorFrame(id, reason.code, reason.message, reason.details))
      drop(id, reason)
    })
    void serve(id, exchange)
  }

  async function serve(id: number, exchange: Running): Promise<void> {
    unfinished++
    try {
      for (;;) {
        const step = await exchange.output.next()
        if (!running.has(id)) return
        if (step.done === true) {
          send({ type: 'end', id, body: step.value })
          return
        }
        const frame = encodeFrame({ type: 'item', id, body: step.value })
        const credit = (exchange.credit ??= createSendCredit())
        if (!credit.open) await credit.wait()
        // Asked again after each wait: all who wait are woken at once, and the first ones fill the channel.
        while (!channel.writable) await channel.ready()
        if (!running.has(id)) return
        credit.spend(frame.length)
        channel.send(frame)
      }
    } catch (error) {
      if (!running.has(id)) return
      const mesh = toMeshError(error)
      send(errorFrame(id, mesh.code, mesh.forOthers, mesh.details))
    } finally {
      unfinished--
      drop(id)
    }
  }

  /** Neither a peer that never sends the rest nor one that never reads holds an exchange for ever. */
  function expire(id: number): void {
    const error = new MeshError('deadline_exceeded', `the exchange took longer than ${timeoutMs} ms`)
    send(errorFrame(id, error.code, error.message, {}))
    drop(id, error)
  }

  /** Forgets an exchange and stops its source. Called again for the same id it does nothing. */
  function drop(id: number, reason?: MeshError): void {
    const exchange = running.get(id)
    if (exchange === undefined) return
    running.delete(id)
    openBytes -= exchange.openBytes
    clearTimeout(exchange.timer)
    const error = reason ?? EXCHANGE_OVER
    if (reason !== undefined) exchange.cancellation.abort(reason)
    exchange.queue?.fail(error)
    exchange.queue?.dispose()
    exchange.credit?.fail(error)
    // Trap 4: the source generator is told even if it is in the middle of something. Not awaited: it may take its time.
    exchange.output.return(undefined).then(undefined, () => undefined)
    if (running.size === 0) for (const wake of idleWaiters.splice(0)) wake()
  }

  function onFrame(frame: Frame & { id: number }, bytes: number): void {
    const exchange = running.get(frame.id)
    // A frame of an exchange that is over crosses with our last one on the way: normal, dropped.
    if (exchange === undefined) return
    switch (frame.type) {
      case 'item':
        if (exchange.queue === undefined || exchange.queue.ended)
          throw new MeshError('protocol_error', 'an item for an exchange without input')
        return exchange.queue.push(frame.body, bytes)
      case 'end':
        // The end of an input says only that: a body would be memory without credit.
        return exchange.queue?.end(null)
      case 'credit':
        return (exchange.credit ??= createSendCredit()).add(frame.bytes)
      default:
        throw new MeshError('protocol_error', `a ${frame.type} frame from the side that opened the exchange`)
    }
  }

  return {
    open,
    onFrame,
    cancel: (id, reason) => drop(id, new MeshError('cancelled', `the caller cancelled (${reason})`)),
    abortAll(error) {
      for (const id of running.ids()) drop(id, error)
    },
    async idle() {
      if (running.size > 0) await new Promise<void>((resolve) => idleWaiters.push(resolve))
    },
    get size() {
      return running.size
    }
  }
}
