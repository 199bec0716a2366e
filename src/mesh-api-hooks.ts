/** Hooks: doors of the local API that other programs use with a secret of their own, not with the token of the node. */
import type { MeshError } from '../protocols/errors.ts'
import type { JsonValue } from '../protocols/json.ts'
import type { FireView } from './mesh-api-events.ts'

/** A request to a hook, as it came: nothing of it has been checked. */
export interface HookRequest {
  /** Of a header, by its name in lower case. */
  header(name: string): string | undefined
  /** Reads it, once. @throws MeshError `too_large`. */
  body(): Promise<Uint8Array>
  /** Address that it comes from, as the socket says; undefined if nobody knows. */
  from: string | undefined
}

/**
 * Raises an event, as `Mesh.fire` does.
 * @throws MeshError what `Mesh.fire` throws, and for what goes nowhere `unavailable` if it may go somewhere later, else `conflict`.
 */
export type HookFire = (capability: string, event: string, payload: JsonValue, options?: { depth: number }) => Promise<HookAnswer>

/** What whoever asked is told: nothing of who is in the mesh. */
export interface HookAnswer extends Pick<FireView, 'outcome' | 'id' | 'kept' | 'reason'> {
  /** The same has come before: it was not raised again. */
  duplicate?: true
}

/**
 * Checks a request, its headers before its body, and raises an event for one that is good.
 * @returns undefined for one that does not show the secret, an error for one that cannot be read so far (`too_large`).
 * @throws MeshError `invalid_argument`, `busy`, and what `fire` throws: to who has shown it.
 */
export type Hook = (request: HookRequest, fire: HookFire) => Promise<HookAnswer | MeshError | undefined>

/** The hooks of a node, by their names. Backends add theirs; the local API asks them. */
export interface Hooks {
  /** @returns takes it away again. @throws MeshError `conflict` if the name is taken. */
  add(name: string, hook: Hook): () => void
  /**
   * Asks a hook. One that there is not cannot be told from one whose secret the request does not show.
   * @returns undefined for one that does not show the secret. @throws MeshError as {@link Hook}, and what that returns; `busy` also for who fails to show a secret too often.
   */
  ask(name: string, ...request: Parameters<Hook>): Promise<HookAnswer | undefined>
}
