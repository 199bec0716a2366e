import {
  SYNC_PROTOCOL,
  MAX_ROWS,
  decodeSyncEnd,
  decodeSyncItem,
  decodeSyncRequest,
  encodeSyncItem,
  encodeSyncRequest,
  type Row,
  type SyncItem
} from '../../protocols/sync/messages.ts'
import type { DocumentRecord } from '../../protocols/announce/messages.ts'
import { compare as compareBytes } from 'uint8arrays/compare'
import { MeshError } from '../errors.ts'
import { originId } from '../core/document.ts'
import type { Directory } from '../core/directory.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import type { IncomingExchange } from './inbound-exchanges.ts'
import type { Protocol } from './protocol.ts'
import type { Session } from './session.ts'

/**
 * Comparisons that this node answers at once, one a peer; more are told to come back. Those that it asks for itself are not counted:
 * they cannot be held up by others.
 */
export const MAX_CONCURRENT_COMPARISONS = 8
/** One comparison takes at most this long, on either side, in ms: a silent peer must not keep others from theirs. */
export const SYNC_TIMEOUT_MS = 15_000
/** A peer whose comparison is answered and that neither sends nor reads for this time is not waited for any longer, in ms. */
export const SYNC_IDLE_MS = 3_000
/** Origins that one peer may say it gets no answer from, and how many at once: as many as may be behind a switch that loses its power. Each is a ping. */
export const DOUBT_RATE = { perSecond: 5, burst: 256 } as const

/** What the sync protocol needs. */
export interface SyncComponents {
  directory: Directory
  now: () => number
  /** Checks and applies a record of another origin. Resolves with true if it was news. */
  ingest(record: DocumentRecord, from: string): Promise<boolean>
  /** Records were learnt from a peer: others may need them too. `hearsay` if any was not the peer's own. */
  onLearned(from: string, hearsay: boolean): void
  /** Of the notices that this node knows; told whenever directories are compared. Default: nothing is told. */
  noticeDigest?(): Uint8Array
  /** A peer told that of its own. */
  onNoticeDigest?(peer: string, digest: Uint8Array): void
  /** A peer gets no answer from an origin, by PeerId: a hint, at a bounded rate. */
  onDoubt?(origin: string): void
  /** Default: {@link SYNC_IDLE_MS}. */
  idleMs?: number
}

/** How a comparison ended. */
export type Outcome = ReturnType<typeof decodeSyncEnd>

/** What gossip cannot give: the whole directory for who comes late, agreement after a partition. */
export interface Sync {
  protocol: Protocol
  /**
   * Brings this node and the peer to the same directory. Resolves when both have what the other had, with how that was; `busy` if the
   * peer compares with too many others and is to be asked again later. Rejects with MeshError if the session or the peer fails.
   */
  reconcile(session: Session, peer: string): Promise<Outcome>
  /** Gets the records of some origins. */
  pull(session: Session, peer: string, origins: Uint8Array[]): Promise<void>
  /** Tells a peer of an origin that does not answer this node. */
  doubt(session: Session, origin: Uint8Array): Promise<void>
}

