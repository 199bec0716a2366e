import type { Command } from 'commander'
import { shortId } from '../../protocols/short-id.ts'
import type { MeshStatus, RoutesView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, withNodeOptions, type NodeOptions } from './command-line.ts'
import { plain, showDuration, table, type Colors } from './output.ts'
import { showRevoked } from './show-mesh.ts'
import { createNaming, showMs, wayCell } from './show-way.ts'

/** `atmo routes`: the ways to the nodes of the mesh, and the nearest providers of each type of capability. */
export function addRoutes(program: Command): void {
  withNodeOptions(
    program.command('routes').description('show the ways to the other nodes, and the nearest providers of each type')
  ).action(async (options: NodeOptions) => {
    const { dataDir, output } = contextOf(options)
    const client = await connectToNode(dataDir)
    const view = await client.get<RoutesView>('/mesh/routes')
    if (output.json) return output.out(`${JSON.stringify(view)}\n`)
    if (view.nodes.length === 0) {
      const { mesh } = await client.get<MeshStatus>('/mesh/status')
      return output.out(
        mesh.revoked === undefined
          ? 'No other node is known yet, so there are no ways. Start a node on another machine, or add one with: atmo peers add MULTIADDR\n'
          : `No other node is known: ${showRevoked(mesh.revoked, output.colors)}\n`
      )
    }
    await output.out(showRoutes(view, output.colors))
    const remarks = remarksOn(view).map((remark) => `${output.errorColors.dim(remark)}\n`)
    if (remarks.length > 0) await output.err(remarks.join(''))
  })
}

/** Both tables, at most `width` columns wide if that is possible. Where all nodes are direct, one line says so in place of the first. */
export function showRoutes({ nodes, types }: RoutesView, colors: Colors, width?: number): string {
  const all = [...nodes, ...types.flatMap(({ providers }) => providers)]
  const nameOf = createNaming(all.map(({ node, nodeName }) => ({ node, name: nodeName })))
  const ways = nodes.map((route) => [
    { text: route.nodeName, style: colors.bold },
    shortId(route.node),
    showMs(route.metricMs),
    wayCell(route, nameOf, colors, ...(route.held ? ['held'] : []), ...(route.avoided ? ['avoided'] : []))
  ])
  const allDirect = nodes.every(({ direct }) => direct)
  const first = `${colors.bold(count(nodes))}\n${allDirect ? '' : table(['node', 'peer', 'cost', 'way'], ways, colors, width)}`
  return `${first}\n${showGradient(types, nameOf, colors, width)}`
}

/** One table, so that all of it is in line, with each type as a line above its providers: it may be as long as a line is. */
function showGradient(types: RoutesView['types'], nameOf: (node: string) => string, colors: Colors, width?: number): string {
  if (types.length === 0) return 'Nothing is offered yet.\n'
  const rows = types.flatMap(({ providers }) =>
    providers.map((row) => [
      `  ${nameOf(row.node)}`,
      row.capability,
      showMs(row.metricMs),
      row.ageMs === 0 ? 'now' : showDuration(row.ageMs),
      wayCell(row, nameOf, colors, ...(row.avoided ? ['avoided'] : []), ...(row.status === 'online' ? [] : [row.status]))
    ])
  )
  const header = ['  provider', 'capability', 'cost', 'heard', 'way']
  const [head = '', ...lines] = table(header, rows, colors, width).trimEnd().split('\n')
  const groups = types.flatMap(({ type, providers }) => [colors.bold(plain(type)), ...lines.splice(0, providers.length)])
  return `${[colors.bold('Nearest providers of each type'), head, ...groups].join('\n')}\n`
}

function count(nodes: RoutesView['nodes']): string {
  const { length } = nodes
  const direct = nodes.filter((route) => route.direct).length
  if (direct === length)
    return length === 1
      ? 'The other node is direct: nobody is between.'
      : `All ${length} other nodes are direct: nobody is between.`
  const lost = nodes.filter(isLost).length
  const over = length - direct - lost
  const parts = [`${direct} direct`, ...(over > 0 ? [`${over} over others`] : []), ...(lost > 0 ? [`${lost} without a way`] : [])]
  return `Ways to ${length === 1 ? 'the other node' : `${length} other nodes`}: ${parts.join(', ')}`
}

const isLost = ({ direct, via }: RoutesView['nodes'][number]): boolean => !direct && via === null

function remarksOn({ nodes }: RoutesView): string[] {
  return [
    ...(nodes.some(({ held }) => held) ? ['held: the way got worse, and is kept while a newer one is asked for'] : []),
    ...(nodes.some(({ avoided }) => avoided)
      ? ['avoided: calls that went this way did not come back; it is used only if there is no other, and costs 10 s more']
      : []),
    ...(nodes.some(isLost) ? ['no way known: not connected, and no neighbour leads there; tried again by itself'] : [])
  ]
}
