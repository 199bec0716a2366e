import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { encodeCbor } from '../../protocols/cbor.ts'
import {
  MAX_LENT_TYPES,
  MAX_TREATY_BYTES,
  MAX_TREATY_S,
  encodeSignedTreaty,
  encodeSignedTreatyRevocation,
  encodeTreaty,
  encodeTreatyRevocation,
  signedTreatyBytes,
  signedTreatyRevocationBytes,
  type SignedTreaty,
  type SignedTreatyRevocation,
  type Treaty
} from '../../protocols/treaty/messages.ts'
import { MAX_GENERATIONS, encodeSuccession, encodeSuccessions } from '../../protocols/member/succession.ts'
import { encodeTreatyCode } from '../../protocols/treaty/code.ts'
import { cbor, cborFaults, invalidValue, type Vectors } from './form.ts'
import { SUCCESSION } from './member-signed.ts'

const KEYS = await Promise.all([7, 8].map((seed) => generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(seed))))
const idOf = (n: number): Uint8Array => peerIdFromPrivateKey(KEYS[n]!).toMultihash().bytes
/** The keys with the seeds 0707…07 and 0808…08, in the order of their ids. */
const [FIRST, SECOND] = Buffer.compare(idOf(0), idOf(1)) < 0 ? [0, 1] : [1, 0]
const MESHES = [idOf(FIRST), idOf(SECOND)] as const
const SECRET = Uint8Array.from({ length: 32 }, (_, n) => n * 5)
const SERIAL = Uint8Array.from({ length: 16 }, (_, n) => 100 + n)
const TREATY: Treaty = {
  meshes: MESHES,
  names: ['home', 'club'],
  lends: [['sensor/*', 'llm/**'], ['printer/3d']],
  secret: SECRET,
  notBefore: 1_800_000_000,
  notAfter: 1_800_000_000 + MAX_TREATY_S,
  serial: SERIAL
}
const { names: NAMES, lends: LENDS, notBefore: FROM, notAfter: TO } = TREATY
const FIELDS = [1, MESHES, NAMES, LENDS, SECRET, FROM, TO, SERIAL]

/** A treaty that both have signed. */
export const AGREED: SignedTreaty = await (async () => {
  const bytes = encodeTreaty(TREATY)
  const sign = async (n: number): Promise<Uint8Array> => KEYS[n]!.sign(signedTreatyBytes(bytes))
  return { bytes, treaty: TREATY, signatures: [await sign(FIRST), await sign(SECOND)] }
})()

/** Its revocation, by the first mesh. */
export const TREATY_REVOKED: SignedTreatyRevocation = await (async () => {
  const revocation = { mesh: MESHES[0], serial: SERIAL, at: 1_800_000_007, reason: 'moved away' }
  const bytes = encodeTreatyRevocation(revocation)
  return { bytes, revocation, signature: await KEYS[FIRST]!.sign(signedTreatyRevocationBytes(bytes)) }
})()

