import { INITIAL_WINDOW_BYTES } from '../../protocols/framing/messages.ts'
import { MeshError } from '../errors.ts'

/** The window of one direction of one exchange grows up to this while its reader keeps up, in bytes. */
export const MAX_WINDOW_BYTES = 1024 * 1024

/** One for all: an error per exchange that nobody sees would cost a stack trace per call. */
export const EXCHANGE_OVER = new MeshError('cancelled', 'the exchange is over')

/** Items of one direction of one exchange, received and not yet taken. Bounded by the credit that it grants. One reader. */
export interface ReceiveQueue {
  /** A received item. Throws MeshError `protocol_error` if the sender had no credit for it. */
  push(body: unknown, bytes: number): void
  /** No more items; `body` is the body of the end frame. */
  end(body: unknown): void
  fail(error: MeshError): void
  /** The next item, if one is here. Throws what `fail` was given once all before it are taken. */
  take(): { body: unknown } | undefined
  /** Resolves when `take` or `ended` has something new to say. */
  wait(): Promise<void>
  /** All of it by iteration: yields the bodies of the items, returns the body of the end. */
  read(): AsyncGenerator<unknown, unknown, void>
  /** True once the sender said that no item follows; there may be some to take. */
  readonly ended: boolean
  readonly endBody: unknown
  /** Frees what is kept and what its window has grown by. Idempotent. */
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
export function createReceiveQueue(grant: (bytes: number) => void, budgets: ReceiveBudgets): ReceiveQueue {
  return new Queue(grant, budgets)
}

interface Received {
  body: unknown
  bytes: number
  excess: number
}

/** A class, not closures: every call makes one, and most use little of it. */
class Queue implements ReceiveQueue {
  ended = false
  endBody: unknown = undefined
  #items: Received[] | undefined
  #head = 0
  #error: MeshError | undefined
  #wake: (() => void) | undefined
  #windowBytes = INITIAL_WINDOW_BYTES
  #creditLeft = INITIAL_WINDOW_BYTES
  #consumed = 0
  #excess = 0
  #disposed = false
  readonly #grant: (bytes: number) => void
  readonly #budgets: ReceiveBudgets

  constructor(grant: (bytes: number) => void, budgets: ReceiveBudgets) {
    this.#grant = grant
    this.#budgets = budgets
  }

  push(body: unknown, bytes: number): void {
    if (this.ended || this.#disposed || this.#error !== undefined) return
    // One frame may overshoot: a sender with any credit may send one frame of any size.
    if (this.#creditLeft <= 0) throw new MeshError('protocol_error', 'a peer sent more than it was given credit for')
    this.#creditLeft -= bytes
    const excess = Math.max(0, -this.#creditLeft)
    if (excess > 0 && !this.#budgets.excess.take(excess)) {
      return this.fail(new MeshError('busy', 'too many large items of the peer wait here to be read'))
    }
    this.#excess += excess
    ;(this.#items ??= []).push({ body, bytes, excess })
    this.#wake?.()
  }

  end(body: unknown): void {
    this.ended = true
    this.endBody = body
    this.#wake?.()
  }

  fail(error: MeshError): void {
    this.#error ??= error
    this.#wake?.()
  }

  take(): Received | undefined {
    const items = this.#items
    const item = items?.[this.#head]
    if (items === undefined || item === undefined) {
      if (this.#error !== undefined) throw this.#error
      return undefined
    }
    this.#head++
    const drained = this.#head === items.length
    if (drained || this.#head > 64) {
      this.#items = drained ? undefined : items.slice(this.#head)
      this.#head = 0
    }
    if (item.excess > 0) {
      this.#budgets.excess.give(item.excess)
      this.#excess -= item.excess
    }
    this.#consumed += item.bytes
    if (this.#consumed * 2 >= this.#windowBytes && !this.ended && this.#error === undefined) this.#refill(drained)
    return item
  }

  #refill(drained: boolean): void {
    let credit = this.#consumed
    this.#consumed = 0
    // A reader that keeps up gets a larger window, while the session has memory for it.
    if (drained && this.#windowBytes < MAX_WINDOW_BYTES && this.#budgets.windows.take(this.#windowBytes)) {
      credit += this.#windowBytes
      this.#windowBytes *= 2
    }
    this.#creditLeft += credit
    this.#grant(credit)
  }

  async wait(): Promise<void> {
    await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#wake = undefined
  }

  async *read(): AsyncGenerator<unknown, unknown, void> {
    for (;;) {
      const item = this.take()
      if (item !== undefined) yield item.body
      else if (this.ended) return this.endBody
      else await this.wait()
    }
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#error ??= EXCHANGE_OVER
    this.#items = undefined
    this.#head = 0
    this.#budgets.excess.give(this.#excess)
    this.#budgets.windows.give(this.#windowBytes - INITIAL_WINDOW_BYTES)
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
