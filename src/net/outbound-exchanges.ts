import { isErrorCode } from '../../protocols/errors.ts'
import { encodeFrame, type Frame } from '../../protocols/framing/messages.ts'
import { Cancellation } from '../core/cancellation.ts'
import { MeshError, isMeshError, toMeshError } from '../errors.ts'
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
import { createWaitingLine } from './waiting-line.ts'

/** Calls that may wait here for a free exchange at the peer; past it a call fails with `busy`. */
export const MAX_WAITING_REQUESTS = 4_096

/** What goes with a request. */
export interface RequestOptions {
  /** Default: never aborted. */
  signal?: AbortSignal
  /** Instead of the signal, for calls that have one. */
  cancellation?: Cancellation
  /** Bodies streamed to the other side after the open frame. */
  input?: AsyncIterable<unknown> | undefined
}

/** The exchanges of one session that this side opened. */
export interface OutboundExchanges {
  /** See Session.request. */
  request(body: unknown, options: RequestOptions): AsyncGenerator<unknown, unknown, void>
  /** A frame of an exchange; false if it is none of the running ones. */
  onFrame(frame: Frame & { id: number }, bytes: number): boolean
  /** Ends those that wait for a place: none will come. */
  failWaiting(error: MeshError): void
  /** Ends all with an error, those that wait included. */
  failAll(error: MeshError): void
  readonly size: number
}

/** What the exchanges need of their session. */
export interface OutboundInit {
  channel: Channel
  send: (frame: Frame) => void
  budgets: ReceiveBudgets
  /** Odd on the side that opened the stream, else even. */
  firstId: 1 | 2
  /** Exchanges that the other side allows. */
  maxExchanges: () => number
  /** Why no exchange can be opened, if so. */
  closedBecause: () => MeshError | undefined
  /** False once the session has ended. */
  alive: () => boolean
}

interface Outbound {
  queue: ReceiveQueue
  /** Only where something is streamed in. */
  credit: SendCredit | undefined
}

interface Started extends Outbound {
  id: number
}

/** See {@link OutboundExchanges}. */
export function createOutboundExchanges({
  channel,
  send,
  budgets,
  firstId,
  maxExchanges,
  closedBecause,
  alive
}: OutboundInit): OutboundExchanges {
  const running = new IdTable<Outbound>()
  const line = createWaitingLine(MAX_WAITING_REQUESTS, hasPlace)
  let nextId: number = firstId
  let watchesRoom = false

  /** True for a closed session too: there the start of an exchange throws why. */
  function hasPlace(): boolean {
    if (closedBecause() !== undefined) return true
    if (running.size >= maxExchanges()) return false
    if (!channel.hasRoom && !watchesRoom) void watchRoom()
    return channel.hasRoom
  }

  /** The end of an exchange is told by `request`, room in the channel only to who asks for it. */
  async function watchRoom(): Promise<void> {
    watchesRoom = true
    await channel.room().catch(() => undefined)
    watchesRoom = false
    line.next()
  }

  /** Sends the open frame. Nothing in here waits: ids must reach the peer in order. */
  function start(body: unknown, more: boolean, cancellation: Cancellation): Started {
    cancellation.throwIfAborted()
    const reason = closedBecause()
    if (reason !== undefined) throw reason
    const id = nextId
    const frame = encodeFrame({ type: 'open', id, body, more })
    nextId += 2
    const credit = more ? createSendCredit() : undefined
    const queue = createReceiveQueue((bytes) => send({ type: 'credit', id, bytes }), budgets)
    running.add(id, { queue, credit })
    channel.send(frame)
    return { id, queue, credit }
  }

  /** Apart from `request`: a closure there would cost every call, waiting or not. */
  function startLater(body: unknown, more: boolean, cancellation: Cancellation): Promise<Started> {
    return line.enter(cancellation.signal, () => start(body, more, cancellation))
  }

  async function* request(body: unknown, options: RequestOptions): AsyncGenerator<unknown, unknown, void> {
    const { input } = options
    const cancellation =
      options.cancellation ?? (options.signal === undefined ? new Cancellation() : Cancellation.of({ signal: options.signal }))
    const ours = options.cancellation === undefined
    let started: Started
    try {
      started = line.isFree
        ? start(body, input !== undefined, cancellation)
        : await startLater(body, input !== undefined, cancellation)
    } catch (error) {
      if (ours) cancellation.release()
      throw error
    }
    const { id, queue, credit } = started
    const onAbort = (reason: MeshError): void => queue.fail(reason)
    cancellation.onAbort(onAbort)
    let remoteDone = false
    let stopInput: (() => void) | undefined
    try {
      if (input !== undefined) stopInput = pump(id, input, credit!, queue)
      for (;;) {
        cancellation.throwIfAborted()
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
      if (ours) cancellation.release()
      running.delete(id)
      credit?.fail(EXCHANGE_OVER)
      queue.dispose()
      stopInput?.()
      if (!remoteDone && alive()) send({ type: 'cancel', id, reason: cancelReason(cancellation) })
      // After the cancel: at the other side the place is not free before it.
      line.next()
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

  return {
    request,
    onFrame(frame, bytes) {
      const exchange = running.get(frame.id)
      if (exchange === undefined) return false
      if (frame.type === 'item') exchange.queue.push(frame.body, bytes)
      else if (frame.type === 'end') exchange.queue.end(frame.body)
      else if (frame.type === 'credit') exchange.credit?.add(frame.bytes)
      else if (frame.type === 'error') exchange.queue.fail(fromWire(frame.code, frame.message, frame.details))
      return true
    },
    failWaiting: (error) => line.failAll(error),
    failAll(error) {
      for (const id of running.ids()) {
        running.get(id)?.queue.fail(error)
        running.get(id)?.credit?.fail(error)
      }
      line.failAll(error)
    },
    get size() {
      return running.size
    }
  }
}

/** Apart, so that an abort in the meantime is seen. */
function cancelReason({ reason }: Cancellation): string {
  return reason?.code ?? 'cancelled'
}

/** Errors that came over the wire: their exchange has already ended at the other side. */
const fromPeer = new WeakSet<MeshError>()

/** Whether a way is lost, this node sees by itself: what a peer says of it, says nothing. */
function fromWire(code: string, message: string, { lost: _claimed, ...details }: Record<string, unknown>): MeshError {
  const error = new MeshError(isErrorCode(code) ? code : 'internal', message, isErrorCode(code) ? details : { ...details, code })
  fromPeer.add(error)
  return error
}
