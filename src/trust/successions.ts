import type { PrivateKey } from '@libp2p/interface'
import { sha256 } from '@noble/hashes/sha2.js'
import { equals } from 'uint8arrays/equals'
import { toString } from 'uint8arrays/to-string'
import { MAX_VALIDITY_S, ROLES, type Certificate } from '../../protocols/member/messages.ts'
import {
  MAX_GENERATIONS,
  MAX_SUCCESSIONS,
  encodeSuccession,
  keepOf,
  signedSuccessionBytes,
  type SignedSuccession,
  type Succession
} from '../../protocols/member/succession.ts'
import type { RootStanding } from './certificate.ts'
import { isSignedBy } from './signature.ts'

/** Successions of other meshes that are kept, so that there is always room for those of the own one. */
export const MAX_FOREIGN_SUCCESSIONS = MAX_SUCCESSIONS - MAX_GENERATIONS

/** What became of a succession that came from somewhere: `conflict` is a second one of a key that has one, `void` one that does not matter here. */
export type SuccessionIntake = 'new' | 'known' | 'refused' | 'conflict' | 'void'

/** The keys of a mesh, from the first one on, and of the meshes that it has treaties with. Of each key the first successor that was seen counts. */
export interface Successions {
  /** The key that signs for a mesh now, as multihash bytes. */
  newestKey(mesh: Uint8Array): Uint8Array
  /** The place of a key among those of a mesh, 0 for the first; undefined if it is none of them. */
  generationOf(mesh: Uint8Array, key: Uint8Array): number | undefined
  /** All keys of a mesh, the newest first. */
  keysOf(mesh: Uint8Array): Uint8Array[]
  /** Of the last certificate of a chain. */
  rootStanding(root: Certificate): RootStanding
  /** Takes what is good and of interest, in any order. @param partners meshes that matter beside those that are known. `outcomes` has one for each. Never throws. */
  take(
    all: readonly SignedSuccession[],
    partners?: readonly Uint8Array[]
  ): Promise<{ fresh: SignedSuccession[]; outcomes: Set<SuccessionIntake> }>
  /** Those of a mesh, in their order. */
  of(mesh: Uint8Array): readonly SignedSuccession[]
  /** Those of all meshes that matter. */
  all(): SignedSuccession[]
  /** One for each of these, for the digest of the notices. */
  keys(): string[]
}

/** @param own id of the mesh, as multihash bytes. @param isPartner true for a mesh that it has a treaty with. */
export function createSuccessions(own: Uint8Array, isPartner: (mesh: Uint8Array) => boolean = () => false): Successions {
  const lines = new Map<string, SignedSuccession[]>()
  const keepSets = new WeakMap<SignedSuccession, Set<string>>()
  const of = (mesh: Uint8Array): readonly SignedSuccession[] => lines.get(base64(mesh)) ?? []
  const newestKey = (mesh: Uint8Array): Uint8Array => of(mesh).at(-1)?.succession.key ?? mesh
  const matters = (mesh: Uint8Array): boolean => equals(mesh, own) || isPartner(mesh)

  function generationOf(mesh: Uint8Array, key: Uint8Array): number | undefined {
    if (equals(key, mesh)) return 0
    return of(mesh).find(({ succession }) => equals(succession.key, key))?.succession.generation
  }

  /** True if a certificate that an older key signed stays good: of a kept node, with no more than its role, while one that was made before can live. */
  function keeps(signed: SignedSuccession, { mesh, node, role, notAfter }: Certificate): boolean {
    const { generation, at, keeps: list } = signed.succession
    if (notAfter > at + MAX_VALIDITY_S) return false
    let kept = keepSets.get(signed)
    if (kept === undefined) keepSets.set(signed, (kept = new Set(list.map(base64))))
    return ROLES.slice(0, ROLES.indexOf(role) + 1).some((held) => kept.has(base64(keepOf(mesh, generation, node, held))))
  }

  function rootStanding(root: Certificate): RootStanding {
    const generation = generationOf(root.mesh, root.issuer)
    if (generation === undefined) return 'unknown'
    return of(root.mesh)
      .slice(generation)
      .every((signed) => keeps(signed, root))
      ? 'good'
      : 'superseded'
  }

  async function takeOne(signed: SignedSuccession, partners: readonly Uint8Array[]): Promise<SuccessionIntake> {
    const { mesh, generation, key } = signed.succession
    if (!matters(mesh) && !partners.some((id) => equals(id, mesh))) return 'void'
    const line = of(mesh)
    const there = line[generation - 1]
    if (there !== undefined && equals(there.bytes, signed.bytes)) return 'known'
    const before = generation === 1 ? mesh : line[generation - 2]?.succession.key
    // What comes between is not known: nobody can say who may sign it.
    if (before === undefined) return 'void'
    if (!(await isSignedBy(before, signedSuccessionBytes(signed.bytes), signed.signature))) return 'refused'
    // Looked at again: another one may have come meanwhile.
    if (of(mesh).length >= generation) return of(mesh)[generation - 1] === there ? 'conflict' : takeOne(signed, partners)
    if (generationOf(mesh, key) !== undefined) return 'refused'
    if (!equals(mesh, own) && foreign() >= MAX_FOREIGN_SUCCESSIONS) return 'void'
    lines.set(base64(mesh), [...of(mesh), signed])
    return 'new'
  }

  const all = (): SignedSuccession[] => [...lines.values()].flat().filter(({ succession }) => matters(succession.mesh))
  const foreign = (): number => [...lines.values()].flat().filter(({ succession }) => !equals(succession.mesh, own)).length
  /** Of meshes whose treaty was not good after all, or is over. */
  function forgetOthers(): void {
    for (const [id, line] of lines) if (!line.some(({ succession }) => matters(succession.mesh))) lines.delete(id)
  }

  return {
    newestKey,
    generationOf,
    keysOf: (mesh) => [mesh, ...of(mesh).map(({ succession }) => succession.key)].reverse(),
    rootStanding,
    async take(list, partners = []) {
      forgetOthers()
      const fresh: SignedSuccession[] = []
      const outcomes = new Set<SuccessionIntake>()
      /** Meshes whose keys went another way: what follows there is signed by keys that count for nothing here. */
      const parted = new Set<string>()
      for (const signed of [...list].sort((a, b) => a.succession.generation - b.succession.generation)) {
        const mesh = base64(signed.succession.mesh)
        const intake = parted.has(mesh) ? 'void' : await takeOne(signed, partners)
        outcomes.add(intake)
        if (intake === 'new') fresh.push(signed)
        if (intake === 'conflict') parted.add(mesh)
      }
      return { fresh, outcomes }
    },
    of,
    all,
    keys: () => all().map(({ bytes }) => base64(sha256(bytes)))
  }
}

/** Signs a succession with the key that it replaces. @throws MeshError `invalid_argument` if it is over a limit. */
export async function issueSuccession(succession: Succession, before: PrivateKey): Promise<SignedSuccession> {
  const bytes = encodeSuccession(succession)
  return { bytes, succession, signature: await before.sign(signedSuccessionBytes(bytes)) }
}

const base64 = (bytes: Uint8Array): string => toString(bytes, 'base64')
