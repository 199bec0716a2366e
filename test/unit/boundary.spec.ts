import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkBoundaries, checkDependencies, MAX_CODE_LINES, readSources } from '../fixtures/boundary.ts'

const ROOT = join(import.meta.dirname, '../..')

const rulesBroken = (path: string, text: string): string[] => checkBoundaries([{ path, text }]).map(({ rule }) => rule)

describe('boundary', () => {
  it('holds in every file of src and protocols', () => {
    const sources = readSources(ROOT)
    assert.ok(sources.length > 0, 'no sources were read')
    const lines = checkBoundaries(sources).map(({ path, line, rule, message }) => `${path}:${line} [${rule}] ${message}`)
    assert.equal(lines.length, 0, `\n${lines.join('\n')}\n`)
  })

  it('loads packages that package.json installs, and installs none that nothing loads', () => {
    const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
      optionalDependencies: Record<string, string>
    }
    const installed = Object.keys({ ...dependencies, ...optionalDependencies })
    assert.deepEqual(checkDependencies(readSources(ROOT), installed), { undeclared: [], unused: [] })
  })

  it('would see a package that nobody declared, and one that nobody uses', () => {
    const text = "import { a } from 'a/b'\nimport { c } from '@s/c'\nimport type { T } from 'types-only'\nimport 'node:fs'"
    assert.deepEqual(checkDependencies([{ path: 'src/x.ts', text }], ['@s/c', 'idle']), {
      undeclared: ['src/x.ts: a'],
      unused: ['idle']
    })
  })

  // A check that cannot fail proves nothing: each rule is broken once, on purpose.
  const REFUSED: [what: string, path: string, text: string, rule: string][] = [
    ['protocols import src', 'protocols/call/messages.ts', "import { x } from '../../src/errors.ts'", 'layer'],
    ['protocols import types of src', 'protocols/call/messages.ts', "import type { X } from '../../src/core/x.ts'", 'layer'],
    ['protocols import libp2p', 'protocols/call/messages.ts', "import type { PeerId } from '@libp2p/interface'", 'libp2p'],
    ['protocols import Node', 'protocols/call/messages.ts', "import { readFileSync } from 'node:fs'", 'node'],
    ['core imports libp2p', 'src/core/route.ts', "import { createLibp2p } from 'libp2p'", 'libp2p'],
    ['core imports Node', 'src/core/route.ts', "import { join } from 'node:path'", 'node'],
    ['core imports Node lazily', 'src/core/route.ts', "const fs = await import('node:fs')", 'node'],
    ['core imports net', 'src/core/route.ts', "import { session } from '../net/session.ts'", 'layer'],
    ['core re-exports net', 'src/core/route.ts', "export { session } from '../net/session.ts'", 'layer'],
    ['core reads the clock', 'src/core/route.ts', 'export const age = () => Date.now()', 'pure'],
    ['core makes a date', 'src/core/route.ts', 'export const today = () => new Date()', 'pure'],
    ['core throws dice', 'src/core/route.ts', 'export const pick = () => Math.random()', 'pure'],
    ['core imports a value of mesh-api', 'src/core/views.ts', "import { x } from '../mesh-api.ts'", 'layer'],
    ['core sets a timer', 'src/core/route.ts', 'export const later = (f: () => void) => setTimeout(f, 1)', 'pure'],
    ['net imports backends', 'src/net/call.ts', "import { run } from '../backends/command.ts'", 'layer'],
    ['net imports a type of backends', 'src/net/call.ts', "import type { Backend } from '../backends/backend.ts'", 'layer'],
    ['backends import net', 'src/backends/command.ts', "import { run } from '../net/call.ts'", 'layer'],
    ['backends import libp2p', 'src/backends/command.ts', "import type { PeerId } from '@libp2p/interface'", 'libp2p'],
    ['calls import net', 'src/calls/executor.ts', "import type { Session } from '../net/session.ts'", 'layer'],
    ['agents import calls', 'src/agents/agents.ts', "import { createCaller } from '../calls/caller.ts'", 'layer'],
    ['agents import a type of net', 'src/agents/agents.ts', "import type { Session } from '../net/session.ts'", 'layer'],
    ['agents import backends', 'src/agents/agents.ts', "import { run } from '../backends/command.ts'", 'layer'],
    ['agents import a value of mesh-api', 'src/agents/agents.ts', "import { x } from '../mesh-api.ts'", 'layer'],
    ['agents import libp2p', 'src/agents/agents.ts', "import type { PeerId } from '@libp2p/interface'", 'libp2p'],
    ['agents import Node', 'src/agents/agent-store.ts', "import { writeFile } from 'node:fs/promises'", 'node'],
    ['model-tools import agents', 'src/model-tools/names.ts', "import type { Agent } from '../agents/agents.ts'", 'layer'],
    ['model-tools import Node', 'src/model-tools/names.ts', "import { join } from 'node:path'", 'node'],
    ['http imports a value of agents', 'src/http/app.ts', "import { createAgents } from '../agents/agents.ts'", 'layer'],
    ['backends import a value of mesh-api', 'src/backends/function.ts', "import { x } from '../mesh-api.ts'", 'layer'],
    ['net imports the composition', 'src/net/call.ts', "import { createMesh } from '../mesh.ts'", 'layer'],
    ['mesh-api imports a value of a backend', 'src/mesh-api.ts', "import { x } from './backends/backend.ts'", 'layer'],
    ['http imports the mesh', 'src/http/app.ts', "import { createMesh } from '../mesh.ts'", 'layer'],
    ['http imports a value of core', 'src/http/app.ts', "import { match } from '../core/glob.ts'", 'layer'],
    ['the mesh imports an entry', 'src/mesh.ts', "import { createNode } from './index.ts'", 'layer'],
    ['the cli imports net', 'src/cli/start.ts', "import { dial } from '../net/session.ts'", 'layer'],
    ['an import leaves the layers', 'src/mesh.ts', "import { x } from '../test/fixtures/x.ts'", 'layer'],
    ['a folder without a layer', 'src/stuff/x.ts', 'export const x = 1', 'layer'],
    ['a Buffer outside Node files', 'src/http/app.ts', "export const b = Buffer.from('x')", 'node'],
    ['process outside Node files', 'src/net/session.ts', 'export const pid = () => process.pid', 'node'],
    ['a type of Node outside Node files', 'src/net/session.ts', 'export type T = NodeJS.Timeout', 'node'],
    ['import.meta.dirname outside Node files', 'src/mesh.ts', 'export const d = import.meta.dirname', 'node'],
    ['a builtin without node:', 'src/cli/main.ts', "import { join } from 'path'", 'node'],
    [
      'a second file touches Stream',
      'src/net/session.ts',
      "import type { Connection, Stream } from '@libp2p/interface'",
      'stream'
    ],
    ['no extension', 'src/mesh.ts', "import { x } from './core/x'", 'extension'],
    ['a .js extension', 'src/mesh.ts', "import { x } from './core/x.js'", 'extension'],
    ['a drawer', 'src/core/utils.ts', 'export const x = 1', 'name'],
    ['a drawer folder', 'src/core/helpers/x.ts', 'export const x = 1', 'name'],
    ['a manager', 'src/net/connection-manager.ts', 'export const x = 1', 'name'],
    ['camel case', 'src/net/peerTable.ts', 'export const x = 1', 'name'],
    ['a default export', 'src/core/x.ts', 'export default 1', 'default-export'],
    ['a default function', 'src/core/x.ts', 'export default function x() {}', 'default-export'],
    ['inheritance', 'src/core/x.ts', 'export class A extends B {}', 'inheritance'],
    ['module state', 'src/core/x.ts', 'let count = 0', 'module-state'],
    ['a long file', 'src/core/x.ts', 'export const x = [\n' + '  1,\n'.repeat(MAX_CODE_LINES) + ']', 'length']
  ]
  for (const [what, path, text, rule] of REFUSED) {
    it(`refuses: ${what}`, () => assert.deepEqual([...new Set(rulesBroken(path, text))], [rule]))
  }

  const ALLOWED: [what: string, path: string, text: string][] = [
    ['core imports protocols', 'src/core/x.ts', "import { y } from '../../protocols/call/messages.ts'"],
    ['core imports a view of mesh-api', 'src/core/views.ts', "import type { CapabilityView } from '../mesh-api.ts'"],
    ['net imports the version', 'src/net/session.ts', "import { VERSION } from '../version.ts'"],
    ['net imports libp2p', 'src/net/session.ts', "import type { Connection } from '@libp2p/interface'"],
    ['the channel imports Stream', 'src/net/channel.ts', "import type { Stream } from '@libp2p/interface'"],
    ['mesh-api imports the type of a backend', 'src/mesh-api.ts', "import type { Backend } from './backends/backend.ts'"],
    ['a backend imports the type of a handler', 'src/backends/function.ts', "import type { ToolHandler } from '../mesh-api.ts'"],
    ['agents import the type of a mesh', 'src/agents/agents.ts', "import type { Mesh } from '../mesh-api.ts'"],
    ['http imports a type of agents', 'src/http/app.ts', "import type { Agents } from '../agents/agents.ts'"],
    ['http imports a type of core', 'src/http/app.ts', "import type { Item } from '../core/invoke.ts'"],
    [
      'a Node file uses Node',
      'src/backends/command.ts',
      "import { spawn } from 'node:child_process'\nexport const p = process.pid"
    ],
    ['a key named process', 'src/core/x.ts', 'export const x = { process: 1 }\nexport const y = x.process'],
    ['a parameter named process', 'src/core/x.ts', 'export const f = (process: number) => process'],
    ['an error inherits', 'src/core/x.ts', 'export class OddError extends Error {}'],
    ['a long comment', 'src/core/x.ts', `/*\n${'words\n'.repeat(400)}*/\nexport const x = 1\n${'// words\n'.repeat(400)}`],
    ['a date of a given time', 'src/core/x.ts', 'export const d = (ms: number) => new Date(ms)']
  ]
  for (const [what, path, text] of ALLOWED) {
    it(`allows: ${what}`, () => assert.deepEqual(checkBoundaries([{ path, text }]), []))
  }
})