/** See {@link Sync}. */
export function createSync(components: SyncComponents): Sync {
  const { directory, now, ingest, onLearned, idleMs = SYNC_IDLE_MS, noticeDigest, onNoticeDigest, onDoubt } = components
  const doubts = createTokenBuckets(DOUBT_RATE, now)
  /** Peers whose comparisons are being answered. */
  const answering = new Set<string>()

  function* rowItems(): Generator<SyncItem> {
    const rows = directory.rows()
    for (let at = 0; at === 0 || at < rows.length; at += MAX_ROWS) {
      yield { kind: 'rows', rows: rows.slice(at, at + MAX_ROWS), last: at + MAX_ROWS >= rows.length }
    }
  }

  function* recordItems(origins: Iterable<string>): Generator<SyncItem> {
    for (const origin of origins) {
      const record = directory.record(origin, now())
      if (record !== undefined) yield { kind: 'record', record }
    }
  }

  async function take(record: DocumentRecord, peer: string, learned: Set<string>): Promise<void> {
    if (await ingest(record, peer)) learned.add(originId(record.signed.head.origin))
  }

  function tell(peer: string, learned: ReadonlySet<string>): void {
    if (learned.size > 0) onLearned(peer, learned.size > 1 || !learned.has(peer))
  }

  async function* handle({ body, input, cancellation }: IncomingExchange, peer: string): AsyncGenerator<unknown, unknown, void> {
    const request = decodeSyncRequest(body)
    if (request.op === 'pull') {
      for (const item of recordItems(request.origins.map(originId))) yield encodeSyncItem(item)
      return 'done'
    }
    if (request.op === 'doubt') {
      for (const origin of request.origins) if (doubts.take(peer)) onDoubt?.(originId(origin))
      return 'done'
    }
    if (request.notices !== undefined) onNoticeDigest?.(peer, request.notices)
    if (compareBytes(request.digest, directory.digest()) === 0) return 'equal'
    if (answering.has(peer) || answering.size >= MAX_CONCURRENT_COMPARISONS) return 'busy'
    answering.add(peer)
    const watch = watchdog(idleMs, (error) => cancellation.abort(error))
    const learned = new Set<string>()
    try {
      for (const item of rowItems()) {
        yield encodeSyncItem(item)
        watch.alive()
      }
      let wanted: string[] = []
      for await (const raw of input ?? []) {
        watch.alive()
        const item = decodeSyncItem(raw)
        if (item.kind === 'want') wanted = item.origins.map(originId)
        else if (item.kind === 'record') await take(item.record, peer, learned)
        else throw new MeshError('protocol_error', 'rows from the side that asked')
      }
      for (const item of recordItems(wanted)) {
        yield encodeSyncItem(item)
        watch.alive()
      }
      return 'done'
    } finally {
      watch.stop()
      answering.delete(peer)
      tell(peer, learned)
    }
  }

  async function reconcile(session: Session, peer: string): Promise<Outcome> {
    const learned = new Set<string>()
    let gotRows!: (rows: Row[] | undefined) => void
    const rows = new Promise<Row[] | undefined>((resolve) => (gotRows = resolve))
    async function* answer(): AsyncGenerator<unknown, void, void> {
      const theirs = await rows
      if (theirs === undefined) return
      const { want, offer } = directory.compare(theirs, now())
      if (want.length > 0) yield encodeSyncItem({ kind: 'want', origins: want })
      for (const item of recordItems(offer)) yield encodeSyncItem(item)
    }
    const notices = noticeDigest?.()
    const body = encodeSyncRequest({ op: 'digest', digest: directory.digest(), count: directory.size, notices })
    const exchange = session.request(body, { signal: AbortSignal.timeout(SYNC_TIMEOUT_MS), input: answer() })
    const collected: Row[] = []
    try {
      for (;;) {
        const step = await exchange.next()
        if (step.done === true) return decodeSyncEnd(step.value)
        const item = decodeSyncItem(step.value)
        if (item.kind === 'record') await take(item.record, peer, learned)
        else if (item.kind === 'rows') {
          collected.push(...item.rows)
          if (collected.length > MAX_ROWS * 16) throw new MeshError('too_large', 'a peer sent a directory that is too large')
          if (item.last) gotRows(collected)
        } else throw new MeshError('protocol_error', 'a wish from the side that answers')
      }
    } finally {
      gotRows(undefined)
      await exchange.return(undefined)
      tell(peer, learned)
    }
  }

  return {
    protocol: { id: SYNC_PROTOCOL, timeoutMs: SYNC_TIMEOUT_MS, handle },
    reconcile,
    async pull(session, peer, origins) {
      const exchange = session.request(encodeSyncRequest({ op: 'pull', origins }), {
        signal: AbortSignal.timeout(SYNC_TIMEOUT_MS)
      })
      const learned = new Set<string>()
      for await (const raw of exchange) {
        const item = decodeSyncItem(raw)
        if (item.kind !== 'record') throw new MeshError('protocol_error', 'a pull is answered with records')
        await take(item.record, peer, learned)
      }
      tell(peer, learned)
    },
    async doubt(session, origin) {
      const request = encodeSyncRequest({ op: 'doubt', origins: [origin] })
      await session.request(request, { signal: AbortSignal.timeout(SYNC_TIMEOUT_MS) }).next()
    }
  }
}

/** Barks once when `alive` was not called for `ms`. */
function watchdog(ms: number, bark: (error: MeshError) => void): { alive(): void; stop(): void } {
  let timer: ReturnType<typeof setTimeout>
  const alive = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => bark(new MeshError('deadline_exceeded', `the peer neither sent nor read for ${ms} ms`)), ms)
  }
  alive()
  return { alive, stop: () => clearTimeout(timer) }
}
