import type { ObservedNodeView } from '../mesh-api.ts'
import { plain } from './output.ts'

/** What people are to know of the nodes that are observed: whose events do not come, or come again. */
export interface SourceNotes {
  /** @param nameOf what to call a node. @returns what is new since the last time, a line each. */
  next(sources: readonly ObservedNodeView[], nameOf: (node: string) => string): string[]
}

/** Nodes that are asked for the first time, and let this one observe all, are nothing to tell. */
export function createSourceNotes(): SourceNotes {
  const open = new Set<string>()
  const lost = new Set<string>()
  let refused = new Map<string, readonly string[]>()

  function ofState({ node, state }: ObservedNodeView, name: string): string[] {
    if (state === 'asking') return open.delete(node) && lost.add(node) ? [`events of ${name} do not come now`] : []
    open.add(node)
    return lost.delete(node) ? [`events of ${name} come again`] : []
  }

  function ofRefused({ node, refused: now }: ObservedNodeView, name: string): string[] {
    const before = refused.get(node) ?? []
    const [more, less] = [now.filter((id) => !before.includes(id)), before.filter((id) => !now.includes(id))]
    return [
      ...(more.length > 0 ? [`${name} does not let this node observe ${plain(more.join(', '))}`] : []),
      ...(less.length > 0 ? [`${name} lets this node observe ${plain(less.join(', '))} now`] : [])
    ]
  }

  return {
    next(sources, nameOf) {
      const there = new Set(sources.map(({ node }) => node))
      const gone = [...open, ...lost].filter((node) => !there.has(node))
      const lines = sources.flatMap((one) => {
        const name = plain(nameOf(one.node))
        return [...ofState(one, name), ...ofRefused(one, name)]
      })
      for (const node of gone) {
        open.delete(node)
        lost.delete(node)
        lines.push(`events of ${plain(nameOf(node))} do not come any more`)
      }
      refused = new Map(sources.map(({ node, refused: now }) => [node, now]))
      return lines
    }
  }
}
