import { decodeCbor, encodeCbor } from '../../protocols/cbor.ts'
import {
  ROLES,
  decodeCertificate,
  decodeChain,
  encodeCertificate,
  encodeChain,
  signedCertificateBytes,
  type Certificate,
  type SignedCertificate
} from '../../protocols/member/messages.ts'
import { signedRevocationBytes } from '../../protocols/member/revocation.ts'
import { CERTIFICATE_FIELDS, NOW_S, grantOf, type ForgedMesh, type Holder } from './forged-mesh.ts'
import { issueCertificate } from '../../src/trust/certificate.ts'
import { mutate } from './mutate.ts'
import type { Random } from './random.ts'

type ForgeChain = (
  chain: SignedCertificate[],
  mesh: ForgedMesh,
  random: Random
) => SignedCertificate[] | Promise<SignedCertificate[]>

/** Bits, cuts, insertions, other values: on the bytes of the whole chain. */
const bytes: ForgeChain = (chain, _mesh, random) => decodeChain(decodeCbor(mutate([encodeCbor(encodeChain(chain))], random)))

/** One certificate with other fields, encoded well, with the signature that it had. */
const fields: ForgeChain = (chain, mesh, random) => {
  const at = random.below(chain.length)
  const one = chain[at]!
  const changed = changeFields(one.certificate, mesh, random)
  return chain.with(at, { ...one, bytes: encodeCertificate(changed), certificate: changed })
}

/** Bits of the bytes that are signed, or of the signature. */
const inside: ForgeChain = (chain, _mesh, random) => {
  const at = random.below(chain.length)
  const { bytes: signed, signature } = chain[at]!
  const flip = (of: Uint8Array): Uint8Array => of.with(random.below(of.length), random.below(256)).slice()
  const next = random.next() < 0.5 ? { bytes: flip(signed), signature } : { bytes: signed, signature: flip(signature) }
  return chain.with(at, { ...next, certificate: decodeCertificate(next.bytes) })
}

const reorder: ForgeChain = (chain, _mesh, random) => {
  const left = [...chain]
  const out: SignedCertificate[] = []
  while (left.length > 0) out.push(...left.splice(random.below(left.length), 1))
  return out
}

/** The beginning of one chain before the end of another. */
const splice: ForgeChain = (chain, { holders, forger }, random) => {
  const other = random.pick([...holders, forger]).chain
  return [...chain.slice(0, 1 + random.below(chain.length)), ...other.slice(random.below(other.length + 1))]
}

const swapSignatures: ForgeChain = (chain, { holders }, random) => {
  const at = random.below(chain.length)
  return chain.with(at, { ...chain[at]!, signature: random.pick(random.pick(holders).chain).signature })
}

/** A certificate that its issuer really signed, and must not have given: of a role above it, or of another mesh. */
const overDelegate: ForgeChain = async (chain, { mesh, holders, forger }, random) => {
  const target = chain[0]!.certificate.node
  const issuer = random.pick(holders.filter(({ chain: [own] }) => own!.certificate.role !== 'owner').concat(forger))
  const own = issuer.chain[0]!.certificate.role
  const above = issuer === forger ? ROLES : ROLES.slice(0, own === 'admin' ? 2 : ROLES.length)
  return [await issueCertificate(grantOf(mesh, target, random.pick(above)), issuer.key), ...issuer.chain]
}

/** Signed by the forger's own key, whatever issuer it names; or by the right one, for another purpose. */
const resign: ForgeChain = async (chain, { holders, forger, meshKey }, random) => {
  const one = chain[0]!
  const purpose = random.pick([signedCertificateBytes, signedRevocationBytes, (raw: Uint8Array) => raw])
  const right = [meshKey, ...holders.map(({ key }) => key)]
  const key = purpose === signedCertificateBytes ? forger.key : random.pick(right)
  return [{ ...one, signature: await key.sign(purpose(one.bytes)) }, ...chain.slice(1)]
}

/** Ways to forge a chain. */
export const FORGE_CHAIN: readonly ForgeChain[] = [
  bytes,
  fields,
  fields,
  inside,
  reorder,
  splice,
  swapSignatures,
  overDelegate,
  resign
]

/** At least one field of a certificate is that of another one, or of nobody. */
export function changeFields(certificate: Certificate, { holders, forger }: ForgedMesh, random: Random): Certificate {
  const out: Record<string, unknown> = { ...certificate }
  for (let n = random.below(3); n >= 0; n--) {
    const field = random.pick(CERTIFICATE_FIELDS)
    const from = random.pick<Holder>([...holders, forger]).chain[0]!.certificate
    if (field === 'role') out[field] = random.pick(ROLES)
    else if (field === 'forward') out[field] = !certificate.forward
    else if (field === 'notBefore') out[field] = NOW_S - random.below(2 * 86_400)
    else if (field === 'notAfter') out[field] = NOW_S + random.below(30 * 86_400)
    else if (field === 'serial') out[field] = random.bytes(16)
    else if (field === 'name') out[field] = `node ${random.below(1_000)}`
    else out[field] = from[field]
  }
  return out as unknown as Certificate
}
