import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { peerIdFromString } from '@libp2p/peer-id'
import {
  MEMBER_PROTOCOL,
  NONCE_BYTES,
  decodeMemberAnswer,
  decodeMemberEnd,
  decodeMemberHello,
  decodeMemberProof,
  encodeMemberAnswer,
  encodeMemberEnd,
  encodeMemberHello,
  encodeMemberProof,
  proofBytes,
  type SignedCertificate
} from '../../protocols/member/messages.ts'
import { MeshError } from '../errors.ts'
import type { Protocol } from './protocol.ts'
import type { Session } from './session.ts'

/** An exchange of proofs takes at most this long, in ms. */
export const MEMBER_TIMEOUT_MS = 5_000

/** What proofs need. */
export interface MemberComponents {
  /** PeerId of this node. */
  self: string
  /** Secret of the mesh, 32 bytes. */
  secret: Uint8Array
  /** This node's own certificates. */
  chain(): SignedCertificate[]
  /** Checks those of a peer. @throws MeshError `permission_denied`. */
  check(chain: readonly SignedCertificate[], peer: string): Promise<void>
}

/** Both sides of the member protocol. */
export interface Member {
  protocol: Protocol
  /** Proves membership over a session that this side opened. Resolves when each side has accepted the other. @throws MeshError `permission_denied`, `protocol_error`, `unavailable`. */
  prove(session: Session, peer: string): Promise<void>
}

/** @param onAdmitted called for a peer that asked and was accepted, before it is told. */
export function createMember({ self, secret, chain, check }: MemberComponents, onAdmitted: (peer: string) => void): Member {
  type Pair = Parameters<typeof proofBytes>[1]
  const proofOf = (side: 'asks' | 'answers', nonces: Pair, asks: string, answers: string): Uint8Array =>
    hmac(sha256, secret, proofBytes(side, nonces, { asks: idBytes(asks), answers: idBytes(answers) }))

  return {
    protocol: {
      id: MEMBER_PROTOCOL,
      timeoutMs: MEMBER_TIMEOUT_MS,
      async *handle({ body, input }, peer) {
        const nonces = { asks: decodeMemberHello(body).nonce, answers: randomNonce() }
        yield encodeMemberAnswer({ nonce: nonces.answers, proof: proofOf('answers', nonces, peer, self) })
        for await (const item of input ?? []) {
          const theirs = decodeMemberProof(item)
          if (!sameProof(theirs.proof, proofOf('asks', nonces, peer, self))) throw stranger()
          await check(theirs.chain, peer)
          onAdmitted(peer)
          return encodeMemberEnd({ chain: chain() })
        }
        throw new MeshError('protocol_error', 'the exchange ended without a proof')
      }
    },

    async prove(session, peer) {
      let answered!: (proof: unknown) => void
      const mine = new Promise<unknown>((resolve) => (answered = resolve))
      const nonce = randomNonce()
      const exchange = session.request(encodeMemberHello({ nonce }), {
        signal: AbortSignal.timeout(MEMBER_TIMEOUT_MS),
        input: (async function* () {
          yield await mine
        })()
      })
      try {
        const first = await exchange.next()
        if (first.done === true) throw new MeshError('protocol_error', 'the peer ended the exchange without an answer')
        const answer = decodeMemberAnswer(first.value)
        const nonces = { asks: nonce, answers: answer.nonce }
        if (!sameProof(answer.proof, proofOf('answers', nonces, self, peer))) throw stranger()
        answered(encodeMemberProof({ proof: proofOf('asks', nonces, self, peer), chain: chain() }))
        const last = await exchange.next()
        if (last.done !== true) throw new MeshError('protocol_error', 'the peer sent more than an answer')
        await check(decodeMemberEnd(last.value).chain, peer)
      } finally {
        await exchange.return(undefined)
      }
    }
  }
}

/** Takes as long for a proof that is nearly right as for any other. */
function sameProof(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < b.length; i++) difference |= (a[i] ?? 0) ^ b[i]!
  return difference === 0
}

/** The same for whoever it is: a stranger learns nothing from it. */
function stranger(): MeshError {
  return new MeshError('permission_denied', 'the node is no member of this mesh')
}

function randomNonce(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
}

function idBytes(peer: string): Uint8Array {
  return peerIdFromString(peer).toMultihash().bytes
}
