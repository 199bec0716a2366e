/** Ways to nodes, for people. */
import { shortId } from '../../protocols/short-id.ts'
import { plain, showDuration, type Cell, type Colors } from './output.ts'

/** The way to a node: of those that this one knows, and of itself if it is `local`. */
export interface Way {
  local?: boolean
  direct: boolean
  hops: number | null
  /** PeerId of the next hop. */
  via: string | null
}

/** What to call nodes: by name, and with the end of the PeerId where several have the name. One that is not known is named by that alone. */
export function createNaming(nodes: Iterable<{ node: string; name: string }>): (node: string) => string {
  const names = new Map<string, string>()
  for (const { node, name } of nodes) names.set(node, name === node ? '' : plain(name))
  const count = new Map<string, number>()
  for (const name of names.values()) count.set(name, (count.get(name) ?? 0) + 1)
  return (node) => {
    const name = names.get(node) ?? ''
    if (name === '') return shortId(node)
    return count.get(name) === 1 ? name : `${name} ${shortId(node)}`
  }
}

/** `here`, `direct`, `3 hops via pi-kitchen`, `no way known`. */
export function showWay({ local, direct, hops, via }: Way, nameOf: (node: string) => string): string {
  if (local === true) return 'here'
  if (direct) return 'direct'
  if (via === null) return 'no way known'
  return `${hops === null ? 'over others' : hops === 1 ? '1 hop' : `${hops} hops`} via ${plain(nameOf(via))}`
}

/** {@link showWay} in the colour of how good it is, with what else is to be said of it. */
export function wayCell(way: Way, nameOf: (node: string) => string, colors: Colors, ...more: string[]): Cell {
  const style = way.local === true || way.direct ? colors.green : way.via === null ? colors.red : colors.yellow
  return { text: [showWay(way, nameOf), ...more].join(', '), style }
}

/** What a way costs, or how long a call takes. */
export function showMs(ms: number | null): string {
  return ms === null ? '-' : ms === 0 ? '0 ms' : showDuration(ms)
}
