import { compare as compareBytes } from 'uint8arrays/compare'
import { DIGEST_BYTES, TIE_BYTES, type Row } from '../../protocols/sync/messages.ts'
import type { DocumentRecord, SignedHead } from '../../protocols/announce/messages.ts'
import { oldestToForget } from './directory-room.ts'
import {
  changeDocument,
  compareTie,
  compareVersion,
  diffDocuments,
  headHash,
  originId,
  sizeOf,
  standsBy,
  winsTie,
  type DocumentChange,
  type NodeDocument,
  type StoredCapability
} from './document.ts'

/** Most origins in a directory; {@link oldestToForget} names the one that makes room. */
export const MAX_ORIGINS = 4_096
/** Most bytes of all documents together; past it one that would add to them is not taken, unless its origin has a session. */
export const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
/** Most origins whose last version is remembered after they were forgotten, so that an old record cannot return. */
export const MAX_FORGOTTEN = 4_096
/** A node that lost its session to an origin believes another's word for it only after this time, in ms. */
export const LOST_QUARANTINE_MS = 15_000

/** What the directory holds of one origin. */
export interface DirectoryEntry {
  readonly origin: string
  signed: SignedHead
  /** Undefined once the origin has left. */
  document: NodeDocument | undefined
  heardAt: number
  /** This node has a live session with it, or is it. */
  connected: boolean
  /** When the last session was lost; undefined while there is no reason to doubt it. */
  lostAt: number | undefined
  /** The loss was seen by this node itself, not told. */
  lostFirsthand: boolean
}

/** A change in what is visible, in the words of the announcements; `info`: name, version or addresses of a node. */
export type DirectoryEvent =
  | { kind: 'node-join' | 'node-leave'; origin: string; name: string; reason: string }
  | { kind: 'info'; origin: string; reason: string }
  | { kind: 'available' | 'updated' | 'suspended' | 'removed'; origin: string; capability: StoredCapability; reason: string }

/** `pull`: the head is newer, but the change does not lead to its document; get the whole record. */
export type ApplyOutcome = 'applied' | 'stale' | 'pull' | 'invalid' | 'full'

/** What a comparison with another node's rows asks for. */
export interface Comparison {
  want: Uint8Array[]
  offer: string[]
}

/**
 * Who can do what: the last signed document of every origin, last writer wins by (incarnation, sequence).
 * Pure: time comes in, events go out. Signatures are checked before anything gets here.
 */
export interface Directory {
  /** True if the head is newer than what is known of its origin. Asked before its signature is checked: cheap first. */
  isNews(signed: SignedHead): boolean
  /** An announcement: a newer head and what changed. */
  applyChange(signed: SignedHead, change: DocumentChange, now: number): ApplyOutcome
  /** A whole record, as sync brings it. */
  applyRecord(record: DocumentRecord, now: number): ApplyOutcome
  /** A session with an origin began or ended. */
  setConnected(origin: string, connected: boolean, now: number): void
  /** Rows of another node: what to ask it for and what to send it. */
  compare(rows: Iterable<Row>, now: number): Comparison
  /** XOR of a hash of each head that counts; equal where the same is known. */
  digest(): Uint8Array
  rows(): Row[]
  record(origin: string, now: number): DocumentRecord | undefined
  /** Forgets what was not renewed within its lease. */
  expire(now: number): void
  get(origin: string): DirectoryEntry | undefined
  /** Origins that count: not left, not lost. */
  visible(): DirectoryEntry[]
  readonly size: number
}

