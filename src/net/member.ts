import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import {
  MEMBER_PROTOCOL,
  NONCE_BYTES,
  decodeMemberAnswer,
  decodeMemberEnd,
  decodeMemberHello,
  decodeMemberIntroduction,
  encodeMemberAnswer,
  encodeMemberEnd,
  encodeMemberHello,
  encodeMemberIntroduction,
  proofBytes,
  type SignedCertificate
} from '../../protocols/member/messages.ts'
import { equals } from 'uint8arrays/equals'
import type { SignedRevocation } from '../../protocols/member/revocation.ts'
import { originBytes } from '../core/document.ts'
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
  /** Of the revocations that this node knows. */
  revocationDigest(): Uint8Array
  revocations(): SignedRevocation[]
  /** Takes those of a peer, before it is looked at. */
  learn(revocations: readonly SignedRevocation[], peer: string): Promise<void>
  /** Checks those of a peer. @throws MeshError `permission_denied`. */
  check(chain: readonly SignedCertificate[], peer: string): Promise<void>
}

/** Both sides of the member protocol. */
export interface Member {
  protocol: Protocol
  /** Proves membership over a session that this side opened. Resolves when each side has accepted the other; what fails after `onAdmitted` takes the peer's admission back. @throws MeshError `permission_denied`, `protocol_error`, `unavailable`. */
  prove(session: Session, peer: string): Promise<void>
}

/** @param onAdmitted called for a peer that is accepted: on the asking side before the other has accepted it, on the answering side at the end. */
export function createMember(components: MemberComponents, onAdmitted: (peer: string) => void): Member {
  const { self, secret, chain, check, learn, revocations, revocationDigest } = components
  const proofOf = (side: 'asks' | 'answers', nonce: Uint8Array, asks: string, answers: string): Uint8Array =>
    hmac(sha256, secret, proofBytes(side, nonce, { asks: originBytes(asks), answers: originBytes(answers) }))

  return {
    protocol: {
      id: MEMBER_PROTOCOL,
      timeoutMs: MEMBER_TIMEOUT_MS,
      async *handle({ body, input }, peer) {
        const { nonce, proof } = decodeMemberHello(body)
        if (!sameProof(proof, proofOf('asks', nonce, peer, self))) throw stranger()
        const digest = revocationDigest()
        yield encodeMemberAnswer({ proof: proofOf('answers', nonce, peer, self), chain: chain(), digest })
        for await (const item of input ?? []) {
          const introduction = decodeMemberIntroduction(item)
          const own = equals(introduction.digest, digest) ? undefined : revocations()
          await learn(introduction.revocations ?? [], peer)
          await check(introduction.chain, peer)
          onAdmitted(peer)
          return encodeMemberEnd({ revocations: own })
        }
        throw new MeshError('protocol_error', 'the exchange ended without an introduction')
      }
    },

    async prove(session, peer) {
      let accepted!: (introduction: unknown) => void
      const mine = new Promise<unknown>((resolve) => (accepted = resolve))
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
      const exchange = session.request(encodeMemberHello({ nonce, proof: proofOf('asks', nonce, self, peer) }), {
        signal: AbortSignal.timeout(MEMBER_TIMEOUT_MS),
        input: (async function* () {
          yield await mine
        })()
      })
      try {
        const first = await exchange.next()
        if (first.done === true) throw new MeshError('protocol_error', 'the peer ended the exchange without an answer')
        const answer = decodeMemberAnswer(first.value)
        if (!sameProof(answer.proof, proofOf('answers', nonce, self, peer))) throw stranger()
        await check(answer.chain, peer)
        const digest = revocationDigest()
        const inStep = equals(answer.digest, digest)
        accepted(encodeMemberIntroduction({ chain: chain(), digest, revocations: inStep ? undefined : revocations() }))
        // What this side sends from now on waits at the other until it has accepted, too.
        if (inStep) onAdmitted(peer)
        const last = await exchange.next()
        if (last.done !== true) throw new MeshError('protocol_error', 'the peer sent more than an answer')
        if (inStep) return
        // What the other side knows, before anything is said to it: perhaps it is of itself.
        await learn(decodeMemberEnd(last.value).revocations ?? [], peer)
        await check(answer.chain, peer)
        onAdmitted(peer)
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
