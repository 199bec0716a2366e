import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { equals } from 'uint8arrays/equals'
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'
import { MAX_MESH_NAME, SECRET_BYTES } from '../../protocols/join/messages.ts'
import { ROLES, decodeChain, encodeChain, type Role, type SignedCertificate } from '../../protocols/member/messages.ts'
import { decodeCbor, encodeCbor } from '../../protocols/cbor.ts'
import { decodeSignedRevocation, encodeSignedRevocation, type SignedRevocation } from '../../protocols/member/revocation.ts'
import { decodeSuccessions, encodeSuccessions, type SignedSuccession } from '../../protocols/member/succession.ts'
import {
  decodeSignedTreaty,
  decodeSignedTreatyRevocation,
  encodeSignedTreaty,
  encodeSignedTreatyRevocation,
  type SignedTreaty,
  type SignedTreatyRevocation
} from '../../protocols/treaty/messages.ts'
import { originBytes } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import type { ClockState } from './mesh-clock.ts'

/** A member that this node let in. */
export interface IssuedMember {
  /** PeerId. */
  node: string
  name: string
  role: Role
  tags: string[]
  /** Unix time in s. */
  at: number
}

/** A member by a certificate that a key of the mesh signed, as an owner has seen it. */
export interface KnownRoot {
  /** PeerId. */
  node: string
  /** As its certificate says; may be empty. */
  name: string
  role: Role
  /** Since when it is a member, and how long its certificate holds, Unix time in s. */
  since: number
  until: number
}

/** What a node keeps of its mesh. Holds secrets: mode 0600, never logged. */
export interface MeshState {
  /** PeerId of the mesh key: the id of the mesh. */
  mesh: string
  /** For people. */
  name: string
  /** What members know. */
  secret: Uint8Array
  /** This node's certificate, and up to the mesh key. */
  chain: SignedCertificate[]
  /** Of an owner: the newest key that it was given. */
  meshKey?: PrivateKey | undefined
  clock: ClockState
  issued: IssuedMember[]
  revocations: SignedRevocation[]
  /** Of the key of this mesh and of those it has treaties with. Default: none. */
  successions?: readonly SignedSuccession[]
  /** Of an owner: whose certificates are to stay good when the key is replaced, beside those that it issued. Default: none. */
  roots?: readonly KnownRoot[]
  /** With other meshes. Default: none. */
  treaties?: readonly SignedTreaty[]
  treatyRevocations?: readonly SignedTreatyRevocation[]
}

/** Members that are remembered as let in; the oldest is forgotten first. */
export const MAX_ISSUED = 4_096

/** A mesh without a certificate yet: whoever has its key issues the first to itself. */
export async function foundMesh(name: string): Promise<MeshState & { meshKey: PrivateKey }> {
  const meshKey = await generateKeyPair('Ed25519')
  return {
    mesh: peerIdFromPrivateKey(meshKey).toString(),
    name: checkMeshName(name),
    secret: crypto.getRandomValues(new Uint8Array(SECRET_BYTES)),
    chain: [],
    meshKey,
    clock: { floorS: 0, offsetS: 0 },
    issued: [],
    revocations: []
  }
}

/** @throws MeshError `invalid_argument`. */
export function checkMeshName(name: string): string {
  if (name.length < 1 || name.length > MAX_MESH_NAME || /\p{C}/u.test(name))
    throw new MeshError('invalid_argument', `a mesh has a name of 1 to ${MAX_MESH_NAME} printable characters`)
  return name
}

/** The state as text (JSON). */
export function formatMeshState(state: MeshState): string {
  const { mesh, name, secret, chain, meshKey, clock, issued, revocations } = state
  const { successions = [], roots = [], treaties = [], treatyRevocations = [] } = state
  return `${JSON.stringify(
    {
      version: 1,
      mesh,
      name,
      secret: base64(secret),
      chain: pairs(encodeChain(chain)),
      ...(meshKey !== undefined && { meshKey: base64(privateKeyToProtobuf(meshKey)) }),
      clock,
      issued,
      successions: pairs(encodeSuccessions(successions)),
      roots,
      revocations: revocations.map((signed) => base64(encodeCbor(encodeSignedRevocation(signed)))),
      treaties: treaties.map((signed) => base64(encodeCbor(encodeSignedTreaty(signed)))),
      treatyRevocations: treatyRevocations.map((signed) => base64(encodeCbor(encodeSignedTreatyRevocation(signed))))
    },
    null,
    2
  )}\n`
}

