import { decodeCbor, encodeCbor } from '../protocols/cbor.ts'
import { NO_NOTICES, decodeNotices, encodeNotices, type Notices } from '../protocols/member/notices.ts'
import { decodeSignedRevocation, encodeSignedRevocation, revocationTopic } from '../protocols/member/revocation.ts'
import { successionTopic, type SignedSuccession } from '../protocols/member/succession.ts'
import { treatyTopic } from '../protocols/treaty/messages.ts'
import { originId } from './core/document.ts'
import { createTokenBuckets } from './core/token-buckets.ts'
import { isMeshError } from './errors.ts'
import type { MeshComponents } from './mesh-components.ts'
import type { Verdict } from './net/announce.ts'

/** Notices that a neighbour may send over gossip: checking a signature is what it could make us pay for. */
export const NOTICE_RATE = { perSecond: 10, burst: 200 } as const

/** Revocations that go along with a succession in one message. */
const MAX_ALONG = 8

const DISPUTED =
  'two keys claim to follow a key of this mesh: who had it made another one, perhaps somebody who was revoked; this node goes by the first that it saw'

/** What all members of the mesh are to know, as it comes and goes: over gossip to who is here, in the proof of membership to who was away. */
export interface MeshNotices {
  /** Takes in what a peer shows, acts on it, and tells others what was new. @throws MeshError `protocol_error` if one is not good. */
  learn(notices: Notices): Promise<void>
  /** Tells who is connected, as far as gossip goes. Never rejects: whoever connects is told. */
  publish(notices: Notices): Promise<void>
  /** Hears others, once libp2p has started. */
  listen(): void
}

/** What it needs. */
export interface MeshNoticesComponents extends Pick<MeshComponents, 'membership' | 'gossip' | 'now' | 'log'> {
  /** Something was learnt, from others or not: acts on all that is known. `fresh` is what was new. */
  enforce(fresh: Notices): void
}

/** See {@link MeshNotices}. */
export function createMeshNotices({ membership, gossip, now, log, enforce }: MeshNoticesComponents): MeshNotices {
  const rates = createTokenBuckets(NOTICE_RATE, now)
  const revocationsTopic = revocationTopic(membership.mesh)
  const successions = successionTopic(membership.mesh)
  const treaties = treatyTopic(membership.mesh)
  let disputed = false

  const own = membership.mesh
  const isOwn = ({ succession }: SignedSuccession): boolean => originId(succession.mesh) === own

  async function take(notices: Notices): Promise<Notices> {
    if (sizeOf(notices) === 0) return NO_NOTICES
    let fresh = NO_NOTICES
    try {
      await membership.learn(notices, (taken) => (fresh = taken))
    } catch (error) {
      if (!isMeshError(error, 'unavailable')) throw error
      // In memory it holds: until the next start, when a neighbour tells it again.
      log('warn', `what the mesh tells could not be kept: ${error.message}`)
    } finally {
      enforce(fresh)
      if (membership.isKeyDisputed && !disputed) log('warn', DISPUTED)
      disputed = membership.isKeyDisputed
    }
    return fresh
  }

  async function publish({ successions: keys, revocations, ...agreed }: Notices): Promise<void> {
    const made = keys.filter(isOwn)
    let ended = revocations
    try {
      for (const [n, signed] of made.entries()) {
        // What the new key has signed goes along with it: nobody knows what it is worth before.
        const along = n === made.length - 1 ? ended.slice(0, MAX_ALONG) : []
        ended = ended.slice(along.length)
        await gossip.publish(successions, encodeCbor(encodeNotices({ ...NO_NOTICES, successions: [signed], revocations: along })))
      }
      // One a message: so readers of any version have heard the same.
      for (const signed of ended) await gossip.publish(revocationsTopic, encodeCbor(encodeSignedRevocation(signed)))
      // Those of the key of another mesh go with the treaty that it has signed: it could not be checked without.
      const rest = { ...NO_NOTICES, ...agreed, successions: keys.filter((one) => !isOwn(one)) }
      if (sizeOf(rest) > 0) await gossip.publish(treaties, encodeCbor(encodeNotices(rest)))
    } catch (error) {
      // Whoever connects is told: see the member protocol.
      log('warn', `telling the mesh: ${(error as Error).message}`)
    }
  }

  const validate =
    (read: (data: Uint8Array) => Notices) =>
    async (from: string, data: Uint8Array): Promise<Verdict> => {
      if (!rates.take(from)) return 'ignore'
      try {
        return sizeOf(await take(read(data))) > 0 ? 'accept' : 'ignore'
      } catch {
        return 'reject'
      }
    }

  return {
    publish,
    async learn(notices) {
      const fresh = await take(notices)
      if (sizeOf(fresh) > 0) void publish(fresh)
    },
    listen() {
      const revocation = (data: Uint8Array): Notices => ({
        ...NO_NOTICES,
        revocations: [decodeSignedRevocation(decodeCbor(data))]
      })
      gossip.subscribe(revocationsTopic, validate(revocation))
      gossip.subscribe(
        treaties,
        validate((data) => ({ ...decodeNotices(decodeCbor(data)), revocations: [] }))
      )
      gossip.subscribe(
        successions,
        validate((data) => ({ ...decodeNotices(decodeCbor(data)), treaties: [], treatyRevocations: [] }))
      )
    }
  }
}

const sizeOf = ({ successions, revocations, treaties, treatyRevocations }: Notices): number =>
  successions.length + revocations.length + treaties.length + treatyRevocations.length
