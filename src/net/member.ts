import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import {
  MEMBER_PROTOCOL,
  NONCE_BYTES,
  NOTICE_DIGEST_BYTES,
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
import { NO_NOTICES, type Notices } from '../../protocols/member/notices.ts'
import type { SignedSuccession } from '../../protocols/member/succession.ts'
import type { SignedTreatyRevocation } from '../../protocols/treaty/messages.ts'
import { compare as compareBytes } from 'uint8arrays/compare'
import { equals } from 'uint8arrays/equals'
import { originBytes, originId } from '../core/document.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { Protocol } from './protocol.ts'
import type { Session } from './session.ts'

/** An exchange of proofs takes at most this long, in ms. */
export const MEMBER_TIMEOUT_MS = 5_000

/** Nodes of other meshes are not told what this one knows. */
const NO_DIGEST = new Uint8Array(NOTICE_DIGEST_BYTES)

/** A treaty, as far as proofs go. */
export interface TreatyProof {
  /** Id of the other mesh. */
  mesh: string
  secret: Uint8Array
  /** It was revoked: by this. */
  ended?: SignedTreatyRevocation | undefined
}

/** What proofs need. */
export interface MemberComponents {
  /** PeerId of this node. */
  self: string
  /** Secret of the mesh, 32 bytes. */
  secret: Uint8Array
  /** Treaties of the mesh whose time is not over. */
  treaties(): readonly TreatyProof[]
  /** This node's own certificates. */
  chain(): SignedCertificate[]
  /** What this node knows that all members are to know, and the digest of that. */
  notices(): Notices
  noticeDigest(): Uint8Array
  /** Successions of the key of the own mesh: what nodes of other meshes are told. */
  successions?(): readonly SignedSuccession[]
  /** Takes those of a peer, before it is looked at. */
  learn(notices: Notices, peer: string): Promise<void>
  /** A peer that asked is refused, since it is revoked, and told so. */
  onRevoked(peer: string, error: MeshError): void
  /** Checks the certificates of a peer. @param mesh the other mesh that it is of, by its proof. @throws MeshError `permission_denied`. */
  check(chain: readonly SignedCertificate[], peer: string, mesh: string | undefined): Promise<void>
}

/** Both sides of the member protocol. */
export interface Member {
  protocol: Protocol
  /** Proves membership over a session that this side opened. Resolves when each side has accepted the other; what fails after `onAdmitted` takes the peer's admission back. @throws MeshError `permission_denied`, `protocol_error`, `unavailable`. */
  prove(session: Session, peer: string): Promise<void>
}

/**
 * @param onAdmitted called for a peer that is accepted: on the asking side before the other has accepted it, on the answering side at the end;
 * with the other mesh that it is of, if it is here by a treaty.
 */
export function createMember(components: MemberComponents, onAdmitted: (peer: string, mesh: string | undefined) => void): Member {
  const { self, secret, treaties, chain, check, learn, notices, noticeDigest, onRevoked } = components
  const proofOf = (key: Uint8Array, side: 'asks' | 'answers', nonce: Uint8Array, asks: string, answers: string): Uint8Array =>
    hmac(sha256, key, proofBytes(side, nonce, { asks: originBytes(asks), answers: originBytes(answers) }))

  const successions = components.successions ?? (() => [])
  /** Of another mesh a node is believed what that one's own key has signed, and nothing else. */
  async function learnForeign(shown: readonly SignedSuccession[], mesh: string, peer: string): Promise<void> {
    const own = shown.filter(({ succession }) => isOf(succession.mesh, mesh))
    if (own.length > 0) await learn({ ...NO_NOTICES, successions: own }, peer)
  }

  function shownTo({ own, inStep, known }: { own: boolean; inStep: boolean; known: boolean }): Notices {
    if (!own) return { ...NO_NOTICES, successions: successions() }
    if (inStep) return NO_NOTICES
    // Treaties have secrets: not for who has yet to show that its key is one of the mesh.
    return known ? notices() : { ...notices(), treaties: [], treatyRevocations: [] }
  }

  return {
    protocol: {
      id: MEMBER_PROTOCOL,
      timeoutMs: MEMBER_TIMEOUT_MS,
      async *handle({ body, input }, peer) {
        const { nonce, proof, treatyProofs = [] } = decodeMemberHello(body)
        const fits = (key: Uint8Array): ((shown: Uint8Array) => boolean) => {
          const wanted = proofOf(key, 'asks', nonce, peer, self)
          return (shown) => sameProof(shown, wanted)
        }
        const own = fits(secret)(proof)
        const treaty =
          own || treatyProofs.length === 0 ? undefined : treaties().find((one) => treatyProofs.some(fits(one.secret)))
        if (!own && treaty === undefined) throw stranger()
        const answer = proofOf(treaty?.secret ?? secret, 'answers', nonce, peer, self)
        if (treaty?.ended !== undefined) {
          // Its mesh does not know yet: it is told, and nothing else.
          yield encodeMemberAnswer({ proof: answer, chain: [], digest: NO_DIGEST, ended: treaty.ended })
          return encodeMemberEnd({ notices: NO_NOTICES })
        }
        const digest = treaty === undefined ? noticeDigest() : NO_DIGEST
        const told = treaty === undefined ? [] : successions()
        yield encodeMemberAnswer({ proof: answer, chain: chain(), digest, successions: told })
        for await (const item of input ?? []) {
          const introduction = decodeMemberIntroduction(item)
          const inStep = treaty !== undefined || equals(introduction.digest, digest)
          const known = inStep ? NO_NOTICES : notices()
          if (treaty === undefined) await learn(introduction.notices, peer)
          else await learnForeign(introduction.notices.successions, treaty.mesh, peer)
          try {
            await check(introduction.chain, peer, treaty?.mesh)
            onAdmitted(peer, treaty?.mesh)
          } catch (error) {
            // It is told by what, signed: it may not know yet that nobody wants it.
            if (!isOut(error) || inStep) throw error
            onRevoked(peer, error)
          }
          return encodeMemberEnd({ notices: known })
        }
        throw new MeshError('protocol_error', 'the exchange ended without an introduction')
      }
    },

    async prove(session, peer) {
      let accepted!: (introduction: unknown) => void
      const mine = new Promise<unknown>((resolve) => (accepted = resolve))
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
      const mineOf = (key: Uint8Array): Uint8Array => proofOf(key, 'asks', nonce, self, peer)
      const proven = treaties().filter(({ ended }) => ended === undefined)
      // Sorted, proofs say nothing of the order of the treaties: each is as good as random.
      const treatyProofs = proven.map((one) => mineOf(one.secret)).sort(compareBytes)
      const exchange = session.request(encodeMemberHello({ nonce, proof: mineOf(secret), treatyProofs }), {
        signal: AbortSignal.timeout(MEMBER_TIMEOUT_MS),
        input: (async function* () {
          yield await mine
        })()
      })
      try {
        const first = await exchange.next()
        if (first.done === true) throw new MeshError('protocol_error', 'the peer ended the exchange without an answer')
        const answer = decodeMemberAnswer(first.value)
        const fits = (key: Uint8Array): boolean => sameProof(answer.proof, proofOf(key, 'answers', nonce, self, peer))
        const own = fits(secret)
        const mesh = own ? undefined : proven.find((one) => fits(one.secret))?.mesh
        if (!own && mesh === undefined) throw stranger()
        if (mesh !== undefined && answer.ended !== undefined) {
          await learn({ ...NO_NOTICES, treatyRevocations: [answer.ended] }, peer)
          throw new MeshError('permission_denied', 'its mesh has revoked the treaty', { reason: 'treaty_revoked' })
        }
        if (mesh !== undefined) await learnForeign(answer.successions ?? [], mesh, peer)
        const digest = own ? noticeDigest() : NO_DIGEST
        const inStep = !own || equals(answer.digest, digest)
        let known = true
        const revoked = await check(answer.chain, peer, mesh).catch((error: unknown) => {
          // By a key that this side is told of only now, perhaps.
          known = !isUnknownKey(error)
          if (!known && !inStep) return undefined
          // It is told by what before this side leaves.
          if (!isOut(error) || inStep) throw error
          return error
        })
        accepted(encodeMemberIntroduction({ chain: chain(), digest, notices: shownTo({ own, inStep, known }) }))
        if (revoked !== undefined) {
          await exchange.next().catch(() => undefined)
          throw revoked
        }
        // What this side sends from now on waits at the other until it has accepted, too.
        if (inStep) onAdmitted(peer, mesh)
        const last = await exchange.next()
        if (last.done !== true) throw new MeshError('protocol_error', 'the peer sent more than an answer')
        if (inStep) return
        // What the other side knows, before anything is said to it: perhaps it is of itself.
        await learn(decodeMemberEnd(last.value).notices, peer)
        await check(answer.chain, peer, mesh)
        onAdmitted(peer, mesh)
      } finally {
        await exchange.return(undefined)
      }
    }
  }
}

/** It may not know yet what ended its membership. */
function isOut(error: unknown): error is MeshError {
  return isMeshError(error, 'permission_denied') && ['revoked', 'superseded'].includes(String(error.details['reason']))
}

function isUnknownKey(error: unknown): boolean {
  return isMeshError(error, 'permission_denied') && error.details['reason'] === 'broken_chain'
}

/** Ids that are none are of no mesh. */
function isOf(id: Uint8Array, mesh: string): boolean {
  try {
    return originId(id) === mesh
  } catch {
    return false
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
