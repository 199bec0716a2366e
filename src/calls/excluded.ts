import { nearest } from '../../protocols/nearest.ts'
import { isPeerId, isShortIdOf } from '../../protocols/short-id.ts'
import { MeshError } from '../errors.ts'

/** A node as people name it. */
export interface KnownNode {
  /** PeerId. */
  node: string
  nodeName: string
}

/**
 * PeerIds of the nodes that must not run a call, each given by PeerId, by the end of one as tables show it, or by name: each of which may be that of several, and all of them are meant.
 * @throws MeshError `invalid_argument`: a name that nobody has would exclude nobody, without a word.
 */
export function excludedNodes(notNode: readonly string[], known: Iterable<KnownNode>): string[] {
  const all = [...known]
  return notNode.flatMap((given) => {
    // It needs not be known: one cannot be mistyped into another.
    if (isPeerId(given)) return [given]
    // What has the mark of the end of a PeerId is never a name. Without it all that it may mean is excluded: who calls itself so must not get the call of another.
    const isName = !given.startsWith('…')
    const meant = all.filter(({ node, nodeName }) => node === given || (isName && nodeName === given) || isShortIdOf(node, given))
    if (meant.length === 0) throw unknownNode(given, all)
    return meant.map(({ node }) => node)
  })
}

function unknownNode(given: string, all: readonly KnownNode[]): MeshError {
  const near = nearest(given, new Set(all.map(({ nodeName }) => nodeName)))
  const hint =
    near === undefined ? 'exclude one that was never seen here by its PeerId, or see `atmo peers`' : `did you mean "${near}"?`
  return new MeshError('invalid_argument', `no node to exclude is called "${given}"; ${hint}`, {
    node: given,
    ...(near !== undefined && { near })
  })
}
