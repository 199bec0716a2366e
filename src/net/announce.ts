import type { PeerId, PrivateKey } from '@libp2p/interface'
import {
  announceTopic,
  decodeAnnouncement,
  encodeAnnouncement,
  encodeHead,
  encodeInfo,
  MAX_ANNOUNCEMENT_BYTES,
  signedBytes,
  type Announcement,
  type AnnouncementKind,
  type DocumentRecord,
  type Head,
  type NodeInfo,
  type SignedHead
} from '../../protocols/announce/messages.ts'
import { encodeCapability, type CapabilityDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import { changeDocument, compareVersion, documentHash, originId, type NodeDocument } from '../core/document.ts'
import type { Directory } from '../core/directory.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { hasSigned } from './head-signature.ts'

/** A record is forgotten this long after it was last heard, in ms; it is renewed three times in that span. */
export const LEASE_MS = 300_000
/** Changes made within this time leave in one announcement, in ms. */
export const BATCH_MS = 10
/** Announcements a second that one origin may send, and how many at once. */
export const ORIGIN_RATE = { perSecond: 20, burst: 200 } as const
/** Announcements a second whose signature is checked for one neighbour, whoever they are of, and how many at once. */
export const SENDER_RATE = { perSecond: 500, burst: 4_000 } as const

/** What a validator says of a message: pass on, drop without a word, or drop and hold it against the sender. */
export type Verdict = 'accept' | 'ignore' | 'reject'

/** The gossip of a mesh, as the preset wires it to gossipsub. */
export interface Gossip {
  subscribe(topic: string, validate: (from: string, data: Uint8Array) => Promise<Verdict>): void
  publish(topic: string, data: Uint8Array): Promise<void>
}

/** What announcing needs. */
export interface AnnounceComponents {
  peerId: PeerId
  privateKey: PrivateKey
  gossip: Gossip
  directory: Directory
  now: () => number
  random: () => number
  /** A newer version of an origin exists, but what came does not lead to it. */
  needRecord(origin: Uint8Array, from: string): void
  count(counter: string): void
}

/** Options. `incarnation` must be higher than at any start before with the same key. */
export interface AnnounceInit {
  mesh: string
  incarnation: number
  info: NodeInfo
  leaseMs?: number
}

/** Says what this node offers, and hears what others do. */
export interface Announcer {
  start(): Promise<void>
  /** Withdraws everything and says why. */
  stop(reason: string): Promise<void>
  /** Offers or changes a capability. @throws MeshError `invalid_argument`, `too_large`. */
  put(capability: CapabilityDeclaration): void
  remove(id: string, reason: string): void
  setInfo(info: NodeInfo): void
  /** A record that came over sync. Resolves with true if it was news. */
  ingest(record: DocumentRecord, from: string): Promise<boolean>
  /** Resolves when all changes so far are published. */
  flushed(): Promise<void>
}

interface Change {
  kind: AnnouncementKind
  note: string
  info?: Uint8Array
  put: Map<string, Uint8Array>
  drop: Set<string>
}

/** See {@link Announcer}. */
export function createAnnouncer(components: AnnounceComponents, init: AnnounceInit): Announcer {
  const { peerId, privateKey, gossip, directory, now, random, needRecord, count } = components
  const self = peerId.toString()
  const origin = peerId.toMultihash().bytes
  const topic = announceTopic(init.mesh)
  const leaseMs = init.leaseMs ?? LEASE_MS
  const origins = createTokenBuckets(ORIGIN_RATE, now)
  const senders = createTokenBuckets(SENDER_RATE, now)
  let { incarnation } = init
  let sequence = 0
  let document: NodeDocument = { infoBytes: encodeInfo(init.info), info: init.info, capabilities: new Map() }
  let changes: Change[] = []
  let batchTimer: ReturnType<typeof setTimeout> | undefined
  let leaseTimer: ReturnType<typeof setTimeout> | undefined
  let line: Promise<void> = Promise.resolve()
  let running = false

  // ---- out -----------------------------------------------------------------------------------
  async function sign(left: boolean, note: string): Promise<SignedHead> {
    sequence++
    const head: Head = {
      mesh: init.mesh,
      origin,
      incarnation,
      sequence,
      left,
      leaseMs,
      documentHash: documentHash(document),
      note
    }
    const bytes = encodeHead(head)
    return { bytes, signature: await privateKey.sign(signedBytes(bytes)), head }
  }

  async function announce(kind: AnnouncementKind, note: string, change: Omit<Change, 'kind' | 'note'>): Promise<void> {
    const parts = { info: change.info, put: [...change.put.values()], drop: [...change.drop] }
    const signed = await sign(kind === 'node-leave', note)
    directory.applyRecord(
      {
        signed,
        info: document.infoBytes,
        capabilities: kind === 'node-leave' ? [] : [...document.capabilities.values()].map(({ bytes }) => bytes),
        ageMs: 0
      },
      now()
    )
    await gossip.publish(topic, encodeFitting({ kind, signed, ...parts }))
  }

  /** What does not fit an announcement is left to the sync protocol: its head alone makes the others ask. */
  function encodeFitting(announcement: Announcement): Uint8Array {
    const bytes = announcement.put.reduce((sum, { length }) => sum + length, 0)
    return encodeAnnouncement(bytes < MAX_ANNOUNCEMENT_BYTES - 8_192 ? announcement : { ...announcement, put: [], drop: [] })
  }

  function enqueue(task: () => Promise<void>): Promise<void> {
    line = line.then(task).catch(() => count('announce.publish-failed'))
    return line
  }

  function flush(): void {
    batchTimer = undefined
    const due = changes
    changes = []
    for (const change of due) {
      void enqueue(() => announce(change.kind, change.note, change))
    }
  }

  function queue(kind: AnnouncementKind, note: string, edit: (change: Change) => void): void {
    let change = changes.at(-1)
    if (change?.kind !== kind || change.note !== note) changes.push((change = { kind, note, put: new Map(), drop: new Set() }))
    edit(change)
    if (running) batchTimer ??= setTimeout(flush, BATCH_MS)
  }

  function renew(): void {
    leaseTimer = setTimeout(
      () => {
        void enqueue(() => announce('heartbeat', '', { put: new Map(), drop: new Set() }))
        renew()
      },
      (leaseMs / 3) * (0.9 + 0.2 * random())
    )
    leaseTimer.unref?.()
  }

  // ---- in ------------------------------------------------------------------------------------
  async function validate(from: string, data: Uint8Array): Promise<Verdict> {
    try {
      const announcement = decodeAnnouncement(data)
      if (!senders.take(from)) return refuse('announce.too-often', 'ignore')
      const verdict = await check(announcement.signed)
      if (verdict !== 'accept') return verdict
      // Only after the signature: else whoever forges an origin's name would use up its rate.
      if (!origins.take(originId(announcement.signed.head.origin))) return refuse('announce.too-often', 'ignore')
      switch (directory.applyChange(announcement.signed, announcement, now())) {
        case 'applied':
          return 'accept'
        case 'pull':
          needRecord(announcement.signed.head.origin, from)
          return 'accept'
        case 'full':
          count('announce.directory-full')
          return 'ignore'
        default:
          return 'ignore'
      }
    } catch {
      count('announce.malformed')
      return 'reject'
    }
  }

  async function check(signed: SignedHead): Promise<Verdict> {
    const { head } = signed
    const id = originId(head.origin)
    if (head.mesh !== init.mesh) return refuse('announce.other-mesh', 'reject')
    if (id === self) return heardOfMyself(signed)
    if (!directory.isNews(signed)) return refuse('announce.stale', 'ignore')
    if (!(await hasSigned(signed))) return refuse('announce.forged', 'reject')
    return 'accept'
  }

  function refuse(counter: string, verdict: Verdict): Verdict {
    count(counter)
    return verdict
  }

  /** This node lost its counter, or another uses its key: only a higher incarnation makes the others listen again. */
  async function heardOfMyself(signed: SignedHead): Promise<Verdict> {
    if (compareVersion(signed.head, { incarnation, sequence }) <= 0) return 'ignore'
    if (!(await hasSigned(signed))) return refuse('announce.forged', 'reject')
    count('announce.incarnation-healed')
    incarnation = signed.head.incarnation + 1
    sequence = 0
    if (running) void enqueue(() => announce('node-join', '', whole()))
    return 'ignore'
  }

  function whole(): Omit<Change, 'kind' | 'note'> {
    return {
      info: document.infoBytes,
      put: new Map([...document.capabilities].map(([id, { bytes }]) => [id, bytes])),
      drop: new Set()
    }
  }

  function edit(put: Uint8Array[], drop: string[], info?: Uint8Array): void {
    const changed = changeDocument(document, { info, put, drop })
    if (changed === undefined)
      throw new MeshError('too_large', 'this node offers more than one announcement may hold; split it over several nodes')
    document = changed
  }

  return {
    async start() {
      running = true
      changes = []
      gossip.subscribe(topic, validate)
      await enqueue(() => announce('node-join', '', whole()))
      renew()
    },
    async stop(reason) {
      if (!running) return
      running = false
      clearTimeout(batchTimer)
      clearTimeout(leaseTimer)
      document = { ...document, capabilities: new Map() }
      await enqueue(() => announce('node-leave', reason, { put: new Map(), drop: new Set() }))
    },
    put(capability) {
      const bytes = encodeCapability(capability)
      const had = document.capabilities.has(capability.id)
      edit([bytes], [])
      const kind = capability.status === 'suspended' ? 'suspended' : had ? 'updated' : 'available'
      queue(kind, kind === 'suspended' ? (capability.statusReason ?? '') : '', (change) => change.put.set(capability.id, bytes))
    },
    remove(id, reason) {
      edit([], [id])
      queue('removed', reason, (change) => change.drop.add(id))
    },
    setInfo(info) {
      const bytes = encodeInfo(info)
      edit([], [], bytes)
      queue('updated', '', (change) => (change.info = bytes))
    },
    async ingest(record) {
      const verdict = await check(record.signed)
      // A peer that checks what it takes has nothing false to pass on.
      if (verdict === 'reject')
        throw new MeshError('protocol_error', 'a record is of another mesh or was not signed by its origin')
      if (verdict !== 'accept') return false
      const outcome = directory.applyRecord(record, now())
      if (outcome === 'invalid') throw new MeshError('protocol_error', 'a record does not match its signed hash')
      return outcome === 'applied'
    },
    async flushed() {
      if (batchTimer !== undefined) {
        clearTimeout(batchTimer)
        flush()
      }
      await line
    }
  }
}
