/** How a scan looks, and what of it can be shared by which name. */
import { matchName } from '../../protocols/glob.ts'
import { MeshError } from '../errors.ts'
import type { Scan, ScannedMcp, ScannedModel } from '../node-scan.ts'
import { plain, showBytes, showPath, table, type Colors } from './output.ts'

/** Something that can be shared. Numbers count from 1, as the list shows them. */
export interface Shareable {
  number: number
  name: string
  shared: boolean
}

/** What may be shared, in the order of the list. */
export function shareable({ servers, mcp }: Pick<Scan, 'servers' | 'mcp'>): Shareable[] {
  const models = servers.flatMap((server) => server.models).filter(({ withheld }) => withheld === undefined)
  const all = [
    ...models.map(({ shareName: name, shared }) => ({ name, shared })),
    ...mcp.filter(({ withheld }) => withheld === undefined).map(({ shareName: name, shared }) => ({ name, shared }))
  ]
  // Two servers of one kind may have the same model: the configuration calls both the same.
  const named = [...new Map(all.toReversed().map((one) => [one.name, one])).values()].reverse()
  return named.map((one, at) => ({ ...one, number: at + 1 }))
}

/** Names that were given as globs of models, and as MCP servers, which are named `mcp/…` and by no other glob: sharing one starts a program. @throws MeshError `invalid_argument` for one that nothing here has, or that is withheld. */
export function namesToShare(
  scan: Pick<Scan, 'servers' | 'mcp'>,
  names: readonly string[]
): { globs: string[]; mcp: ScannedMcp[] } {
  const offered = shareable(scan)
  const isMcp = (name: string): boolean => name.startsWith('mcp/')
  for (const name of names) {
    if (offered.some((one) => isMcp(name) === isMcp(one.name) && matchName(name, one.name))) continue
    const known = [...scan.servers.flatMap(({ models }) => models), ...scan.mcp].find((one) => one.shareName === name)
    const why = known?.withheld === undefined ? 'nothing of this name was found; see atmo scan' : known.withheld
    throw new MeshError('invalid_argument', `--share ${plain(name.slice(0, 200))}: ${plain(why)}`)
  }
  return {
    globs: names.filter((name) => !isMcp(name)),
    mcp: scan.mcp.filter(
      ({ shareName, withheld }) => withheld === undefined && names.some((name) => isMcp(name) && matchName(name, shareName))
    )
  }
}

/** The list for people. */
export function showScan(scan: Scan, colors: Colors): string {
  const numbers = new Map(shareable(scan).map(({ name, number }) => [name, String(number)]))
  const parts = scan.servers.map(({ name, url, version, because, problem, models }) => {
    const title = `${colors.bold(name)}${version === undefined ? '' : ` ${plain(version)}`} ${colors.dim(url)}\n`
    const why = colors.dim(`  known by: ${plain(because)}\n`)
    const rows = models.map((model) => rowOf(model, numbers.get(model.shareName) ?? ''))
    const told = problem ?? (models.length === 0 ? 'it has no models, or none that may be shared' : undefined)
    return `${title}${why}${told === undefined ? '' : `  ${plain(told)}\n`}${rows.length === 0 ? '' : table(MODEL_COLUMNS, rows, colors)}`
  })
  if (scan.servers.length === 0) parts.push('No AI server answers on this machine.\n')
  if (scan.others.length > 0)
    parts.push(scan.others.map(({ url, because }) => colors.dim(`${url}: ${plain(because)}\n`)).join(''))
  if (scan.mcp.length > 0) parts.push(`${colors.bold('MCP servers of your programs')}\n${mcpTable(scan, numbers, colors)}`)
  if (scan.unread.length > 0) parts.push(scan.unread.map((one) => unreadText(one, colors)).join(''))
  return [...parts, hardwareText(scan, colors), colors.dim(`Configuration: ${showPath(scan.configFile)}\n`)].join('\n')
}

function unreadText({ client, file, problem }: Scan['unread'][number], { yellow }: Colors): string {
  return `${yellow('!')} ${plain(showPath(file))} of ${client} ${plain(problem)}: the MCP servers that it names are not listed\n`
}

const MODEL_COLUMNS = ['', 'name', 'type', 'context', 'state', 'can']

function rowOf(model: ScannedModel, number: string): string[] {
  const { shareName, type, typeFrom, contextLength, loaded, tools, vision, documents, withheld, degraded, shared } = model
  const can = [tools === true && 'tools', vision === true && 'images', documents === true && 'documents']
    .filter(Boolean)
    .join(', ')
  const memory = loaded === undefined ? '' : loaded ? 'loaded' : 'cold'
  const state = shared ? 'shared' : withheld !== undefined ? 'withheld' : memory
  const kind = typeFrom === 'assumed' ? `${type}?` : type
  return [number, shareName, kind, contextLength === undefined ? '' : String(contextLength), state, withheld ?? degraded ?? can]
}

function mcpTable({ mcp }: Scan, numbers: Map<string, string>, colors: Colors): string {
  const rows = mcp.map(({ shareName, client, command, url, withheld, shared }) => [
    numbers.get(shareName) ?? '',
    shareName,
    client,
    shared ? 'shared' : withheld !== undefined ? 'withheld' : '',
    withheld ?? command?.join(' ') ?? url ?? ''
  ])
  return table(['', 'name', 'of', 'state', 'what it runs'], rows, colors)
}

function hardwareText({ hardware }: Scan, colors: Colors): string {
  const { cpu, memoryBytes, gpus, cameras, microphones } = hardware
  const rows = [
    ['cpu', `${cpu.model}, ${cpu.cores} cores, ${cpu.architecture}`],
    ['memory', showBytes(memoryBytes)],
    ...gpus.map((gpu) => ['gpu', `${gpu.name}${gpu.memoryBytes === undefined ? '' : `, ${showBytes(gpu.memoryBytes)}`}`]),
    ...cameras.map(({ name, device }) => ['camera', `${name} ${device}`]),
    ...microphones.map(({ name, device }) => ['microphone', `${name} ${device}`])
  ]
  return `${colors.bold('This machine')}\n${rows.map(([key, value]) => `  ${key!.padEnd(11)}${plain(value!)}\n`).join('')}`
}
