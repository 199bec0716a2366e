import type { JsonValue } from './invoke.ts'

/** Something that somebody may want to know of later. `peer` is a PeerId that a connection has proved. */
export type AuditEvent =
  | { event: 'start' | 'stop'; node: string }
  | { event: 'init'; mesh: string; name: string }
  | { event: 'leave'; mesh: string; name: string }
  | {
      /** `call`: served here, `peer` called. `sent`: made here, `peer` was to serve it. */
      event: 'call' | 'sent'
      peer: string
      capability: string
      tool: string
      /** On whose behalf, as the caller says; missing if it called for itself. */
      causes?: readonly string[]
      /** Code of the error it ended with; missing if it went well. */
      code?: string
      durationMs: number
      /** Only its digest is kept, unless the configuration says otherwise. */
      input: JsonValue
    }
  | { event: 'stranger' | 'join-refused'; peer: string; reason: string }
  | { event: 'join' | 'renew'; peer: string; name: string; role: string }
  | { event: 'invite' | 'door'; role: string }
  /** `rotate`: at this node. `rotated`: this node learnt it; `mesh` may be one that there is a treaty with. */
  | { event: 'rotate'; generation: number; kept: number }
  | { event: 'rotated'; mesh: string; generation: number; kept: number }
  /** `revoke`: at this node. `revoked`: a membership has ended here; `by` whom and why, unless that follows from something else. */
  | { event: 'revoke'; peer: string; reason: string }
  | { event: 'revoked'; peer: string; by?: string; reason?: string }
  | { event: 'descriptor-changed' | 'descriptor-accepted'; peer: string; capability: string; sha256: string; what: string }
  /** What was signed at this node: an offer, the answer to one, the end of a treaty or of an offer. `treaty` and `treaty-revoked`: it holds, or has ended, here. */
  | {
      event: 'treaty-offer' | 'treaty-accept'
      mesh: string
      serial: string
      lends: readonly string[]
      borrows: readonly string[]
    }
  | { event: 'treaty-revoke'; serial: string; reason: string }
  | { event: 'treaty'; mesh: string; serial: string; lends: readonly string[]; borrows: readonly string[] }
  | { event: 'treaty-revoked'; mesh: string; serial: string; by: string; reason: string }
  | { event: 'approval'; peer: string; capability: string; tool: string; allowed: boolean; forMs: number; inputSha256: string }
  | { event: 'join-approval'; peer: string; name: string; role: string; allowed: boolean }

/** Takes what happens; never throws and never waits. */
export type Audit = (event: AuditEvent) => void
