import type { Connection, StreamMiddleware } from '@libp2p/interface'
import { MeshError } from '../errors.ts'

/** A stream waits this long for its peer to be admitted, in ms. */
export const ADMISSION_TIMEOUT_MS = 10_000
/** Streams of one peer that wait to be admitted; more are reset. */
export const MAX_WAITING_STREAMS = 32

/** What is used of libp2p's registrar beyond its interface; checked before use, since it may change. */
interface MiddlewareSource {
  getMiddleware(protocol: string): StreamMiddleware[]
}

/** What is open to a peer that is admitted: every protocol, or only these. */
export type Opening = 'all' | ReadonlySet<string>

/** Lets streams of admitted peers pass, in both directions; all others get no further than naming a protocol. */
export interface AdmissionGate {
  /** Until then everything passes. @throws MeshError `internal` if the registrar is not what it was: a node without a gate must not start. */
  close(): void
  /** Streams of this protocol pass before their peer is admitted, while `isOpen` says so. */
  leaveOpen(protocol: string, isOpen?: () => boolean): void
  /** @param opening default: everything. An admission to more replaces one to less, never the other way. */
  admit(peer: string, opening?: Opening): void
  /** From now on; streams that are open stay so until their connection ends. */
  dismiss(peer: string): void
  /** What is open to a peer; undefined if it is not admitted. */
  openingOf(peer: string): Opening | undefined
  isAdmitted(peer: string): boolean
}

/**
 * The gate before every protocol of a node, libp2p's own included, on every transport. Made as a service of libp2p, since only those see
 * its registrar. It does not register a middleware: libp2p 3.3 adds the handler of each stream to the list of its protocol for good,
 * so that a list that is registered grows with every stream.
 */
export function createAdmissionGate(registrar: object): AdmissionGate {
  const source = registrar as Partial<MiddlewareSource>
  const open = new Map<string, () => boolean>()
  const admitted = new Map<string, Opening>()
  const waiting = new Map<string, Set<() => void>>()

  const pass: StreamMiddleware = async (stream, connection, next) => {
    const peer = connection.remotePeer.toString()
    if (open.get(stream.protocol)?.() !== true) {
      if (!admitted.has(peer)) await wait(peer, connection)
      const opening = admitted.get(peer)
      // Not "refused": a peer that is here for another protocol is no stranger, and whoever opens this one need not try again.
      if (opening !== 'all' && opening?.has(stream.protocol) !== true)
        throw new MeshError('unsupported', 'this protocol is not open between meshes')
    }
    next(stream, connection)
  }
  async function wait(peer: string, connection: Connection): Promise<void> {
    const others = waiting.get(peer) ?? new Set()
    waiting.set(peer, others)
    if (others.size >= MAX_WAITING_STREAMS) throw refused()
    let wake!: () => void
    const admission = new Promise<void>((resolve) => (wake = resolve))
    others.add(wake)
    const timer = setTimeout(wake, ADMISSION_TIMEOUT_MS)
    connection.addEventListener('close', wake, { once: true })
    try {
      await admission
      if (!admitted.has(peer)) throw refused()
    } finally {
      clearTimeout(timer)
      connection.removeEventListener('close', wake)
      others.delete(wake)
      if (others.size === 0) waiting.delete(peer)
    }
  }

  return {
    close() {
      if (typeof source.getMiddleware !== 'function')
        throw new MeshError(
          'internal',
          'this version of libp2p has no middleware for streams; the gate of the mesh cannot be set up'
        )
      source.getMiddleware = () => [pass]
    },
    leaveOpen: (protocol, isOpen = () => true) => void open.set(protocol, isOpen),
    admit(peer, opening = 'all') {
      if (admitted.get(peer) !== 'all') admitted.set(peer, opening)
      for (const wake of waiting.get(peer) ?? []) wake()
    },
    dismiss: (peer) => void admitted.delete(peer),
    openingOf: (peer) => admitted.get(peer),
    isAdmitted: (peer) => admitted.has(peer)
  }
}

function refused(): MeshError {
  return new MeshError('permission_denied', 'the peer is no member of this mesh')
}
