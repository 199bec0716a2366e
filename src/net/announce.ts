import type { PeerId, PrivateKey } from '@libp2p/interface'
import {
  announceTopic,
  decodeAnnouncement,
  encodeFitting,
  encodeHead,
  encodeInfo,
  signedBytes,
  type AnnouncementKind,
  type DocumentRecord,
  type Head,
  type NodeInfo,
  type SignedHead
} from '../../protocols/announce/messages.ts'
import { encodeCapability, type CapabilityDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import { compare as compareBytes } from 'uint8arrays/compare'
import { changeDocument, compareVersion, documentHash, originId, type NodeDocument } from '../core/document.ts'
import type { Directory } from '../core/directory.ts'
import { emptyChange, recordAfter, wholeChange, type Change } from './announce-change.ts'
import { createAnnounceRates } from './announce-rates.ts'
import { hasSigned } from './head-signature.ts'
import { createLeaseTimer } from './lease-timer.ts'

/** A record is forgotten this long after it was last heard, in ms, unless a session says that its node is there. */
export const LEASE_MS = 300_000
/** Changes made within this time leave in one announcement, in ms. */
export const BATCH_MS = 10

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
  /** Another node uses this node's key and does not give way. Called once. */
  onConflict?(): void
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
  /** Publishes what is due: changes, and a heartbeat if the last one is a third of the lease ago. Resolves when that is done. */
  refresh(): Promise<void>
  /** To be told of a node without a session: unless it has one soon, the lease is renewed for it. All who hear of it do so at moments of their own. */
  heardOfStranger(): void
}

/** See {@link Announcer}. */
export function createAnnouncer(components: AnnounceComponents, init: AnnounceInit): Announcer {
  const { peerId, privateKey, gossip, directory, now, random, needRecord, count, onConflict } = components
  const self = peerId.toString()
  const origin = peerId.toMultihash().bytes
  const topic = announceTopic(init.mesh)
  const leaseMs = init.leaseMs ?? LEASE_MS
  const { origins, senders, records, heals } = createAnnounceRates(now)
  let { incarnation } = init
  let sequence = 0
  let document: NodeDocument = { infoBytes: encodeInfo(init.info), info: init.info, capabilities: new Map() }
  /** What the last head stands by: changes that are not announced yet are not in it. */
  let announced = document
  let conflict = false
  let changes: Change[] = []
  let batchTimer: ReturnType<typeof setTimeout> | undefined
  let line: Promise<void> = Promise.resolve()
  let running = false
  /** When the last head was signed. */
  let signedAt = 0

  // ---- out -----------------------------------------------------------------------------------
  async function sign(left: boolean, note: string, after: NodeDocument): Promise<SignedHead> {
    sequence++
    signedAt = now()
    const head: Head = {
      mesh: init.mesh,
      origin,
      incarnation,
      sequence,
      left,
      leaseMs,
      documentHash: documentHash(after),
      note
    }
    const bytes = encodeHead(head)
    return { bytes, signature: await privateKey.sign(signedBytes(bytes)), head }
  }

  async function announce(change: Change): Promise<void> {
    const { kind, note, info, put, drop, after } = change
    announced = after
    const signed = await sign(kind === 'node-leave', note, after)
    directory.applyRecord(recordAfter(change, signed), now())
    await gossip.publish(topic, encodeFitting({ kind, signed, info, put: [...put.values()], drop: [...drop] }))
  }

  function enqueue(task: () => Promise<void>): Promise<void> {
    line = line.then(task).catch(() => count('announce.publish-failed'))
    return line
  }

  function flush(): void {
    batchTimer = undefined
    const due = changes
    changes = []
    for (const change of due) void enqueue(() => announce(change))
  }

  function queue(kind: AnnouncementKind, note: string, edit: (change: Change) => void): void {
    let change = changes.at(-1)
    if (change?.kind !== kind || change.note !== note) changes.push((change = emptyChange(kind, note, document)))
    edit(change)
    change.after = document
    if (running) batchTimer ??= setTimeout(flush, BATCH_MS)
  }

  function heartbeat(): void {
    // Asked again when its turn comes: one is enough for all who wanted it meanwhile.
    void enqueue(async () => {
      if (running && isOld()) await announce(emptyChange('heartbeat', '', announced))
    })
  }

  const isOld = (): boolean => now() - signedAt >= (leaseMs / 3) * 0.9

  /** A node with a session knows that this one is there. So the lease is renewed only while the directory holds one without; see also `refresh`. */
  const lease = createLeaseTimer(leaseMs, random, () => {
    if (directory.visible().some(({ connected }) => !connected)) heartbeat()
  })

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
    // While the signature was checked an answer to another head may have gone beyond this one.
    if (compareVersion(signed.head, { incarnation, sequence }) <= 0) return 'ignore'
    if (!heals.take(self)) {
      if (!conflict) onConflict?.()
      conflict = true
      return refuse('announce.duplicate-identity', 'ignore')
    }
    count('announce.incarnation-healed')
    incarnation = signed.head.incarnation + 1
    sequence = 0
    if (running) void enqueue(() => announce(wholeChange(announced)))
    return 'ignore'
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
      const first = wholeChange(document)
      await enqueue(() => announce(first))
      lease.start()
    },
    async stop(reason) {
      if (!running) return
      running = false
      clearTimeout(batchTimer)
      // What is not announced yet must not follow the goodbye.
      batchTimer = undefined
      changes = []
      lease.stop()
      document = { ...document, capabilities: new Map() }
      await enqueue(() => announce(emptyChange('node-leave', reason, document)))
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
      if (compareBytes(bytes, document.infoBytes) === 0) return
      edit([], [], bytes)
      queue('updated', '', (change) => (change.info = bytes))
    },
    async ingest(record, from) {
      if (!records.take(from)) {
        count('announce.too-often')
        return false
      }
      const verdict = await check(record.signed)
      // A peer that checks what it takes has nothing false to pass on.
      if (verdict === 'reject')
        throw new MeshError('protocol_error', 'a record is of another mesh or was not signed by its origin')
      if (verdict !== 'accept') return false
      const outcome = directory.applyRecord(record, now())
      if (outcome === 'invalid') throw new MeshError('protocol_error', 'a record does not match its signed hash')
      return outcome === 'applied'
    },
    async refresh() {
      if (!running) return line
      if (batchTimer !== undefined) {
        clearTimeout(batchTimer)
        flush()
      }
      if (isOld()) heartbeat()
      await line
    },
    heardOfStranger: () => lease.hasten()
  }
}