/** @throws MeshError `invalid_config` if it is damaged or of a later version. */
export function parseMeshState(text: string): MeshState {
  try {
    const stored = JSON.parse(text) as StoredState
    if (typeof stored !== 'object' || stored === null || Array.isArray(stored)) throw new Error('it holds no object')
    const { version, mesh, name, secret, chain, meshKey, clock, issued } = stored
    const { successions = [], roots = [], revocations = [], treaties = [], treatyRevocations = [] } = stored
    if (version !== 1) throw new Error('it is of another version of atmosphere')
    const state: MeshState = {
      mesh: peerIdFromString(mesh).toString(),
      name: checkMeshName(name),
      secret: bytes(secret),
      chain: decodeChain(chain.map((pair) => pair.map(bytes))),
      meshKey: meshKey === undefined ? undefined : privateKeyFromProtobuf(bytes(meshKey)),
      clock: { floorS: Number(clock.floorS), offsetS: Number(clock.offsetS) },
      issued: issued.map(({ node, name: called, role, tags, at }) => ({
        node: String(node),
        name: String(called),
        role: checkRole(role),
        tags: (tags ?? []).map(String),
        at: Number(at)
      })),
      successions: decodeSuccessions(successions.map((pair) => pair.map(bytes))),
      roots: roots.map(({ node, name, role, since, until }) => ({
        node: String(node),
        name: String(name),
        role: checkRole(role),
        since: Number(since),
        until: Number(until)
      })),
      revocations: revocations.map((text) => decodeSignedRevocation(decodeCbor(bytes(text)))),
      treaties: treaties.map((text) => decodeSignedTreaty(decodeCbor(bytes(text)))),
      treatyRevocations: treatyRevocations.map((text) => decodeSignedTreatyRevocation(decodeCbor(bytes(text))))
    }
    if (state.secret.length !== SECRET_BYTES) throw new Error('the secret has another length')
    if (state.meshKey !== undefined && !isKeyOf(state, peerIdFromPrivateKey(state.meshKey).toMultihash().bytes))
      throw new Error('the key is that of another mesh')
    if (!Number.isFinite(state.clock.floorS) || !Number.isFinite(state.clock.offsetS)) throw new Error('no time')
    return state
  } catch (error) {
    // Not the error of JSON.parse: it quotes what it read, and that is secret.
    const why = error instanceof SyntaxError ? 'it is no JSON' : (error as Error).message
    throw new MeshError('invalid_config', `it is damaged (${why})`)
  }
}

/** Successions of other keys than those of this mesh are checked where they are taken in. */
function isKeyOf({ mesh, successions = [] }: MeshState, key: Uint8Array): boolean {
  const own = originBytes(mesh)
  return equals(key, own) || successions.some(({ succession }) => equals(succession.mesh, own) && equals(succession.key, key))
}

function checkRole(role: Role): Role {
  if (!ROLES.includes(role)) throw new Error('a role that nobody has')
  return role
}

/** The text, as it should be: what is read from it may differ. */
interface StoredState {
  version: number
  mesh: string
  name: string
  secret: string
  chain: string[][]
  meshKey?: string
  clock: ClockState
  issued: IssuedMember[]
  successions?: string[][]
  roots?: KnownRoot[]
  revocations?: string[]
  treaties?: string[]
  treatyRevocations?: string[]
}

const pairs = (encoded: unknown): string[][] => (encoded as Uint8Array[][]).map((pair) => pair.map(base64))
const base64 = (value: Uint8Array): string => toString(value, 'base64pad')
const bytes = (text: string): Uint8Array => fromString(text, 'base64pad')
