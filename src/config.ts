/** The configuration of a node: the one place that knows its keys, checks it, and says what is wrong where. No Node in here. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { LineCounter, isAlias, isMap, isNode, isScalar, isSeq, parseDocument, type Document, type Node } from 'yaml'
import type { NodeCost } from '../protocols/announce/cost.ts'
import type { DeclaredAgent } from './agents/agent-config.ts'
import type { BackendConfig } from './backends/index.ts'
import { CONFIG_SCHEMA } from './config-schema.ts'
import { agentProblems } from './config-agents.ts'
import { backendProblems } from './config-backends.ts'
import { FORMATS } from './config-formats.ts'
import { MAX_PROBLEMS, problemsOf, showPath, type ConfigProblem } from './config-problems.ts'
import type { LimitRule } from './core/limits.ts'
import type { PolicyRule } from './core/policy.ts'
import { MeshError } from './errors.ts'
import type { ChangedDescriptors } from './core/pins.ts'
import type { MeaningConfig } from './config-meaning.ts'

/** Which network interfaces mDNS uses: globs over their names. Deny wins. */
export interface MdnsConfig {
  interfaces?: { allow?: string[]; deny?: string[] }
}

/** Events that capabilities of this node raise. */
export interface EventsConfig {
  sink?: string
}

/** What `atmo.yaml` holds. All keys may be missing. */
export interface Config {
  name?: string
  /** Multiaddrs. */
  listen?: string[]
  /** Multiaddrs of static peers. */
  peers?: string[]
  /** `HOST:PORT` of the local API. */
  api?: string
  /** Path, relative to the configuration file. */
  apiKeyFile?: string
  mdns?: boolean | MdnsConfig
  /** Who may call what; the first rule that fits decides. */
  policy?: PolicyRule[]
  /** How much callers may use. */
  limits?: LimitRule[]
  /** What to do with a capability of another node whose description has changed. */
  changedDescriptors?: ChangedDescriptors
  /** What calls on this node cost beside time. */
  cost?: NodeCost
  /** `sink`: where events of this node go that would reach nobody else, a hint as those of triggers. */
  events?: EventsConfig
  meaning?: MeaningConfig
  /** `arguments`: the audit log keeps the arguments of calls, too. */
  audit?: { arguments?: boolean }
  /** Agents that this node runs. */
  agents?: DeclaredAgent[]
  backends?: BackendConfig[]
}

/** A problem of a configuration file with its place, as in `details.problems` of `invalid_config`. Line and column count from 1. */
export interface PlacedProblem {
  line: number
  column: number
  /** `backends[1].command` */
  path: string
  message: string
}

/**
 * Reads a configuration. `file` is how it is called in messages. Throws `invalid_config` that names file, line, column and key
 * of up to 10 problems: `atmo.yaml:7:5 backends[1].command: must be array`.
 */
export function parseConfig(text: string, file: string): Config {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  if (document.errors.length > 0) {
    throw invalid(
      file,
      document.errors.map(({ message, pos }) => ({ ...place(lines, pos[0]), path: '', message }))
    )
  }
  // An empty file is an empty configuration.
  const value: unknown = toJs(document, file) ?? {}
  const validate = compiled()
  const problems = validate(value) ? unseenProblems(value as Config) : problemsOf(validate.errors ?? [])
  if (problems.length > 0) {
    throw invalid(
      file,
      problems.map((problem) => ({
        ...place(lines, offsetOf(document, problem)),
        path: showPath(problem.path),
        message: problem.message
      }))
    )
  }
  return value as Config
}

function unseenProblems({ backends = [], agents = [] }: Config): ConfigProblem[] {
  return [...backendProblems(backends), ...agentProblems(agents, backends)]
}

/** `over` wins, key by key; peers of both are kept, each once. */
export function mergeConfig(base: Config, over: Config): Config {
  const given = Object.fromEntries(Object.entries(over).filter(([, value]) => value !== undefined)) as Config
  const merged = { ...base, ...given }
  if (base.peers && over.peers) merged.peers = [...new Set([...base.peers, ...over.peers])]
  return merged
}

// Compiled on first use: most commands read no configuration.
const compiled = once((): ValidateFunction => {
  const formats = Object.entries(FORMATS).map(([name, problem]) => [name, (text: string) => problem(text) === undefined] as const)
  const ajv = new Ajv2020({
    allErrors: true,
    verbose: true,
    discriminator: true,
    strict: false,
    formats: Object.fromEntries(formats)
  })
  const properties = CONFIG_SCHEMA['properties'] as Record<string, { items?: object }>
  const backends = properties['backends']
  // With the discriminator, only the form of the given kind is checked. It is no keyword of JSON Schema, so it is not published.
  const items = { ...backends?.items, discriminator: { propertyName: 'kind' } }
  return ajv.compile({ ...CONFIG_SCHEMA, properties: { ...properties, backends: { ...backends, items } } })
})

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => (made ??= { value: make() }).value
}

function toJs(document: Document, file: string): unknown {
  try {
    return document.toJS()
  } catch (error) {
    // Too many aliases: a "billion laughs" file.
    throw invalid(file, [{ line: 1, column: 1, path: '', message: error instanceof Error ? error.message : 'it cannot be read' }])
  }
}

function invalid(file: string, problems: PlacedProblem[]): MeshError {
  const sorted = problems.sort((a, b) => a.line - b.line || a.column - b.column).slice(0, MAX_PROBLEMS)
  const text = sorted.map(
    ({ line, column, path, message }) => `${file}:${line}:${column} ${path === '' ? '' : `${path}: `}${message}`
  )
  return new MeshError('invalid_config', text.join('\n'), { file, problems: sorted })
}

function place(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(1, line), column: Math.max(1, col) }
}

/** Where a problem stands: its key or value, else the nearest thing around it that is written down. */
function offsetOf(document: Document, { path, atKey }: ConfigProblem): number {
  let node: unknown = document.contents
  let offset = startOf(document.contents) ?? 0
  for (const [depth, part] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document)
    if (isSeq(node)) node = node.items[Number(part)]
    else if (isMap(node)) {
      const pair = node.items.find(
        ({ key }) => (isScalar(key) ? key.value : key) === String(part) || (isScalar(key) && String(key.value) === String(part))
      )
      if (!pair) return offset
      const atThisKey = (atKey ?? false) && depth === path.length - 1
      node = atThisKey || !isNode(pair.value) || startOf(pair.value) === undefined ? pair.key : pair.value
    } else return offset
    offset = startOf(node) ?? offset
  }
  return offset
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined
}
