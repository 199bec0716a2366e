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
import type { SignedRevocation } from '../../protocols/member/revocation.ts'
import type { SignedSuccession } from '../../protocols/member/succession.ts'
import { MAX_TREATIES, type SignedTreatyRevocation } from '../../protocols/treaty/messages.ts'
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
  /** Takes those of a peer whose certificates are good, or successions that are to make them so. */
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

  /**
   * Checks a peer, and takes what it tells only if its certificates are good: signatures are dear, and whoever was a member once knows the
   * secret. But they may be by a key that this node is told of only now.
   */
  async function checkAndLearn(
    shown: readonly SignedCertificate[],
    told: Notices,
    peer: string,
    mesh: string | undefined
  ): Promise<void> {
    // Of another mesh a node is believed what that one's own key has signed, and nothing else.
    const keys = told.successions.filter(({ succession }) => mesh === undefined || isOf(succession.mesh, mesh))
    const rest = mesh === undefined ? { ...told, successions: keys } : { ...NO_NOTICES, successions: keys }
    try {
      await check(shown, peer, mesh)
    } catch (error) {
      if (!isUnknownKey(error) || keys.length === 0) throw error
      await learn({ ...NO_NOTICES, successions: keys }, peer)
      await check(shown, peer, mesh)
    }
    if (!Object.values(rest).some(({ length }) => length > 0)) return
    await learn(rest, peer)
    // Perhaps it is of itself.
    await check(shown, peer, mesh)
  }

  /** For the asking side to show. */
  function shownTo({ own, inStep, standing }: { own: boolean; inStep: boolean; standing: Standing }): Notices {
    if (inStep && own) return NO_NOTICES
    if (standing.kind === 'out') return noticesOf(standing.chain)
    // Not the rest for who has yet to show that its key is one of the mesh: treaties have secrets, revocations names.
    return own && standing.kind === 'good' ? notices() : { ...NO_NOTICES, successions: successions() }
  }

  /** What a node that is out is told: by what. The rest is for members. */
  function noticesOf(chain: readonly SignedCertificate[]): Notices {
    const isOfChain = ({ revocation: { node } }: SignedRevocation): boolean =>
      chain.some(({ certificate }) => equals(certificate.node, node))
    return { ...NO_NOTICES, successions: successions(), revocations: notices().revocations.filter(isOfChain) }
  }

  /** What the answering side is, before this side says who it is. @throws MeshError `permission_denied` if there is nothing to say to it. */
  async function standingOf(
    shown: readonly SignedCertificate[],
    told: Notices,
    peer: string,
    mesh: string | undefined,
    inStep: boolean
  ): Promise<Standing> {
    try {
      await checkAndLearn(shown, told, peer, mesh)
      return { kind: 'good' }
    } catch (error) {
      // By a key that this side is told of only now, perhaps.
      if (isUnknownKey(error) && !inStep) return { kind: 'unknown' }
      if (!isOut(error) || inStep) throw error
      return { kind: 'out', error, chain: shown }
    }
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
        const fitting = own ? [] : treaties().filter((one) => treatyProofs.some(fits(one.secret)))
        // One that holds, before one that it took the place of.
        const treaty = fitting.find(({ ended }) => ended === undefined) ?? fitting[0]
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
          if (treaty !== undefined && introduction.notices.treatyRevocations.length > 0) {
            await learn(ofMesh(introduction.notices, treaty.mesh), peer)
            throw treatyRevoked('its mesh has revoked the treaty')
          }
          let known = inStep ? NO_NOTICES : notices()
          try {
            await checkAndLearn(introduction.chain, introduction.notices, peer, treaty?.mesh)
            onAdmitted(peer, treaty?.mesh)
          } catch (error) {
            // It is told by what, signed: it may not know yet that nobody wants it.
            if (!isOut(error) || inStep) throw error
            known = noticesOf(introduction.chain)
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
      // Also of those that this mesh has ended: the other may not have heard.
      const holding = new Set(treaties().flatMap(({ mesh, ended }) => (ended === undefined ? [mesh] : [])))
      const proven = treaties()
        .filter(({ mesh, ended }) => ended === undefined || !holding.has(mesh))
        .sort((one, other) => Number(one.ended !== undefined) - Number(other.ended !== undefined))
        .slice(0, MAX_TREATIES)
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
        const treaty = own ? undefined : proven.find((one) => fits(one.secret))
        if (!own && treaty === undefined) throw stranger()
        const mesh = treaty?.mesh
        if (treaty !== undefined && answer.ended !== undefined) {
          await learn({ ...NO_NOTICES, treatyRevocations: [answer.ended] }, peer)
          throw treatyRevoked('its mesh has revoked the treaty')
        }
        if (treaty?.ended !== undefined) {
          const ended = { ...NO_NOTICES, successions: successions(), treatyRevocations: [treaty.ended] }
          accepted(encodeMemberIntroduction({ chain: [], digest: NO_DIGEST, notices: ended }))
          await exchange.next().catch(() => undefined)
          throw treatyRevoked('this mesh has revoked the treaty')
        }
        const digest = own ? noticeDigest() : NO_DIGEST
        const inStep = !own || equals(answer.digest, digest)
        const told = { ...NO_NOTICES, successions: mesh === undefined ? [] : (answer.successions ?? []) }
        const standing = await standingOf(answer.chain, told, peer, mesh, inStep)
        accepted(encodeMemberIntroduction({ chain: chain(), digest, notices: shownTo({ own, inStep, standing }) }))
        if (standing.kind === 'out') {
          // It is told by what before this side leaves.
          await exchange.next().catch(() => undefined)
          throw standing.error
        }
        // What this side sends from now on waits at the other until it has accepted, too.
        if (inStep) onAdmitted(peer, mesh)
        const last = await exchange.next()
        if (last.done !== true) throw new MeshError('protocol_error', 'the peer sent more than an answer')
        if (inStep) return
        // What the other side knows, before anything is said to it.
        await checkAndLearn(answer.chain, decodeMemberEnd(last.value).notices, peer, mesh)
        onAdmitted(peer, mesh)
      } finally {
        await exchange.return(undefined)
      }
    }
  }
}

/** What a peer is, going by its certificates; `unknown`: they are by a key that is not known. */
type Standing = { kind: 'good' } | { kind: 'unknown' } | { kind: 'out'; error: MeshError; chain: readonly SignedCertificate[] }

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

/** The end of a treaty, and what the key of that mesh has come to, as a node of that mesh tells them. */
function ofMesh({ successions, treatyRevocations }: Notices, mesh: string): Notices {
  return {
    ...NO_NOTICES,
    successions: successions.filter(({ succession }) => isOf(succession.mesh, mesh)),
    treatyRevocations: treatyRevocations.filter(({ revocation }) => isOf(revocation.mesh, mesh))
  }
}

function treatyRevoked(why: string): MeshError {
  return new MeshError('permission_denied', why, { reason: 'treaty_revoked' })
}

/** The same for whoever it is: a stranger learns nothing from it. */
function stranger(): MeshError {
  return new MeshError('permission_denied', 'the node is no member of this mesh')
}
