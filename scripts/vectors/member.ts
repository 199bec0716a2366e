import {
  MAX_CERTIFICATE_BYTES,
  MAX_CHAIN,
  MAX_VALIDITY_S,
  encodeCertificate,
  encodeMemberAnswer,
  encodeMemberEnd,
  encodeMemberHello,
  encodeMemberIntroduction
} from '../../protocols/member/messages.ts'
import { MAX_REVOCATIONS } from '../../protocols/member/revocation.ts'
import { MAX_KEEPS, MAX_SUCCESSIONS, encodeSuccession } from '../../protocols/member/succession.ts'
import { NO_NOTICES, encodeNotices, type Notices } from '../../protocols/member/notices.ts'
import { MAX_TREATIES } from '../../protocols/treaty/messages.ts'
import { encodeCbor } from '../../protocols/cbor.ts'
import { ORIGIN } from './announce.ts'
import { cbor, cborFaults, invalidValue, type Vectors } from './form.ts'
import { CERTIFICATE, FIELDS, MESH, NONCE, REVOKED, SIGNED, SUCCESSION, SUCCESSION_FIELDS } from './member-signed.ts'
import { AGREED, TREATY_REVOKED } from './treaty.ts'

const PROOF = Uint8Array.from({ length: 32 }, (_, n) => 255 - n)
const REVOCATIONS: Notices = { ...NO_NOTICES, revocations: [REVOKED] }
const EVERYTHING: Notices = {
  successions: [SUCCESSION],
  revocations: [REVOKED],
  treaties: [AGREED],
  treatyRevocations: [TREATY_REVOKED]
}
const ALL: Notices = { ...NO_NOTICES, revocations: [REVOKED], treaties: [AGREED], treatyRevocations: [TREATY_REVOKED] }
const ANSWER = { p: PROOF, d: NONCE }

