import { INITIAL_WINDOW_BYTES } from '../../protocols/framing/messages.ts'
import { MeshError } from '../errors.ts'

/** The window of one direction of one exchange grows up to this while its reader keeps up, in bytes. */
export const MAX_WINDOW_BYTES = 1024 * 1024

/** One for all: an error per exchange that nobody sees would cost a stack trace per call. */
export const EXCHANGE_OVER = new MeshError('cancelled', 'the exchange is over')

/** Items of one direction of one exchange, received and not yet taken. Bounded by the credit that it grants. */
export interface ReceiveQueue {
  /** A received item. Throws MeshError `protocol_error` if the sender had no credit for it. */
  push(body: unknown, bytes: number): void
  /** No more items; `body` is the body of the end frame. */
  end(body: unknown): void
  fail(error: MeshError): void
  /** Yields the items and returns the end body; throws what `fail` was given. One reader. */
  read(): AsyncGenerator<unknown, unknown, void>
  /** True once the other side said that there is no more. */
  readonly ended: boolean
  /** Drops what is left and gives all that it took back to the budgets. */
  dispose(): void
}

/** Memory that the windows of one session share. */
export interface WindowBudget {
  take(bytes: number): boolean
  give(bytes: number): void
}

/** A budget of `limit` bytes. */
export function createWindowBudget(limit: number): WindowBudget {
  let taken = 0
  return {
    take(bytes) {
      if (taken + bytes > limit) return false
      taken += bytes
      return true
    },
    give(bytes) {
      taken -= bytes
    }
  }
}

/** What the receive queues of one session share: growth of their windows, and frames that are larger than the credit left. */
export interface ReceiveBudgets {
  windows: WindowBudget
  excess: WindowBudget
}

/** @param grant called with bytes that the sender may send on top; sends a credit frame. */
export function createReceiveQueue(grant: (bytes: number) => void, { windows, excess }: ReceiveBudgets): ReceiveQueue {
  let items: { body: unknown; bytes: number; excess: number }[] = []
  let head = 0
  let endBody: unknown
  let ended = false
  let error: MeshError | undefined
  let wake: (() => void) | undefined
  let windowBytes = INITIAL_WINDOW_BYTES
  let creditLeft = INITIAL_WINDOW_BYTES
  let consumed = 0
  let excessTaken = 0
  let disposed = false

  function push(body: unknown, bytes: number): void {
    if (ended || disposed || error !== undefined) return
    // One frame may overshoot: a sender with any credit may send one frame of any size.
    if (creditLeft <= 0) throw new MeshError('protocol_error', 'a peer sent more than it was given credit for')
    creditLeft -= bytes
    const over = Math.max(0, -creditLeft)
    if (over > 0 && !excess.take(over))
      return fail(new MeshError('busy', 'too many large items of the peer wait here to be read'))
    excessTaken += over
    items.push({ body, bytes, excess: over })
    wake?.()
  }

  function fail(reason: MeshError): void {
    error ??= reason
    wake?.()
  }

  function take(): unknown {
    const item = items[head++]!
    excess.give(item.excess)
    excessTaken -= item.excess
    const drained = head === items.length
    if (drained || head > 64) {
      items = drained ? [] : items.slice(head)
      head = 0
    }
    consumed += item.bytes
    if (consumed * 2 >= windowBytes && !ended && error === undefined) {
      let credit = consumed
      consumed = 0
      if (drained && windowBytes < MAX_WINDOW_BYTES && windows.take(windowBytes)) {
        credit += windowBytes
        windowBytes *= 2
      }
      creditLeft += credit
      grant(credit)
    }
    return item.body
  }

  async function* read(): AsyncGenerator<unknown, unknown, void> {
    for (;;) {
      if (head < items.length) yield take()
      else if (error !== undefined) throw error
      else if (ended) return endBody
      else {
        await new Promise<void>((resolve) => (wake = resolve))
        wake = undefined
      }
    }
  }

  return {
    push,
    read,
    end(body) {
      ended = true
      endBody = body
      wake?.()
    },
    fail,
    get ended() {
      return ended
    },
    dispose() {
      if (disposed) return
      disposed = true
      error ??= EXCHANGE_OVER
      items = []
      head = 0
      excess.give(excessTaken)
      windows.give(windowBytes - INITIAL_WINDOW_BYTES)
    }
  }
}

/** Credit that the other side has granted for one direction of one exchange. */
export interface SendCredit {
  /** True while a frame may be sent. */
  readonly open: boolean
  spend(bytes: number): void
  add(bytes: number): void
  /** Resolves when `open`; rejects after `fail`. One waiter. */
  wait(): Promise<void>
  fail(error: MeshError): void
}

/** Starts with the window of the framing specification. */
export function createSendCredit(): SendCredit {
  let left = INITIAL_WINDOW_BYTES
  let error: MeshError | undefined
  let waiter: { resolve: () => void; reject: (error: MeshError) => void } | undefined
  return {
    get open() {
      return left > 0
    },
    spend(bytes) {
      left -= bytes
    },
    add(bytes) {
      left = Math.min(left + bytes, Number.MAX_SAFE_INTEGER)
      if (left > 0) waiter?.resolve()
    },
    async wait() {
      while (left <= 0) {
        if (error !== undefined) throw error
        await new Promise<void>((resolve, reject) => (waiter = { resolve, reject }))
        waiter = undefined
      }
    },
    fail(reason) {
      error = reason
      waiter?.reject(reason)
    }
  }
}
