import type { JsonValue } from '../json.ts'

/** How far a call has come. `done` never falls; `total` may be unknown. Units are the tool's own. */
export interface Progress {
  done: number
  total?: number
  message?: string
}

/** How busy a provider is with one of its tools, as it says itself. */
export interface Load {
  /** Calls that run or wait there. */
  running: number
  /** Calls that it runs at once. */
  slots: number
  /** EWMA of how long a call runs there, without waiting, in ms; left out before the first has ended. */
  serviceMs?: number | undefined
  /** How long ago it last ran one, in ms; left out if it has not. */
  ageMs?: number | undefined
}

/**
 * What a call yields over time. Any number of `json`, `bytes` and `progress`, then at most one `result`, which is last.
 * A call that ends without a `result` has the result `null`.
 */
export type Item =
  | { kind: 'json'; value: JsonValue }
  | { kind: 'bytes'; bytes: Uint8Array }
  | { kind: 'progress'; progress: Progress }
  | { kind: 'result'; value: JsonValue }
