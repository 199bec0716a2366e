import type { AnnouncementKind, DocumentRecord, SignedHead } from '../../protocols/announce/messages.ts'
import type { NodeDocument } from '../core/document.ts'

/** A change of a node's own document that waits to be announced. */
export interface Change {
  kind: AnnouncementKind
  note: string
  info?: Uint8Array
  put: Map<string, Uint8Array>
  drop: Set<string>
  /** The document right after this change. What its head stands by, whatever was changed since. */
  after: NodeDocument
}

/** A change that changes nothing, and to which parts may be added. */
export function emptyChange(kind: AnnouncementKind, note: string, after: NodeDocument): Change {
  return { kind, note, put: new Map(), drop: new Set(), after }
}

/** The change from nothing to a document. */
export function wholeChange(after: NodeDocument): Change {
  const put = new Map([...after.capabilities].map(([id, { bytes }]) => [id, bytes]))
  return { ...emptyChange('node-join', '', after), info: after.infoBytes, put }
}

/** The whole record after a change. */
export function recordAfter({ kind, after }: Change, signed: SignedHead): DocumentRecord {
  const capabilities = kind === 'node-leave' ? [] : [...after.capabilities.values()].map(({ bytes }) => bytes)
  return { signed, info: after.infoBytes, capabilities, ageMs: 0 }
}
