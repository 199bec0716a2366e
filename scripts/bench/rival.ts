/** Latency samples or a count of calls, with the CPU time that this process spent on them. */
export interface Sample {
  /** One entry a call, ms. Only where calls went one at a time. */
  latenciesMs: number[]
  calls: number
  elapsedMs: number
  cpuUs: number
}

/** A client that is connected and warm. */
export interface Connected {
  /** One call there and back with this text. Resolves with the text that came back. */
  call(text: string): Promise<string>
  stop(): Promise<void>
}

/** A server that listens. */
export interface Serving {
  /** What `connect` needs, handed over as text. */
  address: string
  stop(): Promise<void>
}

/**
 * One way of calling a function in another process. `serve` runs in a process of its own, `connect` in another,
 * so that neither shares a heap, an event loop or a timer with another rival.
 */
export interface Rival {
  /** Key in the JSON summary. */
  name: string
  /** What was set, so that a reader can judge whether it is fair. */
  settings: string
  serve(): Promise<Serving>
  connect(address: string): Promise<Connected>
}

/** The call that every rival serves: the same text back. */
export const PAYLOAD_BYTES = 1_000
