import { decodeForwardBytes } from '../../protocols/forward/messages.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { IncomingExchange } from './inbound-exchanges.ts'

/** Bytes that a neighbour may have passed on in a time, both ways counted; past it they wait. */
export const FORWARD_RATE = { perSecond: 64 * 1024 * 1024, burst: 16 * 1024 * 1024 } as const
/** A circuit on which nothing goes for this long is ended, in ms; its ends do so long before. */
export const CIRCUIT_IDLE_MS = 300_000
/** Circuits over which something goes when the node stops may go on for this long, in ms; one without a byte for so long is idle. */
export const FINISH_WITHIN_MS = 2_000
const QUIET_MS = 200

/** One circuit that is at this node. */
export interface WatchedCircuit {
  /** What the source sends. One that breaks the protocol is told so, and it is no fault of who comes next. */
  sent(input: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void, void>
  /** The same, as fast as the neighbour may send. */
  paced(input: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void, void>
  /** Something has come back. */
  used(): void
  /** So many bytes have come back for the neighbour; resolves when there may be more. */
  came(length: number): Promise<void>
  /** It is over. */
  forget(): void
}

/** What goes over the circuits of a node: how much, and whether anything does. */
export interface CircuitWatch {
  /** A circuit that a neighbour has opened. It is cancelled when nothing goes over it for long. */
  add(neighbour: string, exchange: Pick<IncomingExchange, 'cancellation'>): WatchedCircuit
  /** Resolves when none is left: the idle ones are cancelled at once, others when nothing goes over them or the time is over. */
  stop(): Promise<void>
}

interface Use {
  timer: ReturnType<typeof setTimeout> | undefined
  usedAt: number
  cancel(why: string): void
}

/** See {@link CircuitWatch}. @param now monotonic ms. */
export function createCircuitWatch(now: () => number): CircuitWatch {
  const bytes = createTokenBuckets(FORWARD_RATE, now)
  const uses = new Set<Use>()

  function check(use: Use): void {
    const leftMs = use.usedAt + CIRCUIT_IDLE_MS - now()
    if (leftMs <= 0) return use.cancel('nothing went over this circuit for long')
    use.timer = setTimeout(() => check(use), leftMs)
    use.timer.unref?.()
  }

  async function pace(neighbour: string, length: number): Promise<void> {
    while (!bytes.take(neighbour, length)) {
      const ms = Math.max(1, bytes.until(neighbour, length))
      await new Promise((resolve) => setTimeout(resolve, ms))
    }
  }

  return {
    add(neighbour, { cancellation }) {
      const use: Use = {
        timer: undefined,
        usedAt: now(),
        cancel: (why) => cancellation.abort(new MeshError('unavailable', why))
      }
      uses.add(use)
      check(use)

      async function* sent(input: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void, void> {
        for await (const body of input) {
          let item: Uint8Array
          try {
            item = decodeForwardBytes(body)
          } catch (error) {
            return cancellation.abort(toMeshError(error))
          }
          use.usedAt = now()
          yield item
        }
      }

      return {
        sent,
        async *paced(input) {
          for await (const item of sent(input)) {
            yield item
            await pace(neighbour, item.length)
          }
        },
        used: () => void (use.usedAt = now()),
        async came(length) {
          use.usedAt = now()
          await pace(neighbour, length)
        },
        forget() {
          clearTimeout(use.timer)
          uses.delete(use)
        }
      }
    },
    async stop() {
      const endsAt = now() + FINISH_WITHIN_MS
      while (uses.size > 0) {
        for (const { usedAt, cancel } of uses)
          if (now() - usedAt > QUIET_MS || now() > endsAt) cancel('a node on the way is stopping')
        await new Promise((resolve) => setTimeout(resolve, QUIET_MS / 4))
      }
    }
  }
}