/** Vectors of treaties, signed by the Ed25519 keys with the seeds 0707…07 and 0808…08. */
export function treatyVectors(): Vectors {
  const [treaty, signed, revocation] = [invalidValue('treaty'), invalidValue('signed'), invalidValue('revocation')]
  const field = (at: number, value: unknown): unknown[] => FIELDS.map((old, n) => (n === at ? value : old))
  const [one, two] = AGREED.signatures
  const code = invalidValue('code')
  const coded = (...rest: unknown[]): unknown[] => [AGREED.bytes, one, two, ...rest]
  const stranger = { ...SUCCESSION.succession, mesh: SECRET.subarray(0, 8) }
  const elsewhere = { ...SUCCESSION, bytes: encodeSuccession(stranger), succession: stranger }
  const none = new Uint8Array(0)
  const long = Array.from({ length: MAX_LENT_TYPES + 1 }, () => 'x')
  const revoked = [1, MESHES[0], SERIAL, 7, '']
  const replaced = (at: number, value: unknown): unknown[] => revoked.map((old, n) => (n === at ? value : old))
  return {
    valid: [
      { name: 'two meshes that lend to each other', message: 'treaty', bytes: AGREED.bytes },
      {
        name: 'nothing lent, no names, for one second',
        message: 'treaty',
        bytes: encodeTreaty({ ...TREATY, names: ['', ''], lends: [[], []], notAfter: FROM })
      },
      { name: 'signed by both', message: 'signed', bytes: encodeCbor(encodeSignedTreaty(AGREED)) },
      {
        name: 'an offer of the first',
        message: 'signed',
        bytes: encodeCbor(encodeSignedTreaty({ ...AGREED, signatures: [one, undefined] }))
      },
      {
        name: 'an offer of the second',
        message: 'signed',
        bytes: encodeCbor(encodeSignedTreaty({ ...AGREED, signatures: [undefined, two] }))
      },
      {
        name: 'of meshes that have their first keys',
        message: 'code',
        bytes: encodeCbor(encodeTreatyCode({ signed: AGREED, successions: [] }))
      },
      {
        name: 'with the key that follows that of a mesh',
        message: 'code',
        bytes: encodeCbor(encodeTreatyCode({ signed: AGREED, successions: [SUCCESSION] }))
      },
      { name: 'revocation', message: 'revocation', bytes: TREATY_REVOKED.bytes },
      {
        name: 'signed revocation',
        message: 'signedRevocation',
        bytes: encodeCbor(encodeSignedTreatyRevocation(TREATY_REVOKED))
      }
    ],
    invalid: [
      treaty('an unknown version', 'version 2', field(0, 2)),
      treaty('one mesh', 'not a pair', field(1, [MESHES[0]])),
      treaty('three meshes', 'not a pair', field(1, [...MESHES, MESHES[0]])),
      treaty('the wrong order', 'not sorted', field(1, [MESHES[1], MESHES[0]])),
      treaty('a mesh with itself', 'equal ids', field(1, [MESHES[0], MESHES[0]])),
      treaty('an empty mesh', 'empty id', field(1, [none, MESHES[1]])),
      treaty('a mesh that is text', 'not bytes', field(1, ['home', MESHES[1]])),
      treaty('one name', 'not a pair', field(2, ['home'])),
      treaty('a long name', 'over 64 characters', field(2, ['x'.repeat(65), ''])),
      treaty('types of one side', 'not a pair', field(3, [['x']])),
      treaty('too many types', `more than ${MAX_LENT_TYPES}`, field(3, [long, []])),
      treaty('an empty type', 'no characters', field(3, [[''], []])),
      treaty('a long type', 'over 128 characters', field(3, [['x'.repeat(129)], []])),
      treaty('a type in capitals', 'types are lower-case', field(3, [['Sensor/*'], []])),
      treaty('a type with a line feed', 'not a type', field(3, [['sensor\n'], []])),
      treaty('a type that is a number', 'not text', field(3, [[7], []])),
      treaty('a short secret', '31 bytes', field(4, SECRET.subarray(1))),
      treaty('a time before 1970', 'negative', field(5, -1)),
      treaty('an end before its beginning', 'holds never', field(6, FROM - 1)),
      treaty('a validity of over 366 days', 'too long', field(6, TO + 1)),
      treaty('a short serial', '15 bytes', field(7, SERIAL.subarray(1))),
      treaty('a missing field', 'seven of eight', FIELDS.slice(0, 7)),
      { ...treaty('too large', 'over the limit', 0), bytes: cbor([...FIELDS, new Uint8Array(MAX_TREATY_BYTES)]) },
      signed('no signature', 'nobody has signed', [AGREED.bytes, none, none]),
      signed('a short signature', '63 bytes', [AGREED.bytes, one!.subarray(1), two]),
      signed('a signature that is missing', 'two of three parts', [AGREED.bytes, one]),
      signed('four parts', 'too many', [AGREED.bytes, one, two, none]),
      signed('a treaty that is none', 'bytes of something else', [cbor('x'), one, two]),
      code('no signature', 'nobody has signed', [AGREED.bytes, none, none, []]),
      code('successions that are a map', 'not an array', coded({})),
      code('a succession without a signature', 'missing', coded([[SUCCESSION.bytes]])),
      code('a succession of a third mesh', 'no part in the treaty', coded(encodeSuccessions([elsewhere]))),
      code(
        'too many keys of one mesh',
        `more than ${MAX_GENERATIONS}`,
        coded(encodeSuccessions(Array.from({ length: MAX_GENERATIONS + 1 }, () => SUCCESSION)))
      ),
      code('a treaty that is none', 'bytes of something else', [cbor('x'), one, two]),
      code('seventeen parts', 'too many', coded(...Array.from({ length: 14 }, () => []))),
      revocation('an unknown version', 'version 2', replaced(0, 2)),
      revocation('no mesh', 'empty id', replaced(1, none)),
      revocation('a long serial', '17 bytes', replaced(2, new Uint8Array(17))),
      revocation('a time that is no integer', 'fraction', replaced(3, 1.5)),
      revocation('a long reason', 'over 256 characters', replaced(4, 'x'.repeat(257))),
      revocation('no reason', 'a field is missing', revoked.slice(0, 4)),
      invalidValue('signedRevocation')('no signature', 'missing', [TREATY_REVOKED.bytes]),
      invalidValue('signedRevocation')('a short signature', '63 bytes', [TREATY_REVOKED.bytes, one!.subarray(1)]),
      ...cborFaults('treaty', AGREED.bytes),
      ...cborFaults('revocation', TREATY_REVOKED.bytes)
    ]
  }
}
