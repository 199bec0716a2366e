import { compare as compareBytes } from 'uint8arrays/compare'
import type { Row } from '../../protocols/sync/messages.ts'
import type { DocumentRecord, SignedHead } from '../../protocols/announce/messages.ts'
import { oldestToForget } from './directory-room.ts'
import { believesHearsay, compareRows, counts, digestOf, recordOf, rowsOf } from './directory-sync.ts'
import {
  changeDocument,
  compareVersion,
  diffDocuments,
  originId,
  sizeOf,
  standsBy,
  winsTie,
  type DocumentChange,
  type NodeDocument,
  type Version
} from './document.ts'
import type { StoredCapability } from './stored-capability.ts'

/** Most origins in a directory; {@link oldestToForget} names the one that makes room. */
export const MAX_ORIGINS = 4_096
/** Most bytes of all documents together; past it one that would add to them is not taken, unless its origin has a session. */
export const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
/** Most origins whose last version is remembered after they were forgotten, so that an old record cannot return. */
export const MAX_FORGOTTEN = 4_096

/** A record that comes no later than this after the session with its origin has ended was on its way before that, ms. */
export const ON_ITS_WAY_MS = 2_000

/** What the directory holds of one origin. */
export interface DirectoryEntry {
  readonly origin: string
  signed: SignedHead
  /** Undefined once the origin has left. */
  document: NodeDocument | undefined
  heardAt: number
  /** This node has a live session with it, or is it. */
  connected: boolean
  /** Undefined while there is no reason to doubt it. */
  lost: Loss | undefined
}

/** That an origin is gone. */
export interface Loss {
  at: number
  /** Seen by this node itself, not told. */
  firsthand: boolean
  /** The newest head at that time. */
  signed: SignedHead
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
  /** A session with an origin began or ended. `isSought`: a way over other nodes is looked for, so it is not lost yet: see `setRouted`. */
  setConnected(origin: string, connected: boolean, now: number, isSought?: boolean): void
  /** There is a way over other nodes to an origin, or none any more: one without a session is lost then. */
  setRouted(origin: string, routed: boolean, now: number): void
  /** Rows of another node: what to ask it for and what to send it. */
  compare(rows: Iterable<Row>, now: number): Comparison
  /** XOR of a hash of each head that counts; equal where the same is known. */
  digest(): Uint8Array
  rows(): Row[]
  record(origin: string, now: number): DocumentRecord | undefined
  /** Forgets what was not renewed within its lease. */
  expire(now: number): void
  get(origin: string): DirectoryEntry | undefined
  /** All that is known, lost ones too. */
  entries(): Iterable<DirectoryEntry>
  /** Origins that count: not left, not lost. */
  visible(): DirectoryEntry[]
  readonly size: number
}

/** @param emit receives what changed, in order, while a method runs. */
export function createDirectory(self: string, emit: (event: DirectoryEvent) => void): Directory {
  const entries = new Map<string, DirectoryEntry>()
  const forgotten = new Map<string, Version>()
  /** Kept apart from the entries: a session often begins before the record of its peer is here. */
  const sessions = new Set<string>([self])
  /** With a way over other nodes: what neighbours lost, they may have lost alone. */
  const routed = new Set<string>()
  /** Whose session has ended, and to whom a way is looked for. */
  const sought = new Set<string>()

  /** When sessions ended with origins of which there was no record yet. */
  const parted = new Map<string, number>()

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
        before?.capabilities.get(capability.id)?.declaration.status !== 'suspended'
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
      if (old === undefined) {
        const at = parted.get(origin) ?? -Infinity
        const lost = document !== undefined && now - at <= ON_ITS_WAY_MS ? { at, firsthand: true, signed } : undefined
        parted.delete(origin)
        entries.set(origin, { origin, signed, document, heardAt, connected: sessions.has(origin), lost })
        return
      }
      const restarted = signed.head.incarnation > old.signed.head.incarnation
      Object.assign(old, { signed, document, heardAt })
      // What is still on its way when a node dies must not bring it back; a start after that does. Hearsay yields to any newer head.
      if (restarted || believesHearsay(old, now)) old.lost = undefined
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
    remember(forgotten, origin, { incarnation: head.incarnation, sequence: head.sequence - back })
  }

  function markLost(entry: DirectoryEntry, reason: string, firsthand: boolean, now: number): void {
    changing(entry.origin, reason, () => (entry.lost = { at: now, firsthand, signed: entry.signed }))
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

    setConnected(origin, connected, now, isSought = false) {
      if (connected) sessions.add(origin)
      else sessions.delete(origin)
      if (!connected && isSought) sought.add(origin)
      else sought.delete(origin)
      const entry = entries.get(origin)
      parted.delete(origin)
      if (entry === undefined && !connected && !isSought) remember(parted, origin, now)
      if (entry === undefined || entry.connected === connected) return
      entry.connected = connected
      entry.heardAt = now
      if (connected) changing(origin, 'connected', () => (entry.lost = undefined))
      // One that said goodbye is not lost.
      else if (entry.document !== undefined && !isSought) markLost(entry, 'unreachable', true, now)
    },

    setRouted(origin, isRouted, now) {
      if (isRouted) routed.add(origin)
      else routed.delete(origin)
      const isFirsthand = sought.delete(origin)
      const entry = entries.get(origin)
      if (entry === undefined || entry.connected || entry.document === undefined) return
      if (isRouted) changing(origin, 'there is a way to it', () => (entry.lost = undefined))
      else if (counts(entry)) markLost(entry, 'unreachable', isFirsthand, now)
    },

    compare(rows, now) {
      const { want, offer, lost, seen } = compareRows({ entries, forgotten, sessions, routed }, rows, now)
      for (const origin of lost) markLost(entries.get(origin)!, 'lost by its neighbours', false, now)
      for (const origin of seen) changing(origin, 'seen by a neighbour', () => (entries.get(origin)!.lost = undefined))
      return { want, offer }
    },

    digest: () => digestOf(entries.values()),
    rows: () => rowsOf(entries.values()),

    record(origin, now) {
      const entry = entries.get(origin)
      return entry === undefined || !counts(entry) ? undefined : recordOf(entry, now)
    },

    expire(now) {
      for (const entry of [...entries.values()]) {
        if (!entry.connected && now >= entry.heardAt + entry.signed.head.leaseMs) forget(entry, 'lease ended')
      }
    },

    get: (origin) => entries.get(origin),
    entries: () => entries.values(),
    visible: () => [...entries.values()].filter(isVisible),
    get size() {
      return entries.size
    }
  }
}

/** The one that was remembered longest ago makes room. */
function remember<T>(map: Map<string, T>, origin: string, what: T): void {
  map.delete(origin)
  map.set(origin, what)
  if (map.size > MAX_FORGOTTEN) map.delete(map.keys().next().value!)
}
