/** Adds to the text of a configuration, and leaves the rest of it as its owner has written it. */
import { isMap, isSeq, parseDocument, type Document, type YAMLMap, type YAMLSeq } from 'yaml'
import type { BackendConfig } from './backends/index.ts'
import { USUAL_PORTS } from './backends/local-ai-fingerprints.ts'
import { backendId } from './config-backends.ts'
import { MeshError } from './errors.ts'

/** What a node offers that is told nothing: it stays when something is added. */
export const UNTOLD: readonly BackendConfig[] = [{ kind: 'system' }]

/** A configuration with something added. */
export interface EditedConfig {
  text: string
  /** False: it said all of that already, and the text is as it was. */
  changed: boolean
  /** False: lines that were there have changed, if only in their form. An empty list of tools that gets its first does not count. */
  keepsLines: boolean
}

/** More tools for an MCP server that the configuration has. */
export interface MoreTools {
  /** Id of its backend. */
  backend: string
  /** Names or globs for `tools.allow`. Where there is no such list, all are offered already. */
  allow: readonly string[]
}

/** What is to be shared. */
export interface ShareEdit {
  /** Globs or names for `share` of the backend `local-ai`. */
  share?: readonly string[]
  /** Ports that it looks at: these alone where it is new, else these as well. */
  ports?: readonly number[]
  /** Backends beside it. */
  backends?: readonly BackendConfig[]
  tools?: readonly MoreTools[]
}

/**
 * Adds what is to be shared. @param file how it is called in messages.
 * @throws MeshError `invalid_config` for a text that is no configuration.
 */
export function addShares(text: string, file: string, { share = [], ports, backends = [], tools = [] }: ShareEdit): EditedConfig {
  const document = parseDocument(text)
  const { contents } = document
  if (document.errors.length > 0 || (contents !== null && !isMap(contents)))
    throw new MeshError('invalid_config', `${file} cannot be read; mend it first`, { file })
  const before = JSON.stringify(document)
  const filled = addTools(document, tools)
  if (share.length > 0 || backends.length > 0) {
    const list = backendsOf(document)
    if (share.length > 0) addNames(document, list, share, ports)
    for (const one of backends) list.add(document.createNode(one))
  }
  if (JSON.stringify(document) === before) return { text, changed: false, keepsLines: true }
  const edited = document.toString({ lineWidth: 0 })
  return { text: edited, changed: true, keepsLines: keepsLines(withoutLines(text, filled), edited) }
}

/** @returns where in the text empty lists were that got their first. */
function addTools(document: Document, tools: readonly MoreTools[]): number[] {
  const list: unknown = document.get('backends')
  const filled: number[] = []
  for (const { backend, allow } of tools) {
    const one = isSeq(list) ? list.items.find((item): item is YAMLMap => isMap(item) && idOf(item) === backend) : undefined
    const names: unknown = one?.getIn(['tools', 'allow'])
    if (!isSeq(names)) continue
    if (names.items.length === 0) {
      names.flow = false
      if (names.range) filled.push(names.range[0])
    }
    addNew(document, names, allow)
  }
  return filled
}

function idOf(backend: YAMLMap): string {
  return backendId(backend.toJSON() as BackendConfig)
}

function addNew(document: Document, list: YAMLSeq, names: readonly string[]): void {
  const there = new Set(list.toJSON() as string[])
  for (const name of names) if (!there.has(name)) list.add(document.createNode(name))
}

function backendsOf(document: Document): YAMLSeq {
  const found: unknown = document.get('backends')
  if (isSeq(found)) return found
  const made = document.createNode(UNTOLD)
  document.set('backends', made)
  return made
}

function addNames(document: Document, list: YAMLSeq, share: readonly string[], ports: readonly number[] | undefined): void {
  const own = list.items.find((one): one is YAMLMap => isMap(one) && one.get('kind') === 'local-ai')
  if (own === undefined) {
    const config = { kind: 'local-ai', ...(ports !== undefined && { ports: [...ports] }), share: [...share] }
    list.add(document.createNode(config))
    return
  }
  if (ports !== undefined) addPorts(document, own, ports)
  const names = own.get('share')
  if (!isSeq(names)) return own.set('share', document.createNode([...share]))
  addNew(document, names, share)
}

/** To its own list of ports; without one it looks at the usual ones, and goes on to. */
function addPorts(document: Document, own: YAMLMap, ports: readonly number[]): void {
  const listed = own.get('ports')
  if (isSeq(listed)) {
    const there = new Set(listed.toJSON() as number[])
    for (const port of ports) if (!there.has(port)) listed.add(document.createNode(port))
    return
  }
  const servers = own.get('servers')
  const urls = isSeq(servers) ? (servers.toJSON() as { url: string }[]).map(({ url }) => url.replace(/\/+$/, '')) : []
  const more = ports
    .filter((port) => !USUAL_PORTS.includes(port))
    .map((port) => `http://127.0.0.1:${port}`)
    .filter((url) => !urls.includes(url))
  if (more.length === 0) return
  if (!isSeq(servers)) return own.set('servers', document.createNode(more.map((url) => ({ url }))))
  for (const url of more) servers.add(document.createNode({ url }))
}

/** A text without the lines of some places in it. */
function withoutLines(text: string, places: readonly number[]): string {
  const numbers = new Set(places.map((at) => text.slice(0, at).split('\n').length - 1))
  return text
    .split('\n')
    .filter((_, number) => !numbers.has(number))
    .join('\n')
}

/** Whether all lines of the one are in the other, in their order. */
function keepsLines(before: string, after: string): boolean {
  const lines = after.split('\n')
  let at = 0
  for (const line of before.split('\n')) {
    if (line.trim() === '') continue
    while (at < lines.length && lines[at] !== line) at++
    if (at++ === lines.length) return false
  }
  return true
}
