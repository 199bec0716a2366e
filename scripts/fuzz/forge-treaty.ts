import type { PrivateKey } from '@libp2p/interface'
import { decodeCbor, encodeCbor } from '../../protocols/cbor.ts'
import {
  decodeSignedTreaty,
  encodeSignedTreaty,
  encodeTreaty,
  signedTreatyBytes,
  type SignedTreaty,
  type Treaty
} from '../../protocols/treaty/messages.ts'
import { NO_NOTICES } from '../../protocols/member/notices.ts'
import { createTreaties } from '../../src/trust/treaties.ts'
import type { ForgedKind } from './forge.ts'
import { NOW_S, forgedMesh, idOf } from './forged-mesh.ts'
import { mutate } from './mutate.ts'
import type { Random } from './random.ts'

/** Both sides of a treaty, in the order in which it names them, and somebody who is neither. */
interface Parties {
  keys: [PrivateKey, PrivateKey]
  forger: PrivateKey
}

/** Treaties between two meshes, to be forged. */
export const FORGED_TREATIES: ForgedKind = {
  name: 'treaties',
  async prepare() {
    const [home, club] = [await forgedMesh(), await forgedMesh()]
    const [first, second] = [home.meshKey, club.meshKey].sort((a, b) => Buffer.compare(idOf(a), idOf(b))) as [
      PrivateKey,
      PrivateKey
    ]
    const parties: Parties = { keys: [first, second], forger: home.forger.key }
    const take = async (signed: SignedTreaty): Promise<boolean> => {
      const treaties = createTreaties(
        home.mesh,
        () => NOW_S,
        () => 600
      )
      return (await treaties.take({ ...NO_NOTICES, treaties: [signed] })).treaties.length > 0
    }
    const good = await Promise.all([0, 1, 2, 3].map((n) => sign(treatyOf(parties, n), parties.keys)))
    for (const signed of good) if (!(await take(signed))) throw new Error('a good treaty is refused')
    const known = new Set(good.map(hexOf))
    return async (random) => {
      const forged = await forge(random.pick(good), parties, random)
      if (known.has(hexOf(forged))) return 'same'
      return (await take(forged)) ? 'accepted' : 'refused'
    }
  }
}

const hexOf = (signed: SignedTreaty): string => Buffer.from(encodeCbor(encodeSignedTreaty(signed))).toString('hex')

function treatyOf({ keys }: Parties, n: number): Treaty {
  return {
    meshes: [idOf(keys[0]), idOf(keys[1])],
    names: ['home', 'club'],
    lends: [['sensor/*'], ['printer/**']],
    secret: new Uint8Array(32).fill(n),
    notBefore: NOW_S - 60,
    notAfter: NOW_S + 86_400,
    serial: new Uint8Array(16).fill(n)
  }
}

async function sign(treaty: Treaty, [one, two]: [PrivateKey, PrivateKey]): Promise<SignedTreaty> {
  const bytes = encodeTreaty(treaty)
  const signed = signedTreatyBytes(bytes)
  return { bytes, treaty, signatures: [await one.sign(signed), await two.sign(signed)] }
}

async function forge(signed: SignedTreaty, { keys, forger }: Parties, random: Random): Promise<SignedTreaty> {
  const { treaty, signatures } = signed
  const { meshes, lends } = treaty
  const changed: Treaty = {
    ...treaty,
    ...random.pick<Partial<Treaty>>([
      { lends: [['**'], lends[1]] },
      { lends: [lends[0], ['**']] },
      { lends: [lends[1], lends[0]] },
      { meshes: [meshes[0], idOf(forger)] },
      { notAfter: treaty.notAfter + 1 + random.below(86_400) },
      { secret: random.bytes(32) },
      { serial: random.bytes(16) },
      { names: ['club', 'home'] }
    ])
  }
  switch (random.below(5)) {
    case 0:
      return decodeSignedTreaty(decodeCbor(mutate([encodeCbor(encodeSignedTreaty(signed))], random)))
    case 1:
      return { bytes: encodeTreaty(changed), treaty: changed, signatures }
    case 2:
      return {
        ...signed,
        signatures: random.pick([
          [signatures[1], signatures[0]],
          [signatures[0], undefined],
          [undefined, signatures[1]]
        ])
      }
    case 3: {
      // One side really signs, and the other knows nothing of it. Of a treaty with the forger its own signature is good, and only that.
      const signers: [PrivateKey, PrivateKey][] =
        changed.meshes === meshes
          ? [
              [keys[0], forger],
              [forger, keys[1]]
            ]
          : [[keys[1], forger]]
      const half = await sign(changed, random.pick(signers))
      return random.pick([half, { ...half, signatures: [half.signatures[0], signatures[1]] }])
    }
    default: {
      const at = random.below(2)
      const [one, two] = signatures
      const spoil = (signature: Uint8Array | undefined): Uint8Array =>
        signature!.with(random.below(64), random.below(256)).slice()
      return { ...signed, signatures: at === 0 ? [spoil(one), two] : [one, spoil(two)] }
    }
  }
}
