import type { Connection, Libp2p } from '@libp2p/interface'
import { decodeWelcome, encodeWelcome, type Welcome } from '../../protocols/join/messages.ts'
import {
  NEARBY_NONCE_BYTES,
  NEARBY_PROTOCOL,
  authenticationString,
  commitmentTo,
  decodeNearbyNonce,
  decodeNearbyRequest,
  decodeNearbySight,
  encodeNearbyNonce,
  encodeNearbyRequest,
  encodeNearbySight,
  isCommitted,
  type NearbySight
} from '../../protocols/nearby/messages.ts'
import { originBytes } from '../core/document.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { AdmissionGate } from './admission-gate.ts'
import type { Protocol } from './protocol.ts'
import { ASK_RATE, MAX_SINGLE_STREAMS, answerSingle, limited, openSingle } from './single-exchange.ts'

/** A request to join nearby may wait for its person so long, in ms: as long as a door is open at most. */
export const NEARBY_TIMEOUT_MS = 600_000
/** A node that is looked at answers within this time, in ms. */
export const LOOK_TIMEOUT_MS = 3_000
/** Nodes that may ask at once. */
export const MAX_NEARBY_ASKING = 4
/** How often who asks looks whether the other side is still there, in ms. */
export const NEARBY_PING_MS = 5_000

/** A node that asks to be let in, and what its screen shows. */
export interface NearbyAsker {
  /** PeerId. */
  peer: string
  /** What it calls itself. */
  name: string
  /** The authentication string of this meeting. */
  code: string
}

/** What the answering side of the protocol stands on. */
export interface NearbyHost {
  /** PeerId of this node. */
  self: string
  sight(): NearbySight
  /** A node begins to ask, or looks. @throws MeshError `permission_denied` if the door is shut, or now is: too many asked. */
  begin(peer: string, op: 'look' | 'ask'): void
  /** Resolves with the welcome once a person has said yes. @throws MeshError `permission_denied`, `busy`, or what the signal stands for. */
  admit(asker: NearbyAsker, signal: AbortSignal): Promise<Welcome>
}

/** The answering side of the nearby protocol as data. @param room how many ask now, over all streams. */
export function nearbyProtocol({ self, sight, begin, admit }: NearbyHost, room = { asking: 0 }): Protocol {
  return {
    id: NEARBY_PROTOCOL,
    timeoutMs: NEARBY_TIMEOUT_MS,

    async *handle({ body, input, signal }, peer) {
      const request = decodeNearbyRequest(body)
      if (request.op === 'ask' && room.asking >= MAX_NEARBY_ASKING)
        throw new MeshError('busy', 'too many nodes ask to be let in; try again later')
      // Before this side names its nonce: whoever knows it and goes, has had a try.
      begin(peer, request.op)
      if (request.op === 'look') return encodeNearbySight(sight())
      room.asking++
      try {
        const nonce = crypto.getRandomValues(new Uint8Array(NEARBY_NONCE_BYTES))
        yield encodeNearbyNonce(nonce)
        const theirs = await firstOf(input)
        if (!isCommitted(request.commitment, theirs))
          throw new MeshError('protocol_error', 'the nonce is not the one that was committed to')
        const { mesh } = sight()
        const ids = { mesh, asks: originBytes(peer), answers: originBytes(self) }
        const code = authenticationString({ ...ids, nonces: { asks: theirs, answers: nonce } })
        return encodeWelcome(await admit({ peer, name: request.name, code }, signal))
      } finally {
        room.asking--
      }
    }
  }
}

async function firstOf(input: AsyncIterable<unknown> | undefined): Promise<Uint8Array> {
  for await (const item of input ?? []) return decodeNearbyNonce(item)
  throw new MeshError('protocol_error', 'the exchange ended without a nonce')
}

/** Answers nodes nearby that want to become members. */
export interface NearbyDesk {
  start(): Promise<void>
  stop(): Promise<void>
}

/** What it needs. */
export interface NearbyDeskComponents extends NearbyHost {
  libp2p: Pick<Libp2p, 'handle' | 'unhandle'> & { services: { gate: AdmissionGate } }
  now: () => number
  /** True while strangers may ask. */
  isOpen(): boolean
  /** This connection may stay though nothing is proved on it. */
  excuse(connection: Connection): void
}

