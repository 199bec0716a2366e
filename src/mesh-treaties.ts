import { NO_NOTICES, type Notices } from '../protocols/member/notices.ts'
import { originId } from './core/document.ts'
import { MeshError } from './errors.ts'
import type { MeshTreaties, TreatyView } from './mesh-api.ts'
import type { MeshComponents } from './mesh-components.ts'
import { MAX_TREATY_NAME } from '../protocols/treaty/messages.ts'
import type { Pact } from './trust/treaties.ts'
import type { TreatyDesk } from './trust/treaty-desk.ts'

/** How long an offer asks for unless told otherwise, in ms: 90 days. */
export const DEFAULT_TREATY_MS = 90 * 86_400_000

/** What the commands of treaties need. */
export interface MeshTreatiesComponents extends Pick<MeshComponents, 'membership' | 'audit'> {
  /** Connected nodes of a mesh. */
  connected(mesh: string): number
  /** Acts on what was just made here, and tells the members. */
  announce(notices: Notices): Promise<void>
}

/** See {@link MeshTreaties}. */
export function createMeshTreaties({ membership, audit, connected, announce }: MeshTreatiesComponents): MeshTreaties {
  const { treaties } = membership

  function view(pact: Pact, agreed = true): TreatyView {
    const { serial, mesh, name, lends, borrows, notBefore, notAfter, revoked } = pact
    const holds = treaties.inForce().some((one) => one.serial === serial)
    const isKnown = treaties.pacts().some((one) => one.serial === serial)
    return {
      serial,
      mesh,
      name,
      lends: [...lends],
      borrows: [...borrows],
      notBefore: dateOf(notBefore),
      notAfter: dateOf(notAfter),
      state: revoked !== undefined ? 'revoked' : holds ? 'in_force' : !agreed ? 'offer' : isKnown ? 'not_yet_valid' : 'agreed',
      ...(revoked !== undefined && {
        revoked: {
          mesh: originId(revoked.revocation.mesh),
          reason: revoked.revocation.reason,
          at: dateOf(revoked.revocation.at)
        }
      }),
      connected: connected(mesh)
    }
  }

  function tellSigned(event: 'treaty-offer' | 'treaty-accept', { mesh, serial, lends, borrows }: Pact): void {
    audit?.({ event, mesh, serial, lends, borrows })
  }

  /** Serial number of the treaty that is meant. */
  function find(named: string): string {
    const fitting = treaties.pacts().filter(({ serial, name, mesh }) => [serial, name, mesh].includes(named))
    const open = fitting.filter(({ revoked }) => revoked === undefined)
    if (open.length > 1)
      throw new MeshError('ambiguous', `${open.length} treaties are with "${named}"; name one by its serial number`, {
        candidates: open.map(({ serial }) => serial)
      })
    if (open.length === 1) return open[0]!.serial
    if (fitting.length > 0) throw new MeshError('invalid_argument', `the treaty with "${named}" was revoked already`)
    // An offer that is not back yet: nobody but its serial number is known of it here.
    if (/^[0-9a-f]{32}$/.test(named)) return named
    throw new MeshError('invalid_argument', `no treaty is with "${named}"; atmo treaty list shows them`)
  }

  return {
    list: () => treaties.pacts().map((pact) => view(pact)),
    async offer({ mesh, name = '', lends = [], borrows = [], forMs = DEFAULT_TREATY_MS }) {
      if (name.length > MAX_TREATY_NAME || /\p{C}/u.test(name))
        throw new MeshError('invalid_argument', `a mesh has a name of at most ${MAX_TREATY_NAME} printable characters`)
      const { code, pact } = await treaties.offer({ mesh, name, lends, borrows, forS: Math.floor(forMs / 1_000) })
      tellSigned('treaty-offer', pact)
      return { code, treaty: view(pact, false) }
    },
    async show(code) {
      const { pact, agreed, ownOffer } = await treaties.read(code)
      return { treaty: view(pact, agreed), signs: !agreed && !ownOffer }
    },
    async accept(code) {
      const { code: signed, pact, notices } = await treaties.accept(code)
      tellSigned('treaty-accept', pact)
      await announce({ ...NO_NOTICES, ...notices })
      return { code: signed, treaty: view(pact) }
    },
    async revoke(named, reason) {
      // Before anything is looked for: the open mesh has none, and says so.
      const serial = find(named)
      const notices = await treaties.revoke(serial, reason)
      audit?.({ event: 'treaty-revoke', serial, reason })
      await announce({ ...NO_NOTICES, ...notices })
      const pact = treaties.pacts().find((one) => one.serial === serial)
      if (pact !== undefined) return view(pact)
      const at = dateOf(notices.treatyRevocations[0]?.revocation.at ?? 0)
      const revoked = { mesh: membership.mesh, reason, at }
      return {
        serial,
        mesh: '',
        name: '',
        lends: [],
        borrows: [],
        notBefore: at,
        notAfter: at,
        state: 'revoked',
        revoked,
        connected: 0
      }
    }
  }
}

const dateOf = (unixS: number): string => new Date(Math.min(unixS, MAX_DATE_S) * 1_000).toISOString()
/** The last second that a Date can hold. */
const MAX_DATE_S = 8.64e12

/** Tells a person, and the audit log, of treaties that are new or were revoked. */
export function tellTreaties(
  fresh: Notices,
  { treaties, log, audit }: Pick<MeshComponents, 'log' | 'audit'> & { treaties: Pick<TreatyDesk, 'pacts'> }
): void {
  for (const { treaty } of fresh.treaties) {
    const pact = treaties.pacts().find(({ signed }) => signed.treaty.serial === treaty.serial)
    if (pact === undefined || pact.revoked !== undefined) continue
    const { serial, mesh, lends, borrows } = pact
    log('info', `a treaty with ${pact.name} (${mesh})`)
    audit?.({ event: 'treaty', mesh, serial, lends, borrows })
  }
  for (const signed of fresh.treatyRevocations) {
    const { reason, mesh: by } = signed.revocation
    for (const { mesh, name: called, serial } of treaties.pacts().filter(({ revoked }) => revoked === signed)) {
      log('info', `the treaty with ${called} (${mesh}) was revoked: ${reason}`)
      audit?.({ event: 'treaty-revoked', mesh, serial, by: originId(by), reason })
    }
  }
}
