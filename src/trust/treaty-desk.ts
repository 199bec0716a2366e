import type { PrivateKey } from '@libp2p/interface'
import { equals } from 'uint8arrays/equals'
import { fromString } from 'uint8arrays/from-string'
import {
  MAX_TREATIES,
  MAX_TREATY_REASON,
  MAX_TREATY_S,
  SERIAL_BYTES,
  TREATY_SECRET_BYTES,
  isLentType,
  type SignedTreaty
} from '../../protocols/treaty/messages.ts'
import type { SignedCertificate } from '../../protocols/member/messages.ts'
import type { Notices } from '../../protocols/member/notices.ts'
import type { SignedSuccession } from '../../protocols/member/succession.ts'
import { originBytes } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import { CLOCK_TOLERANCE_S, verifyChain, type ChainCheck, type CheckedMember } from './certificate.ts'
import { mergeSuccessions } from './merge.ts'
import type { MeshClock } from './mesh-clock.ts'
import type { MeshState } from './mesh-state.ts'
import {
  countersign,
  issueOffer,
  issueTreatyRevocation,
  pactOf,
  type Pact,
  type Treaties,
  type TreatyNotices
} from './treaties.ts'
import { MAX_FOREIGN_SUCCESSIONS, type Successions } from './successions.ts'
import { createTreatyCodes, refused, type ReadTreaty } from './treaty-codes.ts'

/** Longest time that an offer asks for, in s: the treaty begins a little before, for clocks that are behind. */
export const MAX_OFFER_S = MAX_TREATY_S - 86_400

/** What an owner offers to another mesh. */
export interface OfferTerms {
  /** Id of the other mesh. */
  mesh: string
  /** What it is called here, for people. */
  name: string
  /** Globs over types. */
  lends: readonly string[]
  borrows: readonly string[]
  /** How long it is to hold, in s. */
  forS: number
}

/** What a mesh agrees on with others: made by owners with its key, known to all members. */
export interface TreatyDesk extends Pick<Treaties, 'pacts' | 'inForce' | 'isLent' | 'isBorrowed'> {
  /** @returns the code of an offer. @throws MeshError `permission_denied` without the key of the mesh, `invalid_argument`. */
  offer(terms: OfferTerms): Promise<{ code: string; pact: Pact }>
  /** Reads a code and checks its signatures. @throws MeshError `invalid_argument` if it is none, `permission_denied` with `details.reason`. */
  read(code: string): Promise<ReadTreaty>
  /**
   * Signs an offer of another mesh, or takes a treaty in that both have signed; it is kept when this resolves. `notices` is what was new.
   * @throws MeshError `permission_denied`, `invalid_argument`, `too_large`, `unavailable` if it cannot be kept.
   */
  accept(code: string): Promise<{ code: string; pact: Pact; notices: TreatyNotices & Pick<Notices, 'successions'> }>
  /** Ends treaties of that serial number, known here or not. @throws MeshError `permission_denied`, `unavailable` if it cannot be kept. */
  revoke(serial: string, reason: string): Promise<TreatyNotices>
  /** How long until the next of those that hold now ends, in s, by the clock of the mesh; undefined if none holds. */
  nextEndS(): number | undefined
  /** Checks the certificates of a node of another mesh. @throws MeshError `permission_denied`. */
  check(chain: readonly SignedCertificate[], peer: string, mesh: string): Promise<CheckedMember>
}

/** What the desk stands on. */
export interface TreatyDeskComponents {
  known: Treaties
  clock: MeshClock
  state(): MeshState
  /** The key that signs for the mesh now, if this node has it. */
  meshKey(): PrivateKey | undefined
  successions: Pick<Successions, 'of' | 'all' | 'take' | 'keysOf' | 'rootStanding'>
  /** Keeps notices on disk: `update` is called when the state is that of before. @throws MeshError `unavailable`. */
  keep(update: (before: TreatyNotices) => TreatyNotices & Partial<Pick<Notices, 'successions'>>): Promise<void>
  isRevoked: ChainCheck['isRevoked']
}

/** The desk of a mesh that can have no treaties. */
export function closedTreatyDesk(none: () => never): TreatyDesk {
  return {
    pacts: () => [],
    inForce: () => [],
    isLent: () => false,
    isBorrowed: () => false,
    nextEndS: () => undefined,
    offer: async () => none(),
    read: async () => none(),
    accept: async () => none(),
    revoke: async () => none(),
    check: async () => none()
  }
}

