import { NO_NOTICES, type Notices } from '../../protocols/member/notices.ts'
import type { SignedRevocation } from '../../protocols/member/revocation.ts'
import type { SignedSuccession } from '../../protocols/member/succession.ts'
import { originBytes } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import type { MeshClock } from './mesh-clock.ts'
import type { MeshState } from './mesh-state.ts'
import { createRevocations, noticeDigest, type Revocations } from './revocations.ts'
import { createSuccessions, type Successions } from './successions.ts'
import { createTreaties, type Treaties } from './treaties.ts'
import { sideOf } from './treaty-signatures.ts'

/** Revocations that are checked before the node turns to something else. */
const TAKEN_AT_ONCE = 16

/** What a node knows that all members are to know. */
export interface NoticeBoard {
  readonly successions: Successions
  readonly revocations: Revocations
  readonly treaties: Treaties
  /** True if a second key claims to follow one of the mesh. */
  readonly isKeyDisputed: boolean
  /** What others are to know. */
  all(): Notices
  /** Of these. */
  digest(): Uint8Array
  /** Takes what is good. @returns what was new, and whether anything was there that nobody passes on who checks. @throws MeshError `protocol_error` if a treaty is not good. */
  take(notices: Notices): Promise<{ fresh: Notices; refused: boolean }>
  /** Takes successions alone. */
  takeSuccessions(list: readonly SignedSuccession[]): Promise<void>
}

/** With what a node has kept. @throws MeshError `invalid_config` if that holds a treaty that nobody signed. */
export async function createNoticeBoard(state: MeshState, clock: Pick<MeshClock, 'nowS' | 'toleranceS'>): Promise<NoticeBoard> {
  const own = originBytes(state.mesh)
  const isPartner = (mesh: Uint8Array): boolean =>
    treaties.pacts().some(({ signed }) => sideOf(signed.treaty, mesh) !== undefined)
  const successions = createSuccessions(own, isPartner)
  const treaties = createTreaties(own, clock.nowS, clock.toleranceS, successions)
  const revocations = createRevocations(own, clock.nowS, clock.toleranceS, successions)
  let isKeyDisputed = false

  /** @param arriving treaties whose signatures cannot be checked before the keys are known. */
  async function takeSuccessions(list: readonly SignedSuccession[], arriving: Notices['treaties']) {
    const { fresh, outcomes } = await successions.take(
      list,
      arriving.flatMap(({ treaty }) => treaty.meshes)
    )
    isKeyDisputed ||= outcomes.has('conflict')
    return { fresh, refused: outcomes.has('refused') }
  }

  await takeSuccessions(state.successions ?? [], state.treaties ?? [])
  for (const signed of state.revocations) await revocations.take(signed, { kept: true })
  const { treaties: signed = [], treatyRevocations = [] } = state
  await treaties.take({ treaties: signed, treatyRevocations }, { kept: true }).catch(() => {
    throw new MeshError('invalid_config', 'the mesh of this node holds a treaty that nobody signed')
  })

  return {
    successions,
    revocations,
    treaties,
    get isKeyDisputed() {
      return isKeyDisputed
    },
    all: () => ({ successions: successions.all(), revocations: revocations.all(), ...treaties.all() }),
    digest: () => noticeDigest([...successions.keys(), ...revocations.keys(), ...treaties.keys()]),
    async take({ successions: shown, revocations: ends, ...agreed }) {
      const keys = await takeSuccessions(shown, agreed.treaties)
      let refused = keys.refused
      const fresh: SignedRevocation[] = []
      for (const [n, one] of ends.entries()) {
        const intake = await revocations.take(one)
        if (intake === 'new') fresh.push(one)
        // Whoever passes on one that nobody can have checked is not listened to any further: checks are what it makes us pay for.
        if ((refused ||= intake === 'refused')) break
        // Many take a while, and the node has other things to do.
        if (n % TAKEN_AT_ONCE === TAKEN_AT_ONCE - 1) await new Promise((resolve) => setTimeout(resolve))
      }
      const { treaties: pacts, treatyRevocations: over } = refused ? NO_NOTICES : await treaties.take(agreed)
      return { fresh: { successions: keys.fresh, revocations: fresh, treaties: pacts, treatyRevocations: over }, refused }
    },
    async takeSuccessions(list) {
      await takeSuccessions(list, [])
    }
  }
}
