import { decodeCbor, encodeCbor } from '../../protocols/cbor.ts'
import { formatInvite, parseInvite } from '../../protocols/join/code.ts'
import type { Invite } from '../../protocols/join/messages.ts'
import { encodeChain, type SignedCertificate } from '../../protocols/member/messages.ts'
import {
  decodeSignedRevocation,
  encodeRevocation,
  encodeSignedRevocation,
  signedRevocationBytes,
  type Revocation,
  type SignedRevocation
} from '../../protocols/member/revocation.ts'
import { originId } from '../../src/core/document.ts'
import { verifyChain } from '../../src/trust/certificate.ts'
import { privateMembership } from '../../src/trust/membership.ts'
import { foundMesh } from '../../src/trust/mesh-state.ts'
import { createRevocations } from '../../src/trust/revocations.ts'
import { FORGE_CHAIN } from './forge-chain.ts'
import { FORGED_SUCCESSIONS } from './forge-succession.ts'
import { FORGED_TREATIES } from './forge-treaty.ts'
import type { ForgedKind } from './forge.ts'
import { NOW_S, forgedMesh, idOf, type ForgedMesh } from './forged-mesh.ts'
import { mutate } from './mutate.ts'
import type { Random } from './random.ts'

/** Everything that must not be accepted when it is forged; another kind is one more entry. */
export const FORGED_KINDS: ForgedKind[] = [
  {
    name: 'certificates',
    async prepare() {
      const mesh = await forgedMesh()
      const check = (chain: readonly SignedCertificate[], node: Uint8Array): Promise<unknown> =>
        verifyChain(chain, { mesh: mesh.mesh, node, nowS: NOW_S })
      for (const { chain, id } of mesh.holders) await check(chain, id)
      const good = new Set(mesh.holders.map(({ chain }) => hexOf(encodeChain(chain))))
      return async (random) => {
        const { chain, id } = random.pick(mesh.holders)
        const forged = await random.pick(FORGE_CHAIN)(chain, mesh, random)
        if (good.has(hexOf(encodeChain(forged)))) return 'same'
        await check(forged, random.pick([id, forged[0]?.certificate.node ?? id, mesh.forger.id]))
        return 'accepted'
      }
    }
  },
  {
    name: 'revocations',
    async prepare() {
      const mesh = await forgedMesh()
      const [owner, admin] = mesh.holders
      const take = (signed: SignedRevocation): Promise<string> => createRevocations(mesh.mesh, () => NOW_S).take(signed)
      const good = [
        await revocationBy(mesh, mesh.meshKey, [], 0),
        await revocationBy(mesh, owner!.key, owner!.chain, 1),
        await revocationBy(mesh, admin!.key, admin!.chain, 2)
      ]
      for (const signed of good) if ((await take(signed)) !== 'new') throw new Error('a good revocation is refused')
      const known = new Set(good.map((signed) => hexOf(encodeSignedRevocation(signed))))
      return async (random) => {
        const forged = await forgeRevocation(random.pick(good), mesh, random)
        if (known.has(hexOf(encodeSignedRevocation(forged)))) return 'same'
        return (await take(forged)) === 'new' && !isAsGood(forged, good) ? 'accepted' : 'refused'
      }
    }
  },
  {
    name: 'invites',
    async prepare() {
      const { holders } = await forgedMesh()
      const nodeKey = holders[0]!.key
      const membership = await privateMembership({
        state: await foundMesh('forged'),
        nodeKey,
        wallS: () => NOW_S,
        now: () => 0,
        save: async () => undefined
      })
      const give = (): Invite => ({
        token: membership.invite({ role: 'member', forward: true }),
        node: idOf(nodeKey),
        addresses: [Uint8Array.of(4, 127, 0, 0, 1, 6, 0x0f, 0xa1)]
      })
      const welcome = (token: Uint8Array): Promise<unknown> =>
        membership.welcome({ op: 'join', token, name: 'node' }, originId(holders[1]!.id), undefined)
      await welcome(parseInvite(formatInvite(give())).token)
      let out = give()
      return async (random) => {
        if (!membership.isInviting) out = give()
        const { token } = parseInvite(forgeInvite(out, random))
        if (Buffer.compare(token, out.token) === 0) return 'same'
        await welcome(token)
        return 'accepted'
      }
    }
  },
  FORGED_TREATIES,
  FORGED_SUCCESSIONS
]

const hexOf = (value: unknown): string => Buffer.from(encodeCbor(value)).toString('hex')

async function revocationBy(
  { mesh, holders }: ForgedMesh,
  key: ForgedMesh['meshKey'],
  chain: SignedCertificate[],
  n: number
): Promise<SignedRevocation> {
  const revocation: Revocation = { mesh, node: holders[6 + (n % 2)]!.id, at: NOW_S - 60, issuer: idOf(key), reason: `${n}` }
  const bytes = encodeRevocation(revocation)
  return { bytes, revocation, chain, signature: await key.sign(signedRevocationBytes(bytes)) }
}

async function forgeRevocation(signed: SignedRevocation, mesh: ForgedMesh, random: Random): Promise<SignedRevocation> {
  const { holders, forger } = mesh
  const who = random.pick([...holders, forger])
  switch (random.below(6)) {
    case 0:
      return decodeSignedRevocation(decodeCbor(mutate([encodeCbor(encodeSignedRevocation(signed))], random)))
    case 1: {
      const revocation = { ...signed.revocation, ...changeOf(random, who.id) }
      return { ...signed, revocation, bytes: encodeRevocation(revocation) }
    }
    case 2:
      return { ...signed, signature: signed.signature.with(random.below(64), random.below(256)).slice() }
    case 3:
      return { ...signed, chain: who.chain }
    case 4:
      return { ...signed, chain: await random.pick(FORGE_CHAIN)(holders[1]!.chain, mesh, random) }
    default: {
      // Really signed, by who may revoke nobody, or nobody here.
      const small = random.pick([...holders.filter(({ chain: [own] }) => /member|guest/.test(own!.certificate.role)), forger])
      return revocationBy(mesh, small.key, small.chain, random.below(1_000))
    }
  }
}

const changeOf = (random: Random, id: Uint8Array): Partial<Revocation> =>
  random.pick([{ node: id }, { issuer: id }, { mesh: id }, { at: NOW_S - random.below(86_400) }, { reason: `${random.next()}` }])

/** The same statement with the same signature, and what comes along makes it no less good: the chain of an issuer that needs none. */
const isAsGood = ({ bytes, signature }: SignedRevocation, good: readonly SignedRevocation[]): boolean =>
  good.some(
    (one) => one.chain.length === 0 && Buffer.compare(one.bytes, bytes) === 0 && Buffer.compare(one.signature, signature) === 0
  )

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

function forgeInvite(invite: Invite, random: Random): string {
  const code = formatInvite(invite)
  const at = random.below(code.length)
  const other = { ...invite, token: random.bytes(16) }
  switch (random.below(6)) {
    case 0:
      return code.slice(0, at) + random.pick([...ALPHABET]) + code.slice(at + 1)
    case 1:
      return code.slice(0, at)
    case 2:
      return code.slice(0, at) + formatInvite(other).slice(at)
    case 3:
      return Buffer.from(mutate([Buffer.from(code)], random)).toString('latin1')
    case 4:
      // Whole and well-formed, and its token was never given.
      return formatInvite(other)
    default:
      return formatInvite({ ...invite, token: invite.token.with(random.below(16), random.below(256)).slice() })
  }
}
