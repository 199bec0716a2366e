import { Option, type Command } from 'commander'
import { CAPABILITY_STATUSES } from '../../protocols/capability.ts'
import { parseTarget } from '../../protocols/named-node.ts'
import { shortId } from '../../protocols/short-id.ts'
import type { CapabilityView } from '../mesh-api.ts'
import { connectToNode } from './client.ts'
import { contextOf, withNodeOptions, type NodeOptions } from './command-line.ts'
import { nearCapabilities } from './near-capabilities.ts'
import { plain, table, type Cell, type Colors } from './output.ts'
import { showChanges } from './show-change.ts'

const FILTERS = ['type', 'domain', 'tool', 'trigger', 'text', 'keyword', 'node', 'status'] as const

interface Answer {
  capabilities: CapabilityView[]
}

type Filters = { [key in (typeof FILTERS)[number]]?: string }

/** `atmo capabilities [ID]`: what the mesh can do, as this node knows it. */
export function addCapabilities(program: Command): void {
  withNodeOptions(
    program
      .command('capabilities')
      .alias('caps')
      .description('list what the mesh can do')
      .argument('[id]', 'only capabilities of this id, or ID@NODE; one is shown with its tools')
  )
    .option('--type <glob>', 'only types that fit, such as "sensor/*"')
    .option('--domain <word>', 'only types with this segment')
    .option('--tool <name>', 'only those with this tool')
    .option('--trigger <event>', 'only those with this trigger')
    .option('--text <words>', 'only those that mention the words')
    .option('--keyword <word>', 'only those with this keyword')
    .option('--node <node>', 'only those of this node (name or peer id)')
    .addOption(new Option('--status <status>', 'only those with this status').choices(CAPABILITY_STATUSES))
    .action(async (id: string | undefined, options: NodeOptions & Filters) => {
      const { dataDir, output } = contextOf(options)
      // The same names that `call` takes: what the list shows can be asked for.
      const { name, node } = parseTarget(id ?? '')
      const query = new URLSearchParams({ ...(id !== undefined && { id: name }), ...(node !== undefined && { node }) })
      for (const key of FILTERS) if (options[key] !== undefined) query.set(key, options[key])
      const client = await connectToNode(dataDir)
      const answer = await client.get<Answer>(`/mesh/capabilities?${query.toString()}`)
      if (output.json) return output.out(`${JSON.stringify(answer)}\n`)
      const { capabilities } = answer
      if (capabilities.length === 0 && query.size === 0) return output.out('Nothing is offered yet.\n')
      if (capabilities.length === 0) {
        await output.out('Nothing fits.\n')
        const { capabilities: all } = await client.get<Answer>('/mesh/capabilities')
        const lines = nearCapabilities(Object.fromEntries(query), all)
        return lines.length === 0 ? undefined : output.err(`${lines.join('\n')}\n`)
      }
      const [only] = capabilities
      const one = id !== undefined && capabilities.length === 1 ? only : undefined
      await output.out(one === undefined ? showAll(capabilities, output.colors) : showOne(one, output.colors))
      if (one === undefined && capabilities.some(({ changed }) => changed !== undefined))
        await output.err(
          output.errorColors.yellow('Changed: not what it said of itself before. atmo capabilities ID@NODE shows what.\n')
        )
    })
}

function statusCell({ status, changed }: CapabilityView, colors: Colors): Exclude<Cell, string> {
  if (changed !== undefined) return { text: `${status}, changed!`, style: colors.yellow }
  const style = status === 'online' ? colors.green : status === 'offline' || status === 'suspended' ? colors.red : colors.yellow
  return { text: status, style }
}

function showAll(capabilities: CapabilityView[], colors: Colors): string {
  const rows = capabilities.map((capability) => {
    const { ref, type, nodeName, local, mesh, tools, triggers } = capability
    return [
      { text: ref, style: colors.bold },
      type,
      local ? `${nodeName} (here)` : mesh === undefined ? nodeName : `${nodeName} (of ${mesh})`,
      statusCell(capability, colors),
      [
        ...tools.map(({ name, requiresApproval }) => (requiresApproval === true ? `${name}?` : name)),
        ...triggers.map(({ event }) => `!${event}`)
      ].join(', ')
    ]
  })
  return table(['capability', 'type', 'node', 'status', 'tools and !triggers'], rows, colors)
}

function showOne(capability: CapabilityView, colors: Colors): string {
  const { id, type, nodeName, node, mesh, statusReason, description, tools, triggers, ref, changed } = capability
  const { text, style } = statusCell(capability, colors)
  const lines = [
    `${colors.bold(plain(id))}  ${plain(type)}  ${style(text)}${statusReason ? ` ${plain(statusReason)}` : ''}`,
    `  ${colors.dim(`on ${plain(nodeName)} ${shortId(node)}${mesh === undefined ? '' : `, lent by ${plain(mesh)}`}`)}`
  ]
  if (changed !== undefined) {
    lines.push('', colors.yellow(`  changed since ${plain(changed.since)}; nobody here has accepted it yet:`))
    lines.push(...showChanges(changed, colors).map((line) => `    ${line}`))
    lines.push(colors.dim(`  atmo accept ${node} ${plain(id)} --hash ${changed.hash.slice(0, 16)}`), '')
  }
  if (description) lines.push(`  ${plain(description)}`)
  for (const tool of tools) {
    const asks = tool.requiresApproval === true ? colors.yellow('  waits for a yes of its owner') : ''
    lines.push('', `  ${colors.cyan(plain(tool.name))}${asks}${tool.description ? `  ${plain(tool.description)}` : ''}`)
    lines.push(...parametersOf(tool.input).map((line) => `    ${line}`))
  }
  for (const { event, description: about } of triggers)
    lines.push('', `  ${colors.magenta(`!${plain(event)}`)}${about ? `  ${plain(about)}` : ''}`)
  const [tool] = tools
  if (tool) {
    const hasParameters = parametersOf(tool.input).length > 0
    lines.push('', colors.dim(`  atmo call ${plain(ref)} ${plain(tool.name)}${hasParameters ? ' --param KEY=VALUE' : ''}`))
  }
  return `${lines.join('\n')}\n`
}

/** The keys of an input schema, one a line. */
function parametersOf(schema: unknown): string[] {
  const { properties, required } = (typeof schema === 'object' && schema !== null ? schema : {}) as {
    properties?: Record<string, unknown>
    required?: unknown
  }
  if (typeof properties !== 'object' || properties === null) return []
  const needed = Array.isArray(required) ? required : []
  return Object.entries(properties).map(([key, value]) => {
    const { type, description } = (typeof value === 'object' && value !== null ? value : {}) as {
      type?: unknown
      description?: unknown
    }
    const kind = typeof type === 'string' ? type : 'any'
    return plain(`${key}${needed.includes(key) ? '' : '?'}: ${kind}${typeof description === 'string' ? ` - ${description}` : ''}`)
  })
}
