/** The nodes of the demo: what each offers, how it is started, how it is asked. */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import type { Config } from '../../src/config.ts'
import type { CallLine } from '../../src/http/call-routes.ts'
import type { CapabilityView, MeshEvent, PeerView } from '../../src/mesh-api.ts'
import { DemoError, check, type Program, type Programs } from './programs.ts'

const ROOT = join(import.meta.dirname, '../..')
const CLI = join(ROOT, 'dist/src/cli/main.js')
const COUNTER = join(import.meta.dirname, 'counter.mjs')

/** Names of the nodes. `desk` only calls; it is the only one whose address the others are told. */
export const NAMES = ['desk', 'attic', 'cellar', 'garage'] as const
/** One of {@link NAMES}. */
export type NodeName = (typeof NAMES)[number]

/** What the file that the tools read holds. */
export const TREES = ['willow', 'alder', 'rowan', 'birch', 'hazel', 'aspen']

/** The first line of `atmo start --json`. */
export interface ReadyLine {
  event: 'ready'
  peerId: string
  name: string
  multiaddrs: string[]
  api: string
}

/** A node that runs. */
export interface DemoNode {
  readonly name: NodeName
  readonly peerId: string
  readonly address: string
  /** When it said that it is ready. */
  readonly readyAt: number
  readonly process: Program<ReadyLine | MeshEvent>
}

/** A call that runs as a process of its own. */
export type CallProcess = Program<CallLine>

/** Starts nodes and asks them, all through the command `atmo`. */
export interface Fleet {
  start(name: NodeName, peer?: string): Promise<DemoNode>
  peers(name: NodeName): Promise<PeerView[]>
  capabilities(name: NodeName): Promise<CapabilityView[]>
  /** `atmo stop`; returns its exit code. */
  stop(name: NodeName): Promise<number | null>
  /** `atmo call …` at the desk. */
  call(...args: string[]): CallProcess
}

/** @param folder gets a data directory and a configuration file for each node. */
export function createFleet(programs: Programs, folder: string): Fleet {
  if (!existsSync(CLI)) throw new DemoError('the command is not built; run: npm ci')

  async function ask<T>(name: NodeName, ...args: string[]): Promise<{ answer: T; code: number | null }> {
    const program = programs.start<T | { error: { message: string } }>(`atmo ${args[0]}`, [
      CLI,
      ...args,
      '--json',
      '--data-dir',
      join(folder, name)
    ])
    const { code } = await program.ended()
    const answer = program.lines[0]?.line
    check(answer !== undefined, `atmo ${args.join(' ')} printed nothing, exit code ${code}`)
    if (typeof answer === 'object' && answer !== null && 'error' in answer)
      throw new DemoError(`atmo ${args.join(' ')}: ${answer.error.message}`)
    return { answer: answer as T, code }
  }

  return {
    async start(name, peer) {
      const home = join(folder, name)
      await mkdir(home)
      await writeFile(join(home, 'trees.txt'), `${TREES.join('\n')}\n`)
      await writeFile(join(home, 'atmo.yaml'), stringify(configOf(name)))
      const args = [
        'start',
        '--open',
        '--json',
        '--data-dir',
        home,
        '--config',
        join(home, 'atmo.yaml'),
        '--listen',
        '/ip4/127.0.0.1/tcp/0',
        '--no-mdns'
      ]
      const process = programs.start<ReadyLine | MeshEvent>(name, [CLI, ...args, ...(peer === undefined ? [] : ['--peer', peer])])
      const { at, line } = await process.waitFor((line) => line.event === 'ready', 'ready')
      check(
        line.name === name && line.multiaddrs[0] !== undefined,
        `${name} is ready, but calls itself ${line.name} and listens nowhere`
      )
      return { name, peerId: line.peerId, address: line.multiaddrs[0], readyAt: at, process }
    },
    peers: async (name) => (await ask<{ peers: PeerView[] }>(name, 'peers')).answer.peers,
    capabilities: async (name) => (await ask<{ capabilities: CapabilityView[] }>(name, 'capabilities')).answer.capabilities,
    stop: async (name) => (await ask(name, 'stop')).code,
    call: (...args) => programs.start<CallLine>('atmo call', [CLI, 'call', ...args, '--json', '--data-dir', join(folder, 'desk')])
  }
}

function configOf(name: NodeName): Config {
  const common = { name }
  if (name === 'desk') return { ...common, backends: [] }
  if (name === 'attic')
    return { ...common, backends: [{ kind: 'mcp', id: 'everything', command: [process.execPath, mcpServer(), 'stdio'] }] }
  // The pattern keeps callers inside the folder.
  const file = { type: 'string', pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]*$', description: 'A file of this folder.' }
  const fileInput = { type: 'object', additionalProperties: false, required: ['file'], properties: { file } }
  return {
    ...common,
    backends: [
      {
        kind: 'command',
        id: 'tools',
        type: 'demo/tools',
        description: 'Programs of this machine.',
        tools: [
          {
            name: 'words',
            description: 'Counts the words of a file.',
            run: ['wc', '-w', '{file}'],
            input: fileInput,
            idempotent: true
          },
          {
            name: 'sort',
            description: 'Sorts the lines of a file.',
            run: ['sort', '{file}'],
            stdout: 'lines',
            input: fileInput,
            idempotent: true
          },
          {
            name: 'count',
            description: 'Counts, slowly; one call at a time.',
            run: [process.execPath, COUNTER, '{to}', '{intervalMs}'],
            stdout: 'ndjson',
            idempotent: true,
            concurrency: 1,
            queue: 0,
            env: { DEMO_NODE: name },
            input: {
              type: 'object',
              additionalProperties: false,
              required: ['to'],
              properties: { to: { type: 'integer', minimum: 1 }, intervalMs: { type: 'integer', minimum: 0, default: 20 } }
            }
          }
        ]
      }
    ]
  }
}

/** The reference MCP server, as npm installed it. */
function mcpServer(): string {
  const name = '@modelcontextprotocol/server-everything'
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`)
    return join(dirname(manifest), 'dist/index.js')
  } catch (error) {
    throw new DemoError(`${name} is not installed; run: npm ci`, { cause: error })
  }
}