/** See {@link TreatyDesk}. */
export function createTreatyDesk(components: TreatyDeskComponents): TreatyDesk {
  const { known, clock, state, successions, keep, isRevoked } = components
  const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes))
  const own = originBytes(state().mesh)
  const codes = createTreatyCodes({ own, clock, known, successions })

  function key(): PrivateKey {
    const meshKey = components.meshKey()
    if (meshKey === undefined)
      throw new MeshError('permission_denied', 'only an owner, who has the key of the mesh, signs for it', { reason: 'no_key' })
    return meshKey
  }

  /** First on disk: what is acted on must not be forgotten. @param keys of the other mesh. */
  async function takeOwn(fresh: TreatyNotices, keys: readonly SignedSuccession[] = []): Promise<TreatyNotices> {
    await keep(({ treaties, treatyRevocations }) => ({
      ...(keys.length > 0 && {
        successions: mergeSuccessions(state(), [...successions.all(), ...missing(keys, successions.all())])
      }),
      treaties: [...treaties.filter(({ bytes }) => !fresh.treaties.some((one) => equals(one.bytes, bytes))), ...fresh.treaties],
      treatyRevocations: [...treatyRevocations, ...fresh.treatyRevocations]
    }))
    await successions.take(
      keys,
      keys.map(({ succession }) => succession.mesh)
    )
    return known.take(fresh)
  }

  return {
    pacts: known.pacts,
    inForce: known.inForce,
    isLent: known.isLent,
    isBorrowed: known.isBorrowed,
    async read(code) {
      const { pact, agreed, ownOffer } = await codes.read(code)
      return { pact, agreed, ownOffer }
    },
    nextEndS() {
      const ends = known.inForce().map(({ notAfter }) => notAfter)
      // They hold to the end of their last second.
      return ends.length === 0 ? undefined : Math.min(...ends) + 1 - clock.nowS()
    },
    async offer({ mesh, name, lends, borrows, forS }) {
      const meshKey = key()
      if (!/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/.test(mesh))
        throw new MeshError(
          'invalid_argument',
          `"${mesh.slice(0, 80)}" is no id of a mesh; its owner sees it in: atmo status --json`
        )
      if (mesh === state().mesh)
        throw new MeshError('invalid_argument', 'that is the id of this very mesh; name the other one', { reason: 'own_mesh' })
      const bad = [...lends, ...borrows].find((glob) => !isLentType(glob))
      if (bad !== undefined)
        throw new MeshError('invalid_argument', `"${bad.slice(0, 200)}" is no glob over types, such as "sensor/*" or "llm/**"`)
      if (lends.length + borrows.length === 0)
        throw new MeshError(
          'invalid_argument',
          'a treaty in which nobody lends anything is none; name types to lend or to borrow'
        )
      if (!Number.isSafeInteger(forS) || forS < 1 || forS > MAX_OFFER_S)
        throw new MeshError('invalid_argument', `a treaty holds for 1 s to ${MAX_OFFER_S / 86_400} days`)
      const now = clock.nowS()
      const signed = await issueOffer(
        {
          mesh: state().mesh,
          name: state().name,
          other: mesh,
          otherName: name,
          lends,
          borrows,
          secret: random(TREATY_SECRET_BYTES),
          serial: random(SERIAL_BYTES),
          notBefore: now - CLOCK_TOLERANCE_S,
          notAfter: now + forS
        },
        meshKey
      )
      return { code: codes.write(signed), pact: pactOf(signed, own) }
    },
    async accept(code) {
      const { pact, agreed, ownOffer, keys } = await codes.read(code)
      if (ownOffer && !agreed)
        throw refused(
          'half_signed',
          'it is an offer of this mesh; it is for the owner of the other one, who sends it back signed'
        )
      const signed: SignedTreaty = agreed ? pact.signed : await countersign(pact.signed, own, key())
      const valid = known.inForce().filter(({ serial }) => serial !== pact.serial)
      if (valid.length >= MAX_TREATIES)
        throw new MeshError('too_large', `this mesh has ${MAX_TREATIES} treaties already; revoke one first`)
      // What is on disk must be taken in again at the next start.
      const others = successions.all().filter(({ succession }) => !equals(succession.mesh, own))
      if (others.length + keys.length > MAX_FOREIGN_SUCCESSIONS)
        throw new MeshError('too_large', 'the meshes of its treaties have replaced too many keys; revoke a treaty first')
      const taken = await takeOwn({ treaties: [signed], treatyRevocations: [] }, keys)
      // Members cannot check a signature of the other mesh without its keys, old or new.
      const notices = { ...taken, successions: successions.of(originBytes(pact.mesh)) }
      return { code: codes.write(signed), pact: { ...pact, signed }, notices }
    },
    async revoke(serial, reason) {
      const meshKey = key()
      if (reason.length > MAX_TREATY_REASON)
        throw new MeshError('invalid_argument', `a reason has at most ${MAX_TREATY_REASON} characters`)
      const revocation = { mesh: own, serial: fromString(serial, 'base16'), at: clock.nowS(), reason }
      return takeOwn({ treaties: [], treatyRevocations: [await issueTreatyRevocation(revocation, meshKey)] })
    },
    async check(chain, peer, mesh) {
      if (!known.inForce().some((pact) => pact.mesh === mesh)) throw refused('no_treaty', 'no treaty with its mesh holds now')
      // Nothing of it moves this node's clock: another mesh is not asked for the time.
      return verifyChain(chain, {
        mesh: originBytes(mesh),
        node: originBytes(peer),
        nowS: clock.nowS(),
        toleranceS: clock.toleranceS(),
        rootStanding: successions.rootStanding,
        isRevoked
      })
    }
  }
}

const missing = (list: readonly SignedSuccession[], known: readonly SignedSuccession[]): SignedSuccession[] =>
  list.filter(({ bytes }) => !known.some((one) => equals(one.bytes, bytes)))
