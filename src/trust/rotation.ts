import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { compare as compareBytes } from 'uint8arrays/compare'
import { equals } from 'uint8arrays/equals'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Notices } from '../../protocols/member/notices.ts'
import type { SignedRevocation } from '../../protocols/member/revocation.ts'
import { MAX_GENERATIONS, keepOf } from '../../protocols/member/succession.ts'
import { originBytes, originId } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import { issueChain, VALIDITY_S } from './issuer.ts'
import { mergeRevocations, mergeTreaties } from './merge.ts'
import type { MeshClock } from './mesh-clock.ts'
import type { KnownRoot, MeshState } from './mesh-state.ts'
import { issueRevocation, type Revocations } from './revocations.ts'
import { keptRoots } from './roots.ts'
import { issueSuccession, type Successions } from './successions.ts'
import { countersign, issueTreatyRevocation, type Treaties, type TreatyNotices } from './treaties.ts'

/** How an owner replaces the key of the mesh. */
export interface Rotation {
  /** What the old key signs meanwhile would not stay good. */
  readonly isRunning: boolean
  /**
   * Makes another key, and keeps it. @param out PeerId of a node that does not stay. @param add signs what is to be kept together with the new key.
   * @returns what all are to know; what was added comes first. @throws MeshError `permission_denied` without the newest key, `too_large`, `busy`, `unavailable` if it cannot be kept: then nothing has changed.
   */
  rotate(out?: string, add?: (key: PrivateKey) => Promise<SignedRevocation>): Promise<Notices>
}

/** What it stands on. */
export interface RotationComponents {
  nodeKey: PrivateKey
  clock: Pick<MeshClock, 'nowS'>
  successions: Pick<Successions, 'of' | 'all' | 'take'>
  revocations: Pick<Revocations, 'all' | 'lastAt' | 'take'>
  agreed: Pick<Treaties, 'kept' | 'take'>
  /** With a key of the mesh only if that is the newest. */
  state(): MeshState
  /** Members by certificates of a key of the mesh. */
  roots(): readonly KnownRoot[]
  /** Resolves when nothing waits to be kept. */
  settled(): Promise<void>
  /** @param without PeerId of a node that is forgotten as a member. */
  change(update: (before: MeshState) => Partial<MeshState>, without: string | undefined): Promise<void>
}

/** See {@link Rotation}. */
export function createRotation(components: RotationComponents): Rotation {
  const { nodeKey, clock, successions, revocations, agreed, state, roots, settled, change } = components
  const self = peerIdFromPrivateKey(nodeKey).toString()
  let isRunning = false

  async function rotate(out: string | undefined, add: ((key: PrivateKey) => Promise<SignedRevocation>) | undefined) {
    const { mesh, meshKey: before, chain } = state()
    if (before === undefined)
      throw new MeshError('permission_denied', 'only an owner with the newest key of the mesh replaces it', { reason: 'no_key' })
    const nowS = clock.nowS()
    const own = originBytes(mesh)
    const itself = { node: self, name: '', role: 'owner' as const, since: nowS, until: nowS + VALIDITY_S }
    // What somebody with the old key said of this node, which has it too, does not outlive that key.
    const isOut = ({ node, since }: KnownRoot): boolean =>
      node === out || (node !== self && since <= revocations.lastAt(originBytes(node)))
    const { meshKey, made } = await rotateKey({
      mesh,
      meshKey: before,
      nodeKey,
      generation: successions.of(own).length + 1,
      keeps: keptRoots([...roots(), itself], isOut, nowS),
      revocations: revocations.all().filter(({ chain, revocation }) => chain.length === 0 && originId(revocation.node) !== self),
      agreed: agreed.kept(),
      nowS
    })
    const added = add === undefined ? [] : [await add(meshKey)]
    const signed = [...added, ...made.revocations]
    const { name = '', tags = [], since } = chain[0]?.certificate ?? {}
    const after = revocations.lastAt(originBytes(self))
    const grant = { node: self, role: 'owner' as const, forward: true, name, tags, after }
    const renewed = await issueChain(
      { ...state(), meshKey },
      nodeKey,
      { ...grant, since: (since ?? 0) > after ? since : undefined },
      nowS
    )
    const others = agreed.kept().treatyRevocations.filter(({ revocation }) => !equals(revocation.mesh, own))
    await change(
      (kept) => ({
        meshKey,
        chain: renewed,
        successions: [...successions.all(), ...made.successions],
        revocations: mergeRevocations(kept.revocations.filter(isNotReplacedBy(signed)), signed, nowS),
        issued: kept.issued.filter(({ node }) => node !== out),
        ...mergeTreaties(kept, { treaties: made.treaties, treatyRevocations: [...others, ...made.treatyRevocations] })
      }),
      out
    )
    await successions.take(made.successions)
    for (const one of signed) await revocations.take(one)
    await agreed.take(made)
    return { ...made, revocations: signed }
  }

  return {
    get isRunning() {
      return isRunning
    },
    async rotate(out, add) {
      if (isRunning) throw new MeshError('busy', 'the key of the mesh is being replaced at this moment')
      isRunning = true
      try {
        await settled()
        return await rotate(out, add)
      } finally {
        isRunning = false
      }
    }
  }
}

/** Of keys of the mesh, those of nodes that the new key says the same of. */
const isNotReplacedBy =
  (signed: readonly SignedRevocation[]) =>
  ({ chain, revocation }: SignedRevocation): boolean =>
    chain.length > 0 || !signed.some((one) => equals(one.revocation.node, revocation.node))

interface RotationInit {
  /** Id. */
  mesh: string
  /** The key that is replaced. */
  meshKey: PrivateKey
  nodeKey: PrivateKey
  generation: number
  /** Whose certificates stay good. */
  keeps: readonly KnownRoot[]
  /** What keys of the mesh have signed and others are still to know. */
  revocations: readonly SignedRevocation[]
  agreed: TreatyNotices
  nowS: number
}

/** Makes another key for a mesh, and signs with it what the old one had signed; nothing is kept yet. */
async function rotateKey(init: RotationInit): Promise<{ meshKey: PrivateKey; made: Notices }> {
  const { generation, nodeKey, keeps, agreed, nowS } = init
  const mesh = originBytes(init.mesh)
  if (generation > MAX_GENERATIONS)
    throw new MeshError('too_large', `the key of this mesh was replaced ${MAX_GENERATIONS} times; make a new mesh`)
  const meshKey = await generateKeyPair('Ed25519')
  const succession = {
    mesh,
    generation,
    key: peerIdFromPrivateKey(meshKey).toMultihash().bytes,
    at: nowS,
    // Sorted, they do not say in which order the members came.
    keeps: keeps.map(({ node, role }) => keepOf(mesh, generation, originBytes(node), role)).sort(compareBytes)
  }
  const revocations = init.revocations.map(({ revocation: { node, at, reason } }) =>
    issueRevocation({ meshKey, nodeKey, chain: [] }, { mesh, node, at, reason, role: undefined })
  )
  const ends = agreed.treatyRevocations.filter(({ revocation }) => originId(revocation.mesh) === init.mesh)
  return {
    meshKey,
    made: {
      successions: [await issueSuccession(succession, init.meshKey)],
      revocations: await Promise.all(revocations),
      treaties: await Promise.all(agreed.treaties.map((signed) => countersign(signed, mesh, meshKey))),
      treatyRevocations: await Promise.all(ends.map(({ revocation }) => issueTreatyRevocation(revocation, meshKey)))
    }
  }
}
