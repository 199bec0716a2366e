/** What `atmo scan` finds on this machine, and how what is to be shared gets into the configuration of the node. Node only. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { BackendConfig } from './backends/index.ts'
import { isShared, shareName } from './backends/local-ai.ts'
import { DEFAULT_NAMESPACES } from './backends/local-ai-llamafarm.ts'
import type { FoundModel } from './backends/local-ai-model.ts'
import { createSurvey } from './backends/local-ai-servers.ts'
import type { FoundServer } from './backends/local-ai-servers.ts'
import { UNTOLD, addShares, type EditedConfig, type ShareEdit } from './config-edit.ts'
import { defaultConfigFile, loadSettings } from './config-file.ts'
import { backendId } from './config-backends.ts'
import { parseConfig } from './config.ts'
import { createNodeCheck } from './node-at-address.ts'
import { readHardware, type Hardware } from './node-hardware.ts'
import { findMcpServers, type McpFind, type UnreadConfig } from './node-mcp-clients.ts'
import { VERSION } from './version.ts'

/** Longest id of a backend; numbers of those of one name fit in. */
const MAX_ID = 128
/** Of the hash that tells names apart, in hex. */
const HASH_DIGITS = 8

/** A model, and whether it is shared. */
export interface ScannedModel extends Omit<FoundModel, 'headers' | 'path' | 'voicePath'> {
  /** What `--share` and the configuration call it. */
  shareName: string
  /** The configuration shares it already. */
  shared: boolean
}

/** A server, and its models. */
export interface ScannedServer extends Omit<FoundServer, 'models'> {
  models: ScannedModel[]
}

/** An MCP server of another program. */
export interface ScannedMcp extends McpFind {
  /** Of the backend that it is, or would be; no other has it. */
  id: string
  /** What `--share` calls it. */
  shareName: string
  /** The configuration has a backend of it already. */
  shared: boolean
}

/** See {@link scanMachine}. */
export interface Scan {
  servers: ScannedServer[]
  /** Programs that answer where such servers listen, but are none. */
  others: { url: string; because: string }[]
  mcp: ScannedMcp[]
  /** Configurations of programs that may know MCP servers, and are broken. */
  unread: UnreadConfig[]
  hardware: Hardware
  /** The configuration that sharing goes to. */
  configFile: string
  /** It is there. */
  hasConfig: boolean
}

/** Where to look. */
export interface ScanOptions {
  dataDir?: string
  config?: string
  /** Instead of those of the configuration, else the usual ones. */
  ports?: number[]
  signal: AbortSignal
}

/** Looks, and changes nothing. @throws MeshError `invalid_config`. */
export async function scanMachine({ dataDir, config: configFlag, ports, signal }: ScanOptions): Promise<Scan> {
  const settings = await loadSettings({ dataDir, config: configFlag }, {}, { mayBeNew: true })
  const own = (settings.config.backends ?? []).find((one) => one.kind === 'local-ai')
  const survey = createSurvey(
    {
      ports: ports ?? own?.ports,
      servers: ports === undefined ? own?.servers : [],
      namespaces: own?.namespaces ?? DEFAULT_NAMESPACES
    },
    { version: VERSION }
  )
  const [sightings, { servers: mcp, unread }, hardware] = await Promise.all([
    survey.look(signal),
    findMcpServers({}, createNodeCheck(signal)),
    readHardware()
  ])
  return {
    servers: sightings.flatMap((one) => (one.saw === 'server' ? [scannedServer(one.server, own ?? { share: [] })] : [])),
    others: sightings.flatMap((one) => ('because' in one ? [{ url: one.url, because: one.because }] : [])),
    mcp: namedMcp(mcp, settings.config.backends ?? []),
    unread,
    hardware,
    configFile: settings.file ?? defaultConfigFile(settings.dataDir),
    hasConfig: settings.file !== undefined && existsSync(settings.file)
  }
}

function scannedServer(server: FoundServer, own: { share: string[]; except?: string[] }): ScannedServer {
  return {
    ...server,
    models: server.models.map(({ headers: _headers, path: _path, voicePath: _voicePath, ...model }) => {
      const name = shareName(server, model)
      return { ...model, shareName: name, shared: model.withheld === undefined && isShared(name, own) }
    })
  }
}

/** MCP servers with names of their own: several programs may know one, or call different ones the same. @param backends those of the configuration. */
export function namedMcp(finds: readonly McpFind[], backends: readonly BackendConfig[]): ScannedMcp[] {
  const taken = new Set([...(backends.length === 0 ? UNTOLD : backends).map(backendId), 'local-ai'])
  const merged = new Map<string, McpFind>()
  for (const find of finds) {
    const key = find.withheld === undefined ? whatItIs(find) : `${find.client}\n${find.name}`
    const before = merged.get(key)
    merged.set(key, before === undefined ? find : { ...before, client: `${before.client}, ${find.client}` })
  }
  return [...merged.values()].map((find) => {
    const own = backends.find((one) => one.kind === 'mcp' && find.withheld === undefined && whatItIs(one) === whatItIs(find))
    const id = own === undefined ? freeId(find.name, taken) : backendId(own)
    taken.add(id)
    return { ...find, id, shareName: `mcp/${id}`, shared: own !== undefined }
  })
}

function whatItIs(one: { command?: string[]; url?: string }): string {
  return JSON.stringify(one.command ?? one.url)
}

/** An id that nothing else has. */
function freeId(name: string, taken: ReadonlySet<string>): string {
  const id = idOf(name)
  for (let n = 1; ; n++) {
    const numbered = n === 1 ? id : `${id.slice(0, MAX_ID - 4)}-${n}`
    if (!taken.has(numbered)) return numbered
  }
}

/** A name as an id: `Übersicht` is `ubersicht`. What has no letters of ASCII, as `файлы`, is told apart by a hash of the name, the same each time. */
function idOf(name: string): string {
  const plain = name.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase()
  const id = plain
    .replaceAll(/[^a-z0-9._:-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .replace(/-+$/, '')
  const isWhole = id !== '' && !/[\p{L}\p{N}]/u.test(plain.replaceAll(/[a-z0-9]/g, ''))
  if (isWhole) return id.slice(0, MAX_ID)
  const hash = createHash('sha256').update(name.normalize('NFC')).digest('hex').slice(0, HASH_DIGITS)
  return `${(id || 'mcp').slice(0, MAX_ID - HASH_DIGITS - 1)}-${hash}`
}

/** An MCP server as a backend of the configuration. @param allow its tools that are offered: names or globs. */
export function mcpBackend({ id, command, url }: ScannedMcp, allow: readonly string[]): BackendConfig {
  const tools = { allow: [...allow] }
  return command !== undefined ? { kind: 'mcp', id, command, tools } : { kind: 'mcp', id, url: url!, tools }
}

/** The configuration with what is to be shared, checked; nothing is written. @throws MeshError `invalid_config`. */
export async function planShares(
  { configFile, hasConfig }: Pick<Scan, 'configFile' | 'hasConfig'>,
  edit: ShareEdit
): Promise<EditedConfig> {
  const before = hasConfig ? await readFile(configFile, 'utf8') : ''
  const edited = addShares(before, configFile, edit)
  parseConfig(edited.text, configFile)
  return edited
}

/** Writes a configuration: all of it, or nothing. */
export async function writeConfig(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  const fresh = `${file}.${process.pid}.new`
  await writeFile(fresh, text, { mode: 0o600 })
  await rename(fresh, file)
}
