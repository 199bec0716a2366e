import { fromString } from 'uint8arrays/from-string'

/** How every connection begins. Whoever takes one answers to this at once, before all else (libp2p connections specification, multistream-select). */
const OPENING = fromString('\x13/multistream/1.0.0\n')
/**
 * So often the source has spoken after it has had an answer, when a circuit counts as carried. What an ordinary connection says in turn before
 * its ends know who they are is less, also if somebody between them draws it out (a refused protocol, a TLS HelloRetryRequest, an alert: five);
 * a source goes on only with who proved to be its destination. A call is past it with its first bytes.
 */
export const CARRIED_TURNS = 6

/** Whether the next hop carries a circuit that it was given: by who speaks when, for all else is encrypted. */
export interface CircuitTrial {
  /** Aborted when nothing has come back for so long after the source has begun as a connection begins; who begins otherwise may be silent by intent. */
  readonly silent: AbortSignal
  /** Its ends have spoken in turn as only they can. */
  readonly isCarried: boolean
  /** Since the source's beginning has left, in ms; undefined if it has not. */
  readonly begunForMs: number | undefined
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
  onCarried(): void
}

/** See {@link CircuitTrial}. */
export function createCircuitTrial({ silentAfterMs, now, onCarried }: CircuitTrialInit): CircuitTrial {
  const silent = new AbortController()
  let matched = 0
  let begunAt: number | undefined
  let isHeard = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let turns = 0
  let isSourcesTurn = true

  /** Waits from when the beginning has left this node: what held it up here is not the next hop's doing. */
  function left(bytes: Uint8Array): void {
    for (let n = 0; n < bytes.length && matched < OPENING.length; n++) if (bytes[n] !== OPENING[matched++]) matched = Infinity
    if (matched !== OPENING.length || begunAt !== undefined) return
    begunAt = now()
    if (isHeard) return
    timer = setTimeout(() => silent.abort(), silentAfterMs)
    timer.unref?.()
  }

  return {
    silent: silent.signal,
    get isCarried() {
      return turns >= CARRIED_TURNS
    },
    get begunForMs() {
      return begunAt === undefined ? undefined : now() - begunAt
    },
    async *passing(input) {
      for await (const bytes of input) {
        if (isSourcesTurn && ++turns === CARRIED_TURNS) onCarried()
        isSourcesTurn = false
        yield bytes
        left(bytes)
      }
    },
    heard() {
      isHeard = isSourcesTurn = true
      clearTimeout(timer)
    },
    stop: () => clearTimeout(timer)
  }
}
