import { MAX_CAPABILITY_BYTES, decodeCapability, type CapabilityDeclaration } from '../capability.ts'
import { MeshError } from '../errors.ts'
import { asBytes, asMap, asText } from '../shape.ts'

/** Protocol id: what a node of one mesh lends to a node of another, by their treaty. */
export const LEND_PROTOCOL = '/atmosphere/lend/1'
/** Most capabilities that one node lends to another; a lender names no more, in the order of their ids. */
export const MAX_LENT_CAPABILITIES = 256
/** Longest name of a node, in characters. */
export const MAX_LENDER_NAME = 64
const MAX_CAPABILITY_ID = 128

/** What the lender says: `node` first, then each capability, then `ready`, then changes. */
export type LendItem =
  /** What the node calls itself. */
  | { kind: 'node'; name: string }
  /** A capability that is lent, new or changed. The bytes are those of its declaration. */
  | { kind: 'capability'; bytes: Uint8Array; declaration: CapabilityDeclaration }
  /** The capability of this id is not lent any more, or is gone. */
  | { kind: 'gone'; id: string }
  /** All that is lent has been named once. */
  | { kind: 'ready' }

/** Body of the open frame: asks for what is lent, and for changes until the exchange is cancelled. */
export const encodeLendRequest = (): unknown => ({ o: 'watch' })
/** @throws MeshError `protocol_error`. */
export function decodeLendRequest(body: unknown): { op: 'watch' } {
  if (asMap(body, 'request')['o'] !== 'watch')
    throw new MeshError('protocol_error', 'a request of a kind that this node does not know')
  return { op: 'watch' }
}

/** Body of an item. */
export function encodeLendItem(
  item: Exclude<LendItem, { kind: 'capability' }> | { kind: 'capability'; bytes: Uint8Array }
): unknown {
  switch (item.kind) {
    case 'node':
      return { n: item.name }
    case 'capability':
      return { c: item.bytes }
    case 'gone':
      return { g: item.id }
    case 'ready':
      return { r: true }
  }
}

/** @throws MeshError `protocol_error`. */
export function decodeLendItem(body: unknown): LendItem {
  const map = asMap(body, 'item')
  if (map['n'] !== undefined) return { kind: 'node', name: asText(map['n'], 'n', MAX_LENDER_NAME) }
  if (map['c'] !== undefined) {
    const bytes = asBytes(map['c'], 'c', MAX_CAPABILITY_BYTES)
    return { kind: 'capability', bytes, declaration: decodeCapability(bytes) }
  }
  if (map['g'] !== undefined) return { kind: 'gone', id: asText(map['g'], 'g', MAX_CAPABILITY_ID) }
  if (map['r'] === true) return { kind: 'ready' }
  throw new MeshError('protocol_error', 'an item of a kind that this node does not know')
}
