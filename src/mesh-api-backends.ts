/** What a node says of its backends. */

/** A backend of a node. */
export interface BackendView {
  id: string
  kind: string
  /** `degraded`: something that it offers is, or is offline, or left out. */
  state: 'starting' | 'online' | 'degraded' | 'offline'
  reason?: string
  /** Events that it could not deliver and that come again, if there are any. */
  waiting?: number
}
