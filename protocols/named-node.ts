/** Which node a text means, for everything that takes `NAME@NODE` or the name of a node. */
import { MeshError } from './errors.ts'
import { isPeerId, isShortIdOf } from './short-id.ts'

/** A node, or something of one, as far as it is named. */
export interface NamedNode {
  /** PeerId. */
  node: string
  /** What it calls itself: anything. */
  nodeName: string
  /** It is this node. */
  local?: boolean | undefined
  /** The other mesh that it is of. Default: the own one. */
  mesh?: string | undefined
}

/** `name` and `@node` of a target. */
export function parseTarget(target: string): { name: string; node: string | undefined } {
  const at = target.lastIndexOf('@')
  return at > 0 ? { name: target.slice(0, at), node: target.slice(at + 1) } : { name: target, node: undefined }
}

/** The nearest first: nobody farther away takes over a name. */
const SCOPES: readonly ((one: NamedNode) => boolean)[] = [
  ({ local }) => local === true,
  ({ mesh }) => mesh === undefined,
  () => true
]

/**
 * PeerIds of the nodes that a text means: what has the shape of a PeerId, or of the end of one as tables show it, only by PeerId, since names are what nodes call themselves; else by name,
 * else by the end of a PeerId; and of those the nearest: this node, those of its mesh, those of others. None where it is not here, several where it is not said which.
 */
export function nodesCalled(all: readonly NamedNode[], given: string): string[] {
  const isThere = all.some(({ node }) => node === given)
  if (isThere || isPeerId(given)) return isThere ? [given] : []
  const named = given.startsWith('…') ? [] : all.filter(({ nodeName }) => nodeName === given)
  const meant = named.length > 0 ? named : all.filter(({ node }) => isShortIdOf(node, given))
  const near = SCOPES.map((isNear) => meant.filter(isNear)).find(({ length }) => length > 0) ?? []
  return [...new Set(near.map(({ node }) => node))]
}

/** PeerIds that an error names. */
const MAX_NAMED = 10

/**
 * The one that is meant; undefined where it is not here. See {@link nodesCalled}.
 * @param more details of the error.
 * @throws MeshError `ambiguous`: load, or who was heard of first, must not decide which one it is.
 */
export function nodeCalled(all: readonly NamedNode[], given: string, more: Record<string, unknown> = {}): string | undefined {
  const nodes = nodesCalled(all, given)
  if (nodes.length < 2) return nodes[0]
  const shown = nodes.slice(0, MAX_NAMED)
  const message = `${nodes.length} nodes are meant by "${given}"; use a PeerId: ${shown.join(', ')}`
  throw new MeshError('ambiguous', message, { node: given, nodes: shown, ...more })
}
