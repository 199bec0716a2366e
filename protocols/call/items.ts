import type { JsonValue } from '../json.ts'

/** How far a call has come. `done` never falls; `total` may be unknown. Units are the tool's own. */
export interface Progress {
  done: number
  total?: number
  message?: string
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
