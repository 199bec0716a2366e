/** Calls as programs make and serve them. Types only; part of the Mesh type. */
import type { Item, JsonObject, JsonValue } from './core/invoke.ts'
import type { MeshError } from '../protocols/errors.ts'
import type { CallProvider, DispatchPreference } from './mesh-api-routes.ts'

/** Who ran a call, and over what. */
export interface Route {
  /** PeerIds from the caller to the provider; those in between as the forwarders name themselves. */
  path: string[]
  local: boolean
  hops: number
  rttMs: number | null
  /** Providers tried before this one, with the code of their failure. */
  tried: { provider: string; code: string }[]
}

/** How a call ended well. */
export interface CallResult {
  result: JsonValue
  /** PeerId of the node that ran the tool. */
  provider: string
  providerName: string
  durationMs: number
  route: Route
  /** True if it came out of this node's result cache. */
  cached: boolean
}

/** Options of a call. */
export interface CallOptions extends DispatchPreference {
  signal?: AbortSignal
  /** Time given in all, retries included. Default: the tool's `timeoutMs`, else 30,000. */
  timeoutMs?: number
  /** Items to stream in. */
  stream?: AsyncIterable<Item>
  idempotencyKey?: string
  traceparent?: string
  /** PeerIds on whose behalf this call is made, who began it first: those of {@link ToolContext.causes} when it is made for the call that is being served. At most 8. */
  causes?: readonly string[]
  /**
   * Id of the agent of this node that chose to make this call, by what it has read. The policy of this node, and `requiresApproval`, then hold for its own tools as well.
   */
  agent?: string
  /** PeerId or name: only this node. */
  node?: string
  /** Other providers may be tried. Default true. */
  failover?: boolean
  /** Where this is one of several calls for one request, each made only if the one before failed. Default: it is the only one. */
  attempt?: CallAttempt
}

/** Which of several calls for one request this is. They share the retries of all calls of the node, so that a mesh that is busy is not made busier. */
export interface CallAttempt {
  /**
   * What the one before failed with. If that was `busy` and no retry is left, this one fails with the same error at once, and nobody is asked. Missing: it is the first.
   */
  after?: MeshError
}

/** What a call yields here: its items, and `restart` when it begins anew at another provider: the items before it are void. */
export type CallItem = Item | { kind: 'restart'; provider: string; reason: string }

/** A running call: iterate it for its items (`result` included, last), or await `result`. One of the two drives it. */
export interface Call extends AsyncIterable<CallItem> {
  /** Reads the call to its end. Rejects with MeshError. */
  readonly result: Promise<CallResult>
  /** Who is tried now, or was last; undefined before. Once an item has come, it is who yields them, until `restart`. */
  readonly provider: CallProvider | undefined
  cancel(reason?: string): void
}

/** What a handler gets beside its input. */
export interface ToolContext {
  signal: AbortSignal
  /** PeerId of who calls, as its connection proved it. */
  caller: string
  /** Who caused this call: on whose behalf the caller says it calls, and the caller, last. Give it on to the calls that are made for this one. */
  causes: readonly string[]
  stream: AsyncIterable<Item> | undefined
  /** Reports progress; never blocks. */
  progress(done: number, total?: number, message?: string): void
  traceparent: string | undefined
}

/**
 * A tool as a function. Return the result, or yield items and return it:
 * a yielded Uint8Array is sent as bytes, any other yielded value as JSON.
 */
export type ToolHandler = (
  input: JsonObject,
  context: ToolContext
) => JsonValue | void | Promise<JsonValue | void> | AsyncGenerator<JsonValue | Uint8Array, JsonValue | void, void>