/** Vectors of the member protocol: certificates, signed by the Ed25519 key with the seed 0707…07, and bodies of frames. */
export function memberVectors(): Vectors {
  const [certificate, hello] = [invalidValue('certificate'), invalidValue('hello')]
  const succession = invalidValue('succession')
  const [answer, introduction] = [invalidValue('answer'), invalidValue('introduction')]
  const [end, revocation, notices] = [invalidValue('end'), invalidValue('revocation'), invalidValue('notices')]
  const field = (at: number, value: unknown): unknown[] => FIELDS.map((old, n) => (n === at ? value : old))
  const wire = [SIGNED.bytes, SIGNED.signature]
  return {
    valid: [
      { name: 'an admin', message: 'certificate', bytes: SIGNED.bytes },
      {
        name: 'a guest for one second, without a name',
        message: 'certificate',
        bytes: encodeCertificate({ ...CERTIFICATE, role: 'guest', forward: false, notAfter: CERTIFICATE.notBefore, name: '' })
      },
      {
        name: 'a member with tags',
        message: 'certificate',
        bytes: encodeCertificate({ ...CERTIFICATE, role: 'member', tags: ['kitchen', 'shared.2'] })
      },
      { name: 'hello', message: 'hello', bytes: encodeCbor(encodeMemberHello({ nonce: NONCE, proof: PROOF })) },
      {
        name: 'answer',
        message: 'answer',
        bytes: encodeCbor(encodeMemberAnswer({ proof: PROOF, chain: [SIGNED], digest: NONCE }))
      },
      {
        name: 'answer in an open mesh',
        message: 'answer',
        bytes: encodeCbor(encodeMemberAnswer({ proof: PROOF, chain: [], digest: NONCE }))
      },
      {
        name: 'introduction',
        message: 'introduction',
        bytes: encodeCbor(encodeMemberIntroduction({ chain: [SIGNED, SIGNED], digest: NONCE, notices: NO_NOTICES }))
      },
      {
        name: 'introduction with what it knows',
        message: 'introduction',
        bytes: encodeCbor(encodeMemberIntroduction({ chain: [], digest: NONCE, notices: REVOCATIONS }))
      },
      { name: 'end', message: 'end', bytes: encodeCbor(encodeMemberEnd({ notices: NO_NOTICES })) },
      { name: 'end with what it knows', message: 'end', bytes: encodeCbor(encodeMemberEnd({ notices: REVOCATIONS })) },
      { name: 'revocation', message: 'revocation', bytes: REVOKED.bytes },
      {
        name: 'hello with proofs of treaties',
        message: 'hello',
        bytes: encodeCbor(encodeMemberHello({ nonce: NONCE, proof: PROOF, treatyProofs: [PROOF, PROOF] }))
      },
      {
        name: 'answer to who does not know that its treaty was revoked',
        message: 'answer',
        bytes: encodeCbor(encodeMemberAnswer({ proof: PROOF, chain: [], digest: NONCE, ended: TREATY_REVOKED }))
      },
      {
        name: 'introduction with all that it knows',
        message: 'introduction',
        bytes: encodeCbor(encodeMemberIntroduction({ chain: [], digest: NONCE, notices: ALL }))
      },
      { name: 'end with all that it knows', message: 'end', bytes: encodeCbor(encodeMemberEnd({ notices: ALL })) },
      { name: 'notices', message: 'notices', bytes: encodeCbor(encodeNotices(ALL)) },
      { name: 'succession', message: 'succession', bytes: SUCCESSION.bytes },
      {
        name: 'succession that keeps nobody',
        message: 'succession',
        bytes: encodeSuccession({ ...SUCCESSION.succession, generation: 16, keeps: [] })
      },
      { name: 'notices with a succession', message: 'notices', bytes: encodeCbor(encodeNotices(EVERYTHING)) },
      {
        name: 'answer to a node of another mesh',
        message: 'answer',
        bytes: encodeCbor(
          encodeMemberAnswer({ proof: PROOF, chain: [SIGNED], digest: new Uint8Array(16), successions: [SUCCESSION] })
        )
      },
      { name: 'no notices', message: 'notices', bytes: encodeCbor(encodeNotices(NO_NOTICES)) }
    ],
    invalid: [
      certificate('an unknown version', 'version 2', field(0, 2)),
      certificate('no mesh', 'empty id', field(1, new Uint8Array(0))),
      certificate('a mesh that is text', 'not bytes', field(1, 'open')),
      certificate('a node that is too long', 'over 64 bytes', field(2, new Uint8Array(65))),
      certificate('an unknown role', 'role 4', field(3, 4)),
      certificate('a negative role', 'role -1', field(3, -1)),
      certificate('forward as a number', 'not a boolean', field(4, 1)),
      certificate('a time that is no integer', 'fraction', field(5, 1.5)),
      certificate('an end before its beginning', 'holds never', field(6, 1_799_999_999)),
      certificate('a validity of over 90 days', 'too long', field(6, 1_800_000_001 + MAX_VALIDITY_S)),
      certificate('an issuer of one byte', 'too short', field(7, new Uint8Array(1))),
      certificate('a short serial', '15 bytes', field(8, NONCE.subarray(1))),
      certificate('a long name', 'over 64 characters', field(9, 'x'.repeat(65))),
      certificate('tags that are no list', 'text', field(10, 'kitchen')),
      certificate(
        'too many tags',
        'nine',
        field(
          10,
          Array.from({ length: 9 }, (_, n) => `t${n}`)
        )
      ),
      certificate('a tag of capital letters', 'another form', field(10, ['Kitchen'])),
      certificate('a long tag', '33 characters', field(10, ['x'.repeat(33)])),
      certificate('no time since when', 'eleven of twelve', FIELDS.slice(0, 11)),
      certificate('a negative time since when', 'before 1970', field(11, -1)),
      certificate('a missing field', 'nine of twelve', FIELDS.slice(0, 9)),
      certificate('a map', 'not an array', { mesh: MESH }),
      { ...certificate('too large', 'over the limit', 0), bytes: cbor([...FIELDS, new Uint8Array(MAX_CERTIFICATE_BYTES)]) },
      hello('a short nonce', '15 bytes', { n: NONCE.subarray(1), p: PROOF }),
      hello('no nonce', 'missing', { p: PROOF }),
      hello('no proof', 'missing', { n: NONCE }),
      hello('a long proof', '33 bytes', { n: NONCE, p: new Uint8Array(33) }),
      hello('a list', 'not a map', [NONCE]),
      answer('no chain', 'missing', { p: PROOF, d: NONCE }),
      answer('no proof', 'missing', { c: [wire], d: NONCE }),
      answer('no digest', 'missing', { p: PROOF, c: [wire] }),
      answer('a short digest', '15 bytes', { ...ANSWER, d: NONCE.subarray(1) }),
      answer('a long chain', `more than ${MAX_CHAIN}`, { ...ANSWER, c: Array.from({ length: MAX_CHAIN + 1 }, () => wire) }),
      answer('a short signature', '63 bytes', { ...ANSWER, c: [[SIGNED.bytes, SIGNED.signature.subarray(1)]] }),
      answer('a certificate without a signature', 'missing', { ...ANSWER, c: [[SIGNED.bytes]] }),
      answer('three parts', 'too many', { ...ANSWER, c: [[...wire, 0]] }),
      answer('a certificate that is none', 'bytes of something else', { ...ANSWER, c: [[cbor('x'), SIGNED.signature]] }),
      introduction('no chain', 'missing', { d: NONCE }),
      introduction('no digest', 'missing', { c: [] }),
      introduction('a chain that is a map', 'not an array', { c: {}, d: NONCE }),
      introduction('a revocation without a chain', 'two of three parts', {
        c: [],
        d: NONCE,
        r: [[REVOKED.bytes, REVOKED.signature]]
      }),
      end('revocations that are a map', 'not an array', { r: {} }),
      end('a list', 'not a map', []),
      end('too many revocations', `more than ${MAX_REVOCATIONS}`, { r: Array.from({ length: MAX_REVOCATIONS + 1 }, () => 0) }),
      revocation('an unknown version', 'version 2', [2, MESH, ORIGIN, 7, MESH, '']),
      revocation('no mesh', 'empty id', [1, new Uint8Array(0), ORIGIN, 7, MESH, '']),
      revocation('a node that is text', 'not bytes', [1, MESH, 'pi', 7, MESH, '']),
      revocation('a time before 1970', 'negative', [1, MESH, ORIGIN, -1, MESH, '']),
      revocation('a long reason', 'over 256 characters', [1, MESH, ORIGIN, 7, MESH, 'x'.repeat(257)]),
      revocation('no reason', 'a field is missing', [1, MESH, ORIGIN, 7, MESH]),
      hello('too many proofs', `more than ${MAX_TREATIES}`, {
        n: NONCE,
        p: PROOF,
        f: Array.from({ length: MAX_TREATIES + 1 }, () => PROOF)
      }),
      hello('a short proof of a treaty', '31 bytes', { n: NONCE, p: PROOF, f: [PROOF.subarray(1)] }),
      answer('an end without a signature', 'missing', { ...ANSWER, c: [], e: [TREATY_REVOKED.bytes] }),
      notices('too many treaties', `more than ${MAX_TREATIES}`, { t: Array.from({ length: MAX_TREATIES + 1 }, () => 0) }),
      notices('an offer among treaties', 'one signature', { t: [[AGREED.bytes, AGREED.signatures[0], new Uint8Array(0)]] }),
      notices('a revocation of a treaty that is a map', 'not an array', { x: [{}] }),
      succession('an unknown version', 'version 2', [2, ...SUCCESSION_FIELDS.slice(1)]),
      succession('no mesh', 'empty id', [1, new Uint8Array(0), ...SUCCESSION_FIELDS.slice(2)]),
      succession('generation 0', 'the first key follows no other', [1, MESH, 0, ...SUCCESSION_FIELDS.slice(3)]),
      succession('generation 17', 'over the limit', [1, MESH, 17, ...SUCCESSION_FIELDS.slice(3)]),
      succession('a key of one byte', 'too short', [1, MESH, 1, new Uint8Array(1), 7, []]),
      succession('a time before 1970', 'negative', [1, MESH, 1, MESH, -1, []]),
      succession('no keeps', 'missing', [1, MESH, 1, MESH, 7]),
      succession('a short keep', '15 bytes', [1, MESH, 1, MESH, 7, [NONCE.subarray(1)]]),
      succession('too many keeps', `more than ${MAX_KEEPS}`, [
        1,
        MESH,
        1,
        MESH,
        7,
        Array.from({ length: MAX_KEEPS + 1 }, () => NONCE)
      ]),
      notices('too many successions', `more than ${MAX_SUCCESSIONS}`, {
        s: Array.from({ length: MAX_SUCCESSIONS + 1 }, () => 0)
      }),
      notices('a succession without a signature', 'missing', { s: [[SUCCESSION.bytes]] }),
      ...cborFaults('succession', SUCCESSION.bytes),
      ...cborFaults('notices', encodeCbor(encodeNotices(ALL))),
      ...cborFaults('revocation', REVOKED.bytes),
      ...cborFaults('certificate', SIGNED.bytes),
      ...cborFaults('hello', encodeCbor(encodeMemberHello({ nonce: NONCE, proof: PROOF })))
    ]
  }
}
