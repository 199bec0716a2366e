/** What capabilities say, as vectors are made of it and asked for: each text with its digest. See protocols/embedding. */
import { bytesToHex } from '@noble/hashes/utils.js'
import type { CapabilityDeclaration } from '../../../protocols/capability.ts'
import { textDigest } from './embedding-cache.ts'
import { meaningItem, textsOf, type MeantCapability } from './items.ts'

/** A text by its digest, in hex. */
export type SaidTexts = readonly (readonly [digest: string, text: string])[]

/** What another node of the own mesh says of something that is meant. */
export interface SaidByNode {
  /** PeerId. */
  node: string
  texts: SaidTexts
}

const said = new WeakMap<CapabilityDeclaration, SaidTexts>()

/** All that a declaration says, reckoned once as long as that is held. */
export function saidTexts(capability: CapabilityDeclaration): SaidTexts {
  let texts = said.get(capability)
  if (texts === undefined) {
    texts = [...new Set(textsOf(meaningItem('', capability)))].map((text) => [bytesToHex(textDigest(text)), text] as const)
    said.set(capability, texts)
  }
  return texts
}

/**
 * What is meant that other nodes of the own mesh say, by key: these can be asked for its vectors. Nothing that this node has learned beside it.
 * @yields now and then, so that whoever goes through it may do something else meanwhile.
 */
export function* saidByOthers(meant: ReadonlyMap<string, MeantCapability>): Generator<undefined, Map<string, SaidByNode>> {
  const found = new Map<string, SaidByNode>()
  for (const [key, { capability, by }] of meant) {
    if (by.local || by.mesh !== undefined) continue
    found.set(key, { node: by.node, texts: saidTexts(capability) })
    yield
  }
  return found
}
