import { fromString } from 'uint8arrays/from-string'

/** How every connection begins. Whoever takes one answers to this at once, before all else (libp2p connections specification, multistream-select). */
const OPENING = fromString('\x13/multistream/1.0.0\n')
/**
 * So often the source has spoken after it has had an answer, when a circuit has reached its destination. What an ordinary connection says in turn
 * before its ends know who they are is less, also if somebody between them draws it out (a refused protocol, a TLS HelloRetryRequest, an alert:
 * five); a source goes on only with who proved to be its destination. A call begins in the seventh.
 */
export const CARRIED_TURNS = 6
/** A timer that is later than this, in ms, tells that this node was held up. */
export const LATE_MS = 30

/** Whether the next hop carries a circuit that it was given: by who speaks when, for all else is encrypted. */
export interface CircuitTrial {
  /** Aborted when nothing has come back for so long after the source has begun as a connection begins; who begins otherwise may be silent by intent. */
  readonly silent: AbortSignal
  /**
   * What has become of it, now that it is over: its ends have spoken in turn as only they can, and the source was not left without an answer for
   * too long; or not. Undefined: that cannot be said.
   * @param left the source has left, or was lost: what has only just begun says nothing then.
   */
  outcome(left: boolean): 'ok' | 'failed' | undefined
  /** What the source sends, on its way to the next hop. */
  passing(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void>
  /** Bytes have come back. */
  heard(): void
  /** It is over. */
  stop(): void
}

/** What a trial needs. */
export interface CircuitTrialInit {
  silentAfterMs: number
  /** Monotonic ms. */
  now: () => number
}

/** See {@link CircuitTrial}. */
export function createCircuitTrial({ silentAfterMs, now }: CircuitTrialInit): CircuitTrial {
  const silent = new AbortController()
  let matched = 0
  let begunAt: number | undefined
  let isHeard = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let turns = 0
  let isSourcesTurn = true
  /** Since when the source has had no answer, ms. */
  let unansweredSince: number | undefined

  /** Waits from when the beginning has left this node: what held it up here is not the next hop's doing. */
  function left(bytes: Uint8Array): void {
    for (let n = 0; n < bytes.length && matched < OPENING.length; n++) if (bytes[n] !== OPENING[matched++]) matched = Infinity
    if (matched !== OPENING.length || begunAt !== undefined) return
    begunAt = now()
    if (isHeard) return
    wait(true)
  }

  /** An answer may lie here unread if this node itself was held up: then it waits once more. As long, so that each hop still waits less than the one before it. */
  function wait(again: boolean): void {
    const dueAt = now() + silentAfterMs
    timer = setTimeout(() => {
      if (again && now() - dueAt > LATE_MS) wait(false)
      else silent.abort()
    }, silentAfterMs)
    timer.unref?.()
  }

  return {
    silent: silent.signal,
    outcome(left) {
      if (begunAt === undefined) return undefined
      const isUnanswered = unansweredSince !== undefined && now() - unansweredSince >= silentAfterMs
      if (turns >= CARRIED_TURNS) return isUnanswered ? 'failed' : 'ok'
      return left && now() - begunAt < silentAfterMs ? undefined : 'failed'
    },
    async *passing(input) {
      for await (const bytes of input) {
        if (isSourcesTurn) turns++
        isSourcesTurn = false
        yield bytes
        unansweredSince ??= now()
        left(bytes)
      }
    },
    heard() {
      isHeard = isSourcesTurn = true
      unansweredSince = undefined
      clearTimeout(timer)
    },
    stop: () => clearTimeout(timer)
  }
}
