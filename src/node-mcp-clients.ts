/** The MCP servers that programs of this user have been told of, in their configurations. Read, never started. Node only. */
import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { jsonFault } from './json-fault.ts'

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
  /** The program: `Claude Desktop`; several that know the same. */
  client: string
  /** Program and arguments, for one that is started. */
  command?: string[]
  /** Address, for one that runs already. */
  url?: string
  /** Why it cannot be shared just so. Then nothing else of it is said: what may be a secret goes no further than the file that it is in. */
  withheld?: string
}

/** A configuration that is there and says nothing that can be understood. */
export interface UnreadConfig {
  client: string
  file: string
  /** `is no JSON (line 3, column 14)`. Never a word of what stands there. */
  problem: string
}

/** What all of them say. */
export interface McpFinds {
  servers: McpFind[]
  unread: UnreadConfig[]
}

/** Whether a node answers at an address. */
export type NodeCheck = (url: string) => Promise<boolean>

/** Reads them all, and checks all addresses at once. A configuration that is not there is none. @param isNode default: none is. */
export async function findMcpServers(folders: UserFolders = {}, isNode: NodeCheck = async () => false): Promise<McpFinds> {
  const read = await Promise.all(clientFiles(folders).map((one) => readServers(...one)))
  const named = read.flatMap(({ client, servers }) => servers.map((one) => [client, ...one] as const))
  return {
    servers: await Promise.all(named.map(([client, name, server]) => findOf(client, isNode, name, server))),
    unread: read.flatMap(({ client, file, problem }) => (problem === undefined ? [] : [{ client, file, problem }]))
  }
}

interface ReadServers {
  client: string
  file: string
  problem: string | undefined
  servers: [string, Record<string, unknown>][]
}

async function readServers(client: string, file: string, key: string): Promise<ReadServers> {
  const config = await readConfig(file)
  const problem = typeof config === 'string' ? config : keyProblem(config, key)
  return { client, file, problem, servers: problem === undefined ? serversIn(asObject(config), key) : [] }
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

async function findOf(client: string, isNode: NodeCheck, name: string, server: Record<string, unknown>): Promise<McpFind> {
  const { command, args, url, env, headers } = server
  const known = { name: name.slice(0, 128), client }
  const what: Pick<McpFind, 'command' | 'url'> =
    typeof command === 'string' ? { command: [command, ...textsIn(args)] } : typeof url === 'string' ? { url } : {}
  const isGiven = Object.keys({ ...asObject(env), ...asObject(headers) }).length > 0
  const isOwn = isOwnProgram(what) || (what.url !== undefined && (await isNode(what.url)))
  const withheld = isOwn ? IS_OWN : withheldBecause(what, isGiven)
  return withheld === undefined ? { ...known, ...what } : { ...known, withheld }
}

/** A mesh that is offered to itself is a loop. The backend `mcp` refuses what is not recognised here. */
const IS_OWN = 'it is Atmosphere itself: the tools of a mesh are in it already'
/** The command, as what starts programs names it: itself, its package, or a script of that. */
const OWN_WORD = /^(atmo|atmosphere-mesh)(@\S*)?$|[/\\]dist[/\\]src[/\\]cli[/\\]main\.js$/
const OWN_FILE = /^atmo(\.(cmd|exe|ps1))?$/i

/** It starts `atmo mcp`: by itself, or by `npx`, `node` or a shell. */
function isOwnProgram({ command = [] }: Pick<McpFind, 'command'>): boolean {
  const words = command.flatMap((part) => part.split(/\s+/))
  const isFile = OWN_FILE.test(command[0]?.split(/[/\\]/).at(-1) ?? '')
  const at = isFile ? 0 : words.findIndex((word) => OWN_WORD.test(word))
  return at >= 0 && words.indexOf('mcp', at + 1) > at
}

/** Words of options and variables that hold secrets. */
const SECRET_WORDS = /key|token|secret|pass|pwd|auth|bearer|cred|cookie|jwt/i
/** The user and password of an address. */
const USER_AND_PASSWORD = /\S:\S*@/
/** Longest argument that is taken for no secret, in characters. */
const MAX_PLAIN = 1_024
/** Letters and digits mixed, longer than names are. */
const OPAQUE = /(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{20,}/i

/** What may be a secret is not copied from one file into another. */
function withheldBecause({ command, url }: Pick<McpFind, 'command' | 'url'>, isGiven: boolean): string | undefined {
  if (command === undefined && url === undefined) return 'it says neither a program nor an address'
  if (isGiven) return 'it has variables or headers that may be secret; write it into atmo.yaml yourself'
  const parts = command ?? [url!]
  if (parts.some((part) => part.includes('${'))) return 'it asks its client for values'
  const mayBeSecret = (part: string): boolean =>
    part.length > MAX_PLAIN || [SECRET_WORDS, USER_AND_PASSWORD, OPAQUE].some((one) => one.test(part))
  if (url !== undefined && (!/^https?:\/\/[^@?#\s]+$/.test(url) || mayBeSecret(url)))
    return 'its address may hold a secret; write it into atmo.yaml yourself'
  if (parts.some(mayBeSecret)) return 'its arguments may hold a secret; write it into atmo.yaml yourself'
  return undefined
}

/** A configuration, or why it cannot be read; undefined if there is none. */
async function readConfig(file: string): Promise<Record<string, unknown> | string | undefined> {
  try {
    if ((await stat(file)).size > MAX_CONFIG_BYTES) return `is larger than ${MAX_CONFIG_BYTES / 1024 / 1024} MiB`
    // Comments are not allowed there, but VS Code takes them on lines of their own; and what Windows writes begins with a mark.
    const text = (await readFile(file, 'utf8')).replace(/^\uFEFF/, '').replaceAll(/^[ \t]*\/\/.*$/gm, '')
    const fault = jsonFault(text)
    if (fault !== undefined) return `is no JSON (${fault})`
    const config: unknown = JSON.parse(text)
    return isObject(config) ? config : 'is no JSON object'
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException
    return code === 'ENOENT' || code === 'ENOTDIR' ? undefined : `cannot be read (${code})`
  }
}

function keyProblem(config: Record<string, unknown> | undefined, key: string): string | undefined {
  const servers = config?.[key]
  return servers === undefined || servers === null || isObject(servers) ? undefined : `has a key "${key}" that is no object`
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function asObject(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {}
}

function textsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
}
