/** Hooks: doors of the local API that other programs use with a secret of their own, not with the token of the node. */
import type { JsonValue } from '../protocols/json.ts'
import type { FireView } from './mesh-api-events.ts'

/** A request to a hook, as it came: nothing of it has been checked. */
export interface HookRequest {
  /** Of a header, by its name in lower case. */
  header(name: string): string | undefined
  body: Uint8Array
}

/** Raises an event: as `Mesh.fire`. `depth`: of the event that this one follows from. */
export type HookFire = (capability: string, event: string, payload: JsonValue, options?: { depth: number }) => Promise<FireView>

/** What whoever asked is told: nothing of who is in the mesh. */
export interface HookAnswer extends Pick<FireView, 'outcome' | 'id' | 'kept' | 'reason'> {
  /** The same has come before: it was not raised again. */
  duplicate?: true
}

/**
 * Checks a request, and raises an event for one that is good.
 * @throws MeshError `permission_denied` for one that does not show the secret, `invalid_argument`, `too_large`, `busy`, `unavailable`.
 */
export type Hook = (request: HookRequest, fire: HookFire) => Promise<HookAnswer>

/** The hooks of a node, by their names. Backends add theirs; the local API finds them. */
export interface Hooks {
  /** @returns takes it away again. @throws MeshError `conflict` if the name is taken. */
  add(name: string, hook: Hook): () => void
  find(name: string): Hook | undefined
}
