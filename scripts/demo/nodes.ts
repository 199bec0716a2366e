/** The nodes of the tour: what each offers. */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Config } from '../../src/config.ts'
import { DemoError } from './programs.ts'

const COUNTER = join(import.meta.dirname, 'counter.mjs')

/** Names of the nodes. `desk` only calls; it is the only one whose address the others are told. */
export const NAMES = ['desk', 'attic', 'cellar', 'garage'] as const
/** One of {@link NAMES}. */
export type NodeName = (typeof NAMES)[number]

/** What the file that the tools read holds. */
export const TREES = ['willow', 'alder', 'rowan', 'birch', 'hazel', 'aspen']

/** Configuration of one of the nodes. */
export function configOf(name: NodeName): Config {
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
