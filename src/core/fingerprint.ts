import { sha256 } from '@noble/hashes/sha2.js'
import { toString } from 'uint8arrays/to-string'
import type { CapabilityDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import { encodeCbor } from '../../protocols/cbor.ts'
import type { DescriptorChange, ToolChange } from '../mesh-api.ts'
import { statusOf } from './query.ts'

/**
 * What a person or a model goes by when it chooses a capability, and that events of others go to it: to begin to handle them is as much as to offer a tool
 * for them. Not its state, load, metadata or version. Of the last part alone it makes no difference where it is empty: it came later than the others.
 */
const CAPABILITY_PARTS = ['type', 'name', 'description', 'examples', 'keywords', 'triggers', 'handles'] as const
/** The same of a tool; `title` as MCP servers give it. */
const TOOL_PARTS = ['title', 'description', 'input', 'output', 'requiresApproval', 'annotations'] as const
/** Longest piece of a description that is kept, so that a person sees what it was, in characters. */
export const MAX_KEPT_TEXT = 500
/** Bytes of the digest of a part. The hash of all decides whether something changed; these say what, and that nothing else did. */
const PART_BYTES = 16

/** What a descriptor says, as hashes. */
export interface Fingerprint {
  /** SHA-256 over the deterministic CBOR of all parts, hex. */
  hash: string
  /** Undefined where there was no room for it. */
  details: FingerprintDetails | undefined
}

/** Digests part by part; empty for a part that is not there. */
export interface FingerprintDetails {
  parts: string[]
  /** Beginning of the description. */
  text: string
  tools: { name: string; parts: string[]; text: string }[]
}

/** What differs between two fingerprints. */
export interface Differences {
  capability: DescriptorChange[]
  tools: ToolChange[]
}

const fingerprints = new WeakMap<CapabilityDeclaration, Fingerprint>()

/** The fingerprint of a declaration, reckoned once as long as that is held. */
export function fingerprintOf(declaration: CapabilityDeclaration): Fingerprint {
  let fingerprint = fingerprints.get(declaration)
  if (fingerprint === undefined) fingerprints.set(declaration, (fingerprint = reckon(declaration)))
  return fingerprint
}

function reckon(declaration: CapabilityDeclaration): Fingerprint {
  const own: Record<string, unknown> = {
    ...declaration,
    // Without a name the id is shown.
    name: declaration.name === declaration.id ? undefined : declaration.name,
    // Not how: in what order they come misleads nobody.
    handles: declaration.handles !== undefined || undefined,
    triggers: declaration.triggers && sorted(declaration.triggers.map(triggerParts), ({ event }) => event)
  }
  const all = CAPABILITY_PARTS.map((part) => encoded(own[part]))
  const values = all.at(-1)!.length === 0 ? all.slice(0, -1) : all
  const tools = sorted(declaration.tools ?? [], ({ name }) => name).map((tool) => ({
    name: tool.name,
    values: TOOL_PARTS.map((part) => encoded(part === 'requiresApproval' ? tool[part] === true || undefined : tool[part])),
    text: cut(tool.description)
  }))
  return {
    hash: toString(sha256(encodeCbor([values, tools.map(({ name, values: parts }) => [name, parts])])), 'base16'),
    details: {
      parts: values.map(digest),
      text: cut(declaration.description),
      tools: tools.map(({ name, values: parts, text }) => ({ name, parts: parts.map(digest), text }))
    }
  }
}

/** What an agent is told when the trigger fires, and where that goes; not how often. */
function triggerParts({ event, description, intentTemplate, payload, routeHint }: TriggerDeclaration): { event: string } {
  return { event, ...{ description, intentTemplate, payload, routeHint } }
}

/** Empty for what is not there, or says nothing: no value encodes to nothing. */
function encoded(value: unknown): Uint8Array {
  const isEmpty = value === undefined || value === '' || (Array.isArray(value) && value.length === 0)
  return isEmpty ? new Uint8Array() : encodeCbor(value)
}

function digest(bytes: Uint8Array): string {
  return bytes.length === 0 ? '' : toString(sha256(bytes).subarray(0, PART_BYTES), 'base64url')
}

function cut(text: string | undefined): string {
  return text === undefined ? '' : text.slice(0, MAX_KEPT_TEXT)
}

function sorted<T>(list: readonly T[], key: (item: T) => string): T[] {
  return [...list].sort((a, b) => (key(a) < key(b) ? -1 : 1))
}

/**
 * What a person should be asked about; undefined if nothing. What is merely left out is not: a server that is down shows fewer tools and
 * texts, and no model is misled by what it does not read. It is named where something else differs.
 */
export function differences(before: Fingerprint, after: Fingerprint): Differences | undefined {
  if (before.hash === after.hash) return undefined
  if (before.details === undefined || after.details === undefined) return { capability: [{ what: 'unknown' }], tools: [] }
  const [old, now] = [before.details, after.details]
  const capability = CAPABILITY_PARTS.flatMap((what, n): DescriptorChange[] =>
    partOf(old, n) === partOf(now, n) ? [] : [{ what, ...(what === 'description' && texts(old.text, now.text)) }]
  )
  const olds = new Map(old.tools.map((tool) => [tool.name, tool]))
  const names = new Set(now.tools.map(({ name }) => name))
  const tools = now.tools.flatMap(({ name, parts, text }): ToolChange[] => {
    const known = olds.get(name)
    if (known === undefined) return [{ name, what: 'new', ...texts('', text) }]
    return TOOL_PARTS.flatMap((what, n) =>
      parts[n] === known.parts[n] ? [] : [{ name, what, ...(what === 'description' && texts(known.text, text)) }]
    )
  })
  const removed = old.tools.flatMap(({ name, text }): ToolChange[] =>
    names.has(name) ? [] : [{ name, what: 'removed', ...texts(text, '') }]
  )
  const asks = tools.length > 0 || CAPABILITY_PARTS.some((_, n) => partOf(now, n) !== '' && partOf(now, n) !== partOf(old, n))
  if (asks) return { capability, tools: [...tools, ...removed] }
  return capability.length + removed.length > 0 ? undefined : { capability: [{ what: 'unknown' }], tools: [] }
}

/** The last ones that are not there may be left out. */
function partOf({ parts }: FingerprintDetails, n: number): string {
  return parts[n] ?? ''
}

function texts(before: string, after: string): { before?: string; after?: string } {
  return { ...(before !== '' && { before }), ...(after !== '' && { after }) }
}

/** True for what cannot run and lists no tools: a server that is not up yet. Nothing of it is worth trusting, so it is no first sight. */
export function isBlank(declaration: CapabilityDeclaration): boolean {
  return statusOf(declaration) === 'offline' && (declaration.tools ?? []).length === 0
}

/** What a fingerprint takes in memory beside its hash, in characters, about. */
export function weightOf({ details }: Fingerprint): number {
  if (details === undefined) return 0
  const of = (parts: string[], text: string): number => parts.reduce((sum, part) => sum + part.length, text.length + 16)
  return details.tools.reduce(
    (sum, { name, parts, text }) => sum + name.length + of(parts, text),
    of(details.parts, details.text)
  )
}

/** As much of a fingerprint as takes no more than `room` characters: all, or without the texts, or the hash alone. */
export function fitInto(fingerprint: Fingerprint, room: number): Fingerprint {
  const { hash, details } = fingerprint
  if (details === undefined || weightOf(fingerprint) <= room) return fingerprint
  const bare = { ...details, text: '', tools: details.tools.map((tool) => ({ ...tool, text: '' })) }
  const without = { hash, details: bare }
  return weightOf(without) <= room ? without : { hash, details: undefined }
}
