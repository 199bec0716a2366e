import { sha256 } from '@noble/hashes/sha2.js'
import { compare as compareBytes } from 'uint8arrays/compare'
import { concat } from 'uint8arrays/concat'
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'
import {
  decodeInfo,
  MAX_CAPABILITIES,
  MAX_DOCUMENT_BYTES,
  type Head,
  type NodeInfo,
  type SignedHead
} from '../../protocols/announce/messages.ts'
import { StoredCapability } from './stored-capability.ts'

/** Everything that one node says of itself. Immutable: a change makes a new one. */
export interface NodeDocument {
  info: NodeInfo
  infoBytes: Uint8Array
  capabilities: ReadonlyMap<string, StoredCapability>
}

/** PeerId of an origin in its usual text form (base58btc of the multihash, libp2p peer-ids specification). */
export function originId(origin: Uint8Array): string {
  return toString(origin, 'base58btc')
}

/** The multihash bytes of a PeerId in its usual text form: the way back of {@link originId}. */
export function originBytes(peer: string): Uint8Array {
  return fromString(peer, 'base58btc')
}

/**
 * SHA-256 over the hash of the info bytes and, by id in code point order, the hash of each capability's bytes.
 * Thus a change of one capability is checked without sending the others.
 */
export function documentHash(document: NodeDocument): Uint8Array {
  const ids = [...document.capabilities.keys()].sort()
  return sha256(concat([sha256(document.infoBytes), ...ids.map((id) => document.capabilities.get(id)!.hash)]))
}

/** A change of a document: what an announcement carries. */
export interface DocumentChange {
  info?: Uint8Array | undefined
  put: Uint8Array[]
  drop: string[]
}

/**
 * The document after a change.
 * @returns undefined if the result is over the limits of a document.
 * @throws MeshError `protocol_error` if a part does not decode.
 */
export function changeDocument(base: NodeDocument | undefined, change: DocumentChange): NodeDocument | undefined {
  const infoBytes = change.info ?? base?.infoBytes
  if (infoBytes === undefined) return undefined
  const capabilities = new Map(base?.capabilities)
  for (const id of change.drop) capabilities.delete(id)
  for (const bytes of change.put) {
    const stored = new StoredCapability(bytes)
    capabilities.set(stored.id, stored)
  }
  let bytes = 0
  for (const capability of capabilities.values()) bytes += capability.size
  if (capabilities.size > MAX_CAPABILITIES || bytes > MAX_DOCUMENT_BYTES) return undefined
  return { infoBytes, info: change.info === undefined && base !== undefined ? base.info : decodeInfo(infoBytes), capabilities }
}

/** True if the document is the one that the head stands by. */
export function standsBy(head: Head, document: NodeDocument): boolean {
  return compareBytes(documentHash(document), head.documentHash) === 0
}

/** Orders the heads of one origin: last writer wins. */
export interface Version {
  incarnation: number
  sequence: number
}

/** Newer is positive, older negative, 0 for the same version. */
export function compareVersion(a: Version, b: Version): number {
  return a.incarnation - b.incarnation || a.sequence - b.sequence
}

/** Of two heads of one version with different content (an origin that contradicts itself), all nodes keep the same one. */
export function winsTie(a: SignedHead, b: SignedHead): boolean {
  return compareBytes(headHash(a), headHash(b)) < 0
}

/** What differs between two documents, by capability. */
export function diffDocuments(
  before: NodeDocument | undefined,
  after: NodeDocument | undefined
): { added: StoredCapability[]; changed: StoredCapability[]; removed: StoredCapability[] } {
  const added: StoredCapability[] = []
  const changed: StoredCapability[] = []
  const removed: StoredCapability[] = []
  for (const [id, capability] of after?.capabilities ?? []) {
    const old = before?.capabilities.get(id)
    if (old === undefined) added.push(capability)
    else if (compareBytes(old.hash, capability.hash) !== 0) changed.push(capability)
  }
  for (const [id, capability] of before?.capabilities ?? []) if (after?.capabilities.has(id) !== true) removed.push(capability)
  return { added, changed, removed }
}

/** Bytes that a document takes; 0 for none. */
export function sizeOf(document: NodeDocument | undefined): number {
  if (document === undefined) return 0
  let bytes = document.infoBytes.length
  for (const capability of document.capabilities.values()) bytes += capability.size
  return bytes
}

const hashes = new WeakMap<SignedHead, Uint8Array>()

/** SHA-256 of a head's bytes, reckoned once. */
export function headHash(signed: SignedHead): Uint8Array {
  let hash = hashes.get(signed)
  if (hash === undefined) hashes.set(signed, (hash = sha256(signed.bytes)))
  return hash
}

/** Orders a row against a head of the same version as {@link winsTie} does: negative if the row's head is the one to keep. */
export function compareTie({ tie }: { tie: Uint8Array }, signed: SignedHead): number {
  return compareBytes(tie, headHash(signed).subarray(0, tie.length))
}
