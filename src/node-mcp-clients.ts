/** The MCP servers that programs of this user have been told of, in their configurations. Read, never started. Node only. */
import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Largest configuration that is read, in bytes. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024
/** Most servers of one configuration. */
const MAX_SERVERS = 64

/** Where the configurations of a user are. */
export interface UserFolders {
  home?: string
  platform?: string
  env?: Record<string, string | undefined>
}

/** A server that a program knows. */
export interface McpFind {
  name: string
  /** The program: `Claude Desktop`. */
  client: string
  /** Program and arguments, for one that is started. */
  command?: string[]
  /** Address, for one that runs already. */
  url?: string
  /** Names of the variables that it wants; what is in them is not read on. */
  env: string[]
  /** Why it cannot be shared just so. */
  withheld?: string
}

/** Reads them all. What cannot be read is none. */
export async function findMcpServers(folders: UserFolders = {}): Promise<McpFind[]> {
  const finds = await Promise.all(
    clientFiles(folders).map(async ([client, file, key]) =>
      serversIn(await objectIn(file), key).map((one) => findOf(client, ...one))
    )
  )
  return finds.flat()
}

/** Client, file, and the key that its servers stand under. */
function clientFiles({
  home = homedir(),
  platform = process.platform,
  env = process.env
}: UserFolders): [string, string, string][] {
  const roaming = env['APPDATA'] ?? join(home, 'AppData', 'Roaming')
  const settings = { darwin: join(home, 'Library', 'Application Support'), win32: roaming }[platform] ?? join(home, '.config')
  return [
    ['Claude Desktop', join(settings, 'Claude', 'claude_desktop_config.json'), 'mcpServers'],
    ['Claude Code', join(home, '.claude.json'), 'mcpServers'],
    ['VS Code', join(settings, 'Code', 'User', 'mcp.json'), 'servers'],
    ['Cursor', join(home, '.cursor', 'mcp.json'), 'mcpServers']
  ]
}

function serversIn(config: Record<string, unknown>, key: string): [string, Record<string, unknown>][] {
  return Object.entries(asObject(config[key]))
    .slice(0, MAX_SERVERS)
    .map(([name, server]) => [name, asObject(server)])
}

function findOf(client: string, name: string, server: Record<string, unknown>): McpFind {
  const { command, args, url } = server
  const env = Object.keys(asObject(server['env']))
  const headers = Object.keys(asObject(server['headers']))
  const find: McpFind = { name: name.slice(0, 128), client, env }
  if (typeof command === 'string') find.command = [command, ...textsIn(args)]
  else if (typeof url === 'string') find.url = url
  const withheld = withheldBecause(find, env.length + headers.length > 0)
  return withheld === undefined ? find : { ...find, withheld }
}

/** What may be a secret is not copied from one file into another. */
function withheldBecause({ command, url }: McpFind, hasSecrets: boolean): string | undefined {
  if (command === undefined && url === undefined) return 'it says neither a program nor an address'
  if (hasSecrets) return 'it has variables or headers that may be secret; write it into atmo.yaml yourself'
  if ([...(command ?? []), url ?? ''].some((part) => part.includes('${'))) return 'it asks its client for values'
  if (url !== undefined && !/^https?:\/\/[^@?#\s]+$/.test(url))
    return 'its address may hold a secret; write it into atmo.yaml yourself'
  if ((command ?? []).some((part) => /(key|token|secret|passw)/i.test(part)))
    return 'its arguments may hold a secret; write it into atmo.yaml yourself'
  return undefined
}

async function objectIn(file: string): Promise<Record<string, unknown>> {
  try {
    if ((await stat(file)).size > MAX_CONFIG_BYTES) return {}
    // Comments are not allowed there, but VS Code takes them on lines of their own.
    const text = (await readFile(file, 'utf8')).replaceAll(/^\s*\/\/.*$/gm, '')
    return asObject(JSON.parse(text))
  } catch {
    return {}
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

function textsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
}
