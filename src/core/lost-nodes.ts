/** Nodes that are known and cannot be reached now: what they offer is not unknown, it is out of reach. */
import { MeshError, isMeshError } from '../errors.ts'
import { nodesCalled, parseTarget } from '../../protocols/named-node.ts'
import type { DirectoryEntry } from './directory.ts'

/** What is remembered of one. */
export type LostNode = Pick<DirectoryEntry, 'origin' | 'document' | 'lost'>

/** Nodes that an error names. */
const MAX_NAMED = 10

/** Those of a directory that are lost and have not said goodbye. */
export function lostNodes(entries: Iterable<DirectoryEntry>): LostNode[] {
  return [...entries].filter(({ document, lost }) => document !== undefined && lost !== undefined)
}

/**
 * Why a target was not found: as `error` says, or `unavailable` where a node has it that cannot be reached now.
 * @param node as of a call; before what `target` says after its `@`.
 */
export function whyNotFound(error: unknown, target: string, node: string | undefined, lost: readonly LostNode[]): unknown {
  if (!isMeshError(error, 'unknown_capability') && !(isMeshError(error, 'unavailable') && error.details['known'] !== undefined))
    return error
  const parsed = parseTarget(target)
  const wanted = node ?? parsed.node
  const name = wanted === undefined ? target : parsed.name
  const named = lost.map(({ origin, document }) => ({ node: origin, nodeName: document!.info.name }))
  const meant = wanted === undefined ? undefined : nodesCalled(named, wanted)
  const offers = ({ document }: LostNode): boolean =>
    [...document!.capabilities.values()].some(({ id, type }) => id === name || type === name)
  const holders = lost.filter((one) => (meant?.includes(one.origin) ?? true) && offers(one))
  if (holders.length === 0) return error
  const names = holders.slice(0, MAX_NAMED).map(({ document }) => document!.info.name)
  return new MeshError('unavailable', `"${name}" is on ${names.join(', ')}, to which no way is known now`, {
    reason: 'unreachable',
    capability: name,
    nodes: holders.map(({ origin }) => origin)
  })
}
