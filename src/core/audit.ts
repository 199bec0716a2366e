import type { JsonValue } from './invoke.ts'

/** Something that somebody may want to know of later. `peer` is a PeerId that a connection has proved. */
export type AuditEvent =
  | { event: 'start' | 'stop'; node: string }
  | {
      event: 'call'
      peer: string
      capability: string
      tool: string
      /** On whose behalf, as the caller says; missing if it called for itself. */
      causes?: readonly string[]
      /** Code of the error it ended with; missing if it went well. */
      code?: string
      durationMs: number
      /** Only its digest is kept. */
      input: JsonValue
    }
  | { event: 'stranger' | 'join-refused'; peer: string; reason: string }
  | { event: 'join' | 'renew'; peer: string; name: string; role: string }
  | { event: 'invite' | 'door'; role: string }
  | { event: 'rotate'; generation: number; kept: number }
  | { event: 'revoke'; peer: string; reason: string }
  | { event: 'revoked'; peer: string }
  | { event: 'descriptor-changed' | 'descriptor-accepted'; peer: string; capability: string; sha256: string; what: string }
  | { event: 'treaty'; mesh: string; serial: string; lends: readonly string[]; borrows: readonly string[] }
  | { event: 'treaty-revoked'; mesh: string; serial: string; by: string; reason: string }
  | { event: 'approval'; peer: string; capability: string; tool: string; allowed: boolean; forMs: number }
  | { event: 'join-approval'; peer: string; name: string; role: string; allowed: boolean }

/** Takes what happens; never throws and never waits. */
export type Audit = (event: AuditEvent) => void