/** See {@link NearbyDesk}. */
export function createNearbyDesk({ libp2p, now, isOpen, excuse, ...host }: NearbyDeskComponents): NearbyDesk {
  const room = { asking: 0 }
  const asks = createTokenBuckets(ASK_RATE, now)
  return {
    async start() {
      const { gate } = libp2p.services
      gate.leaveOpen(NEARBY_PROTOCOL, isOpen)
      await libp2p.handle(
        NEARBY_PROTOCOL,
        async (stream, connection) => {
          const peer = connection.remotePeer.toString()
          const admit: NearbyHost['admit'] = (asker, signal) => {
            excuse(connection)
            return host.admit(asker, signal)
          }
          await answerSingle(stream, peer, limited(nearbyProtocol({ ...host, admit }, room), asks), now)
          // Nothing else is open to it; to use its membership, or to ask again, it comes anew.
          if (!gate.isAdmitted(peer)) await connection.close().catch(() => undefined)
        },
        { maxInboundStreams: 1, maxOutboundStreams: MAX_SINGLE_STREAMS }
      )
    },
    stop: () => libp2p.unhandle(NEARBY_PROTOCOL)
  }
}

/** Looks which mesh a connected node is of. @returns undefined if it does not say: its door is shut. */
export async function lookNearby(connection: Connection, now: () => number): Promise<NearbySight | undefined> {
  const signal = AbortSignal.timeout(LOOK_TIMEOUT_MS)
  try {
    const session = await openSingle(connection, NEARBY_PROTOCOL, { signal, now })
    try {
      const step = await session.request(encodeNearbyRequest({ op: 'look' }), { signal }).next()
      return step.done === true ? decodeNearbySight(step.value) : undefined
    } finally {
      await session.close()
    }
  } catch {
    return undefined
  }
}

/** Who asks, whom, and how. */
export interface NearbyAsk {
  connection: Connection
  /** PeerId of this node. */
  self: string
  /** What this node calls itself. */
  name: string
  /** Id of the mesh that was seen. */
  mesh: Uint8Array
  now: () => number
  signal: AbortSignal
  /** Shows the authentication string. Resolves with true if a person says that the other screen shows the same; the signal ends the question. */
  confirm(code: string, signal: AbortSignal): Promise<boolean>
}

/**
 * Asks a node nearby to be let in: resolves when the people on both sides have said yes.
 * @throws MeshError `permission_denied` if one says no, `busy`, `protocol_error`, `cancelled`, `unavailable` if the other side is gone.
 */
export async function askNearby({ connection, self, name, mesh, now, signal, confirm }: NearbyAsk): Promise<Welcome> {
  const over = new AbortController()
  const both = AbortSignal.any([signal, over.signal])
  const session = await openSingle(connection, NEARBY_PROTOCOL, { signal: both, now })
  const lost = watch(() => session.ping(), both)
  // Heard when somebody waits for it, and no fault when nobody does.
  lost.catch(() => undefined)
  const nonce = crypto.getRandomValues(new Uint8Array(NEARBY_NONCE_BYTES))
  let reveal!: (item: unknown) => void
  const mine = new Promise<unknown>((resolve) => (reveal = resolve))
  const exchange = session.request(encodeNearbyRequest({ op: 'ask', commitment: commitmentTo(nonce), name }), {
    signal: both,
    input: (async function* () {
      yield await mine
    })()
  })
  try {
    const first = await Promise.race([exchange.next(), lost])
    if (first.done === true) throw new MeshError('protocol_error', 'the node ended the exchange without an answer')
    const answers = connection.remotePeer.toMultihash().bytes
    const nonces = { asks: nonce, answers: decodeNearbyNonce(first.value) }
    reveal(encodeNearbyNonce(nonce))
    const code = authenticationString({ mesh, asks: originBytes(self), answers, nonces })
    const theirYes = exchange.next().then((last) => {
      if (last.done !== true) throw new MeshError('protocol_error', 'the node sent more than an answer')
      return decodeWelcome(last.value)
    })
    const ourYes = confirm(code, both).then((same) => {
      if (!same) throw new MeshError('permission_denied', 'you said that the screens differ: this node did not join', notApproved)
    })
    const [welcome] = await Promise.race([Promise.all([theirYes, ourYes]), lost])
    return welcome
  } catch (error) {
    throw toMeshError(error)
  } finally {
    over.abort(new MeshError('cancelled', 'this node does not ask any more'))
    await exchange.return(undefined).catch(() => undefined)
    session.abort(new MeshError('cancelled', 'this node does not ask any more'))
  }
}
const notApproved = { reason: 'not_approved' }

/** Rejects when the other side does not answer; never resolves. */
function watch(ping: () => Promise<unknown>, signal: AbortSignal): Promise<never> {
  return new Promise<never>((_, reject) => {
    let answered = true
    const timer = setInterval(() => {
      if (!answered) return reject(new MeshError('unavailable', 'the other node is gone'))
      answered = false
      ping().then(
        () => (answered = true),
        (error: unknown) => reject(toMeshError(error))
      )
    }, NEARBY_PING_MS)
    signal.addEventListener('abort', () => clearInterval(timer), { once: true })
  })
}
