/** Nodes of the demo: how they are started, and asked. */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Config } from '../../src/config.ts'
import type { CallLine } from '../../src/http/call-routes.ts'
import type { CapabilityView, MeshEvent, PeerView } from '../../src/mesh-api.ts'
import { DemoError, check, type Program, type Programs } from './programs.ts'

const ROOT = join(import.meta.dirname, '../..')
const CLI = join(ROOT, 'dist/src/cli/main.js')

/** How long a node may take to start where others use the machine as well, in ms. */
const START_MS = 60_000

/** The first line of `atmo start --json`. */
export interface ReadyLine {
  event: 'ready'
  peerId: string
  name: string
  multiaddrs: string[]
  api: string
}

/** A node that runs. */
export interface DemoNode<Name extends string = string> {
  readonly name: Name
  readonly peerId: string
  readonly address: string
  /** When it said that it is ready. */
  readonly readyAt: number
  readonly process: Program<ReadyLine | MeshEvent>
}

/** A call that runs as a process of its own. */
export type CallProcess = Program<CallLine>

/** Starts nodes and asks them, all through the command `atmo`. */
export interface Fleet<Name extends string> {
  start(name: Name, peer?: string): Promise<DemoNode<Name>>
  /** What `atmo …` prints there with `--json`: one object. Throws what it fails with. */
  ask<T>(name: Name, ...args: string[]): Promise<T>
  peers(name: Name): Promise<PeerView[]>
  capabilities(name: Name): Promise<CapabilityView[]>
  /** `atmo stop`; returns its exit code. */
  stop(name: Name): Promise<number | null>
  /** `atmo call …` there. */
  call(name: Name, ...args: string[]): CallProcess
  /** Data directory of a node. */
  home(name: Name): string
}

/** What nodes are started with. */
export interface FleetInit<Name extends string> {
  /** Gets a data directory and a configuration file for each node. */
  folder: string
  configOf(name: Name): Config
  /** Files in the data directory of each node, by their names. */
  files?: Record<string, string>
}

/** @throws DemoError if the command is not built. */
export function createFleet<Name extends string>(programs: Programs, init: FleetInit<Name>): Fleet<Name> {
  const { folder, configOf, files = {} } = init
  if (!existsSync(CLI)) throw new DemoError('the command is not built; run: npm ci')

  async function ask<T>(name: Name, ...args: string[]): Promise<{ answer: T; code: number | null }> {
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
      for (const [file, text] of Object.entries(files)) await writeFile(join(home, file), text)
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
      const { at, line } = await process.waitFor((line) => line.event === 'ready', 'ready', { deadlineMs: START_MS })
      check(
        line.name === name && line.multiaddrs[0] !== undefined,
        `${name} is ready, but calls itself ${line.name} and listens nowhere`
      )
      return { name, peerId: line.peerId, address: line.multiaddrs[0], readyAt: at, process }
    },
    ask: async <T>(name: Name, ...args: string[]) => (await ask<T>(name, ...args)).answer,
    peers: async (name) => (await ask<{ peers: PeerView[] }>(name, 'peers')).answer.peers,
    capabilities: async (name) => (await ask<{ capabilities: CapabilityView[] }>(name, 'capabilities')).answer.capabilities,
    stop: async (name) => (await ask(name, 'stop')).code,
    call: (name, ...args) =>
      programs.start<CallLine>('atmo call', [CLI, 'call', ...args, '--json', '--data-dir', join(folder, name)]),
    home: (name) => join(folder, name)
  }
}
