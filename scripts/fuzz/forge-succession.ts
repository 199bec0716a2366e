import { generateKeyPair } from '@libp2p/crypto/keys'
import { decodeCbor, encodeCbor } from '../../protocols/cbor.ts'
import { encodeCertificate } from '../../protocols/member/messages.ts'
import {
  decodeSuccessions,
  encodeSuccession,
  encodeSuccessions,
  type SignedSuccession,
  type Succession
} from '../../protocols/member/succession.ts'
import { createSuccessions, issueSuccession } from '../../src/trust/successions.ts'
import type { ForgedKind } from './forge.ts'
import { NOW_S, forgedMesh, idOf } from './forged-mesh.ts'
import { mutate } from './mutate.ts'

/** Successions of the key of a mesh, to be forged: before any is known, and after one is. */
export const FORGED_SUCCESSIONS: ForgedKind = {
  name: 'successions',
  async prepare() {
    const { mesh, meshKey, holders, forger } = await forgedMesh()
    const [second, third] = [await generateKeyPair('Ed25519'), await generateKeyPair('Ed25519')]
    const keeps = [new Uint8Array(16).fill(1)]
    const first: Succession = { mesh, generation: 1, key: idOf(second), at: NOW_S, keeps }
    const good = [
      await issueSuccession(first, meshKey),
      await issueSuccession({ ...first, generation: 2, key: idOf(third) }, second)
    ]
    const take = async (signed: SignedSuccession, after: SignedSuccession[]): Promise<boolean> => {
      const known = createSuccessions(mesh)
      await known.take(after)
      return (await known.take([signed])).fresh.length > 0
    }
    for (const [n, signed] of good.entries())
      if (!(await take(signed, good.slice(0, n)))) throw new Error('a good succession is refused')
    const hexOf = (signed: SignedSuccession): string => Buffer.from(encodeCbor(encodeSuccessions([signed]))).toString('hex')
    const known = new Set(good.map(hexOf))
    return async (random) => {
      const n = random.below(good.length)
      const signed = good[n]!
      const changed: Succession = {
        ...signed.succession,
        ...random.pick<Partial<Succession>>([
          { key: idOf(forger.key) },
          { mesh: random.pick(holders).id },
          { generation: 1 + random.below(16) },
          { at: NOW_S + random.below(86_400) },
          { keeps: [...keeps, random.bytes(16)] },
          { keeps: [] }
        ])
      }
      const isSame = Buffer.compare(encodeSuccession(changed), signed.bytes) === 0
      const forged = await [
        async () => decodeSuccessions(decodeCbor(mutate([encodeCbor(encodeSuccessions([signed]))], random)))[0] ?? signed,
        async () => ({ ...signed, succession: changed, bytes: encodeSuccession(changed) }),
        async () => ({ ...signed, signature: signed.signature.with(random.below(64), random.below(256)).slice() }),
        // Really signed: by members, by who is none, and by a key of the mesh whose turn it is not.
        async () => issueSuccession(changed, random.pick([...holders, forger]).key),
        async () => issueSuccession({ ...changed, mesh }, isSame ? forger.key : n === 0 ? third : meshKey),
        // A signature of the key of the mesh over something else.
        async () => ({ ...signed, signature: await meshKey.sign(encodeCertificate(holders[0]!.chain[0]!.certificate)) })
      ][random.below(6)]!()
      if (known.has(hexOf(forged))) return 'same'
      // What comes before the forged one is known; of the first, sometimes also itself.
      const before = random.below(2) === 0 ? good.slice(0, n) : good.slice(0, n + random.below(2))
      return (await take(forged, before)) ? 'accepted' : 'refused'
    }
  }
}
