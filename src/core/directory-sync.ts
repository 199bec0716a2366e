import { DIGEST_BYTES, TIE_BYTES, type Row } from '../../protocols/sync/messages.ts'
import type { DocumentRecord } from '../../protocols/announce/messages.ts'
import { compareTie, compareVersion, headHash, originId, type Version } from './document.ts'
import type { DirectoryEntry } from './directory.ts'

/** A node that lost its session to an origin believes another's word for it only after this time, in ms. */
export const LOST_QUARANTINE_MS = 15_000

/** True if the entry counts in comparisons: this node has not lost its origin. */
export function counts(entry: DirectoryEntry): boolean {
  return entry.lost === undefined
}

/** True once hearsay is believed again of an origin that this node itself lost; at once if it was only told of the loss. */
export function believesHearsay(entry: DirectoryEntry, now: number): boolean {
  return entry.lost === undefined || !entry.lost.firsthand || now - entry.lost.at > LOST_QUARANTINE_MS
}

/** XOR of a hash of each head that counts; equal where the same is known. */
export function digestOf(entries: Iterable<DirectoryEntry>): Uint8Array {
  const sum = new Uint8Array(DIGEST_BYTES)
  for (const entry of entries) {
    if (!counts(entry)) continue
    const hash = headHash(entry.signed)
    for (let i = 0; i < DIGEST_BYTES; i++) sum[i]! ^= hash[i]!
  }
  return sum
}

/** What another node compares with. What was lost goes at the version that was lost: of a newer one this node knows nothing bad. */
export function rowsOf(entries: Iterable<DirectoryEntry>): Row[] {
  const rows: Row[] = []
  for (const { lost, signed, connected } of entries) {
    if (lost !== undefined && !lost.firsthand) continue
    const { head } = lost?.signed ?? signed
    rows.push({
      origin: head.origin,
      incarnation: head.incarnation,
      sequence: head.sequence,
      tie: headHash(lost?.signed ?? signed).subarray(0, TIE_BYTES),
      standing: lost !== undefined ? 'gone' : connected ? 'connected' : 'known'
    })
  }
  return rows
}

/** The record as it is passed on. A node that is connected vouches for the origin now; otherwise the age goes along, so that no record lives for ever. */
export function recordOf({ signed, document, connected, heardAt }: DirectoryEntry, now: number): DocumentRecord {
  return {
    signed,
    info: document?.infoBytes ?? new Uint8Array(0),
    capabilities: [...(document?.capabilities.values() ?? [])].map(({ bytes }) => bytes),
    ageMs: connected ? 0 : now - heardAt
  }
}

/** What a comparison reads. */
export interface ComparedState {
  entries: ReadonlyMap<string, DirectoryEntry>
  /** Last versions of origins that were forgotten. */
  forgotten: ReadonlyMap<string, Version>
  /** Origins with a session. */
  sessions: ReadonlySet<string>
  /** Origins with a way over other nodes. */
  routed: ReadonlySet<string>
}

/** What a comparison with another node's rows asks for, and what it says of those that are known. */
export interface RowComparison {
  want: Uint8Array[]
  offer: string[]
  /** The other node lost the very version that is known. */
  lost: string[]
  /** Lost here long enough ago, connected there. */
  seen: string[]
}

/** Compares what is known with the rows of another node. */
export function compareRows(
  { entries, forgotten, sessions, routed }: ComparedState,
  rows: Iterable<Row>,
  now: number
): RowComparison {
  const result: RowComparison = { want: [], offer: [], lost: [], seen: [] }
  const named = new Set<string>()
  for (const row of rows) {
    const origin = originId(row.origin)
    named.add(origin)
    const entry = entries.get(origin)
    if (entry === undefined) {
      if (row.standing === 'gone') continue
      const old = forgotten.get(origin)
      if (old === undefined || compareVersion(row, old) >= (sessions.has(origin) ? 0 : 1)) result.want.push(row.origin)
      continue
    }
    const order = compareVersion(row, entry.signed.head)
    if (order > 0) {
      if (row.standing !== 'gone') result.want.push(row.origin)
    } else if (entry.lost !== undefined) {
      if (row.standing === 'connected' && now - entry.lost.at > LOST_QUARANTINE_MS) result.seen.push(origin)
    } else if (order < 0) {
      // Also to one that lost it: what is newer than what was lost there may have brought it back.
      result.offer.push(origin)
    } else if (row.standing === 'gone') {
      // Rows are not signed: only a loss of the very version that is known is believed, so that the next head undoes a lie.
      if (!entry.connected && !routed.has(origin)) result.lost.push(origin)
    } else {
      // Of two heads of one version all nodes keep the one that winsTie() names.
      const tie = compareTie(row, entry.signed)
      if (tie < 0) result.want.push(row.origin)
      else if (tie > 0) result.offer.push(origin)
    }
  }
  for (const entry of entries.values()) if (!named.has(entry.origin) && counts(entry)) result.offer.push(entry.origin)
  return result
}