/** @param emit receives what changed, in order, while a method runs. */
export function createDirectory(self: string, emit: (event: DirectoryEvent) => void): Directory {
  const entries = new Map<string, DirectoryEntry>()
  const forgotten = new Map<string, { incarnation: number; sequence: number }>()
  /** Kept apart from the entries: a session often begins before the record of its peer is here. */
  const sessions = new Set<string>([self])

  const counts = (entry: DirectoryEntry): boolean => entry.lostAt === undefined
  const isVisible = (entry: DirectoryEntry): boolean => counts(entry) && entry.document !== undefined

  /** Runs a change of one entry and emits what it did to the visible part. */
  function changing(origin: string, reason: string, change: () => void): void {
    const before = shown(origin)
    change()
    const after = shown(origin)
    if (before === undefined && after !== undefined) emit({ kind: 'node-join', origin, name: after.info.name, reason })
    if (before !== undefined && after !== undefined && compareBytes(before.infoBytes, after.infoBytes) !== 0)
      emit({ kind: 'info', origin, reason })
    const { added, changed, removed } = diffDocuments(before, after)
    for (const capability of added) emit({ kind: 'available', origin, capability, reason })
    for (const capability of changed) {
      const suspended =
        capability.declaration.status === 'suspended' &&
        before?.capabilities.get(capability.declaration.id)?.declaration.status !== 'suspended'
      emit({ kind: suspended ? 'suspended' : 'updated', origin, capability, reason })
    }
    for (const capability of removed) emit({ kind: 'removed', origin, capability, reason })
    if (before !== undefined && after === undefined) emit({ kind: 'node-leave', origin, name: before.info.name, reason })
  }

  function shown(origin: string): NodeDocument | undefined {
    const entry = entries.get(origin)
    return entry !== undefined && isVisible(entry) ? entry.document : undefined
  }

  /** What a head is against what is known: undefined if it is news. */
  function known(signed: SignedHead): 'stale' | undefined {
    const origin = originId(signed.head.origin)
    const entry = entries.get(origin)
    if (entry === undefined) {
      const old = forgotten.get(origin)
      if (old === undefined) return undefined
      // A live session says that the very version that was forgotten holds again: its node may have slept while its lease ran out here.
      const order = compareVersion(signed.head, old)
      return order < 0 || (order === 0 && !sessions.has(origin)) ? 'stale' : undefined
    }
    const order = compareVersion(signed.head, entry.signed.head)
    return order > 0 || (order === 0 && winsTie(signed, entry.signed)) ? undefined : 'stale'
  }

  let documentBytes = 0

  function store(signed: SignedHead, document: NodeDocument | undefined, heardAt: number, now: number): ApplyOutcome {
    const origin = originId(signed.head.origin)
    const old = entries.get(origin)
    if (old === undefined && entries.size >= MAX_ORIGINS && !makeRoom(origin, false)) return 'full'
    const growth = sizeOf(document) - sizeOf(old?.document)
    while (growth > 0 && documentBytes + growth > MAX_DIRECTORY_BYTES)
      if (!sessions.has(origin) || !makeRoom(origin, true)) {
        if (origin !== self) return 'full'
        break
      }
    documentBytes += growth
    changing(origin, signed.head.note, () => {
      const fresh = {
        origin,
        signed,
        document,
        heardAt,
        connected: sessions.has(origin),
        lostAt: undefined,
        lostFirsthand: false
      }
      if (old === undefined) entries.set(origin, fresh)
      else {
        const restarted = signed.head.incarnation > old.signed.head.incarnation
        Object.assign(old, { signed, document, heardAt })
        // What is still on its way when a node dies must not bring it back; a start after that does. Hearsay yields to any newer head.
        if (old.lostAt !== undefined && (restarted || !old.lostFirsthand || now - old.lostAt > LOST_QUARANTINE_MS))
          old.lostAt = undefined
      }
    })
    return 'applied'
  }

  /** False if nobody may be put out for the origin. */
  function makeRoom(origin: string, needsBytes: boolean): boolean {
    const spared = sessions.has(origin) ? undefined : isVisible
    const oldest = oldestToForget(entries.values(), origin, { isVisible: spared, needsBytes })
    if (oldest === undefined) return false
    // Its lease still runs: should there be room again, the same version may come back.
    forget(oldest, 'no room', 1)
    return true
  }

  /** @param back how many of its last versions may return. */
  function forget({ origin, document, signed: { head } }: DirectoryEntry, reason: string, back = 0): void {
    changing(origin, reason, () => entries.delete(origin))
    documentBytes -= sizeOf(document)
    forgotten.delete(origin)
    forgotten.set(origin, { incarnation: head.incarnation, sequence: head.sequence - back })
    if (forgotten.size > MAX_FORGOTTEN) forgotten.delete(forgotten.keys().next().value!)
  }

  function markLost(entry: DirectoryEntry, reason: string, firsthand: boolean, now: number): void {
    changing(entry.origin, reason, () => {
      entry.lostAt = now
      entry.lostFirsthand = firsthand
    })
  }

  return {
    isNews: (signed) => known(signed) === undefined,

    applyChange(signed, change, now) {
      if (known(signed) === 'stale') return 'stale'
      if (signed.head.left) return store(signed, undefined, now, now)
      const base = entries.get(originId(signed.head.origin))?.document
      const document = changeDocument(base, change)
      if (document === undefined || !standsBy(signed.head, document)) return 'pull'
      return store(signed, document, now, now)
    },

    applyRecord({ signed, info, capabilities, ageMs }, now) {
      if (known(signed) === 'stale' || ageMs >= signed.head.leaseMs) return 'stale'
      const heardAt = now - Math.min(ageMs, signed.head.leaseMs)
      if (signed.head.left) return store(signed, undefined, heardAt, now)
      const document = changeDocument(undefined, { info, put: capabilities, drop: [] })
      if (document === undefined || !standsBy(signed.head, document)) return 'invalid'
      return store(signed, document, heardAt, now)
    },

    setConnected(origin, connected, now) {
      if (connected) sessions.add(origin)
      else sessions.delete(origin)
      const entry = entries.get(origin)
      if (entry === undefined || entry.connected === connected) return
      entry.connected = connected
      entry.heardAt = now
      if (connected) changing(origin, 'connected', () => (entry.lostAt = undefined))
      // One that said goodbye is not lost.
      else if (entry.document !== undefined) markLost(entry, 'unreachable', true, now)
    },

    compare(rows, now) {
      const want: Uint8Array[] = []
      const offer: string[] = []
      const seen = new Set<string>()
      for (const row of rows) {
        const origin = originId(row.origin)
        seen.add(origin)
        const entry = entries.get(origin)
        const order = entry === undefined ? 1 : compareVersion(row, entry.signed.head)
        // One that is gone there may be back here: what is newer than what was lost is offered like any other.
        if (row.standing === 'gone' && !(entry !== undefined && order < 0)) {
          // Rows are not signed: only a loss of the very version that is known is believed, so that the next head undoes a lie.
          if (entry !== undefined && order === 0 && !entry.connected && counts(entry))
            markLost(entry, 'lost by its neighbours', false, now)
          continue
        }
        if (order > 0) {
          const old = forgotten.get(origin)
          if (entry !== undefined || old === undefined || compareVersion(row, old) >= (sessions.has(origin) ? 0 : 1))
            want.push(row.origin)
        } else if (entry !== undefined && order < 0 && counts(entry)) offer.push(origin)
        else if (entry !== undefined && counts(entry) && compareTie(row, entry.signed) !== 0) {
          // Of two heads of one version all nodes keep the one that winsTie() names.
          if (compareTie(row, entry.signed) < 0) want.push(row.origin)
          else offer.push(origin)
        } else if (entry?.lostAt !== undefined && row.standing === 'connected' && now - entry.lostAt > LOST_QUARANTINE_MS) {
          changing(origin, 'seen by a neighbour', () => (entry.lostAt = undefined))
        }
      }
      for (const entry of entries.values()) if (!seen.has(entry.origin) && counts(entry)) offer.push(entry.origin)
      return { want, offer }
    },

    digest() {
      const sum = new Uint8Array(DIGEST_BYTES)
      for (const entry of entries.values()) {
        if (!counts(entry)) continue
        const hash = headHash(entry.signed)
        for (let i = 0; i < DIGEST_BYTES; i++) sum[i]! ^= hash[i]!
      }
      return sum
    },

    rows() {
      return [...entries.values()]
        .filter((entry) => counts(entry) || entry.lostFirsthand)
        .map((entry) => ({
          origin: entry.signed.head.origin,
          incarnation: entry.signed.head.incarnation,
          sequence: entry.signed.head.sequence,
          tie: headHash(entry.signed).subarray(0, TIE_BYTES),
          standing: entry.lostAt !== undefined ? 'gone' : entry.connected ? 'connected' : 'known'
        }))
    },

    record(origin, now) {
      const entry = entries.get(origin)
      if (entry === undefined || !counts(entry)) return undefined
      const capabilities = [...(entry.document?.capabilities.values() ?? [])].map((capability) => capability.bytes)
      // A node that is connected vouches for the origin now; otherwise the age goes with the record, so that no record lives for ever.
      return {
        signed: entry.signed,
        info: entry.document?.infoBytes ?? EMPTY,
        capabilities,
        ageMs: entry.connected ? 0 : now - entry.heardAt
      }
    },

    expire(now) {
      for (const entry of [...entries.values()]) {
        if (!entry.connected && now >= entry.heardAt + entry.signed.head.leaseMs) forget(entry, 'lease ended')
      }
    },

    get: (origin) => entries.get(origin),
    visible: () => [...entries.values()].filter(isVisible),
    get size() {
      return entries.size
    }
  }
}

const EMPTY = new Uint8Array(0)
