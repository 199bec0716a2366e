/** What the configuration of backend `mcp` looks like. Data only. */
import { MAX_PATTERN } from '../../protocols/glob.ts'
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'

interface McpCommon {
  kind: 'mcp'
  /** Id of the backend and of its capability. */
  id: string
  /** Default `mcp/<id>`. */
  type?: string
  name?: string
  description?: string
  examples?: string[]
  keywords?: string[]
  /** Globs over tool names, `*` for any characters. What is denied is never offered; with `allow`, only what it names is. */
  tools?: { allow?: string[]; deny?: string[] }
  scope?: 'mesh' | 'node'
}

/** An MCP server that this node starts and talks to over stdio. */
export interface McpStdioConfig extends McpCommon {
  /** Program and arguments, run without a shell. */
  command: string[]
  env?: Record<string, string>
  /** Relative to the configuration file. */
  cwd?: string
}

/** An MCP server that runs already, over streamable HTTP. */
export interface McpHttpConfig extends McpCommon {
  url: string
  headers?: Record<string, string>
}

/** Configuration of one `mcp` backend: one server is one capability. */
export type McpConfig = McpStdioConfig | McpHttpConfig

const globs = { type: 'array', items: { type: 'string', minLength: 1, maxLength: MAX_PATTERN } } satisfies JsonSchema

/** JSON Schema (2020-12) of {@link McpConfig}. */
export const configSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'id'],
  oneOf: [
    { required: ['command'], properties: { url: false, headers: false } },
    { required: ['url'], properties: { command: false, env: false, cwd: false } }
  ],
  description: 'The tools of one MCP server, started here (command) or reached over HTTP (url).',
  properties: {
    kind: { const: 'mcp' },
    id: { type: 'string', pattern: '^[a-z0-9][a-z0-9._:-]{0,127}$', description: 'Id of the capability, unique on this node.' },
    type: {
      type: 'string',
      pattern: '^[a-z0-9_.-]+(/[a-z0-9_.-]+)*$',
      maxLength: 128,
      description: 'Type of the capability. Default mcp/<id>.'
    },
    name: { type: 'string' },
    description: { type: 'string', description: 'Default: the instructions of the server.' },
    examples: { type: 'array', items: { type: 'string' }, description: 'Sentences that this capability should answer.' },
    keywords: { type: 'array', items: { type: 'string' } },
    command: {
      type: 'array',
      minItems: 1,
      items: { type: 'string' },
      description: 'Program and arguments that speak MCP on stdio; run without a shell.'
    },
    env: {
      type: 'object',
      additionalProperties: { type: 'string' },
      description:
        'Variables for the server, beside PATH, HOME, USER, LOGNAME, LANG, LC_ALL, LC_CTYPE, TMPDIR and TZ. No others are passed on.'
    },
    cwd: { type: 'string', minLength: 1, description: 'Folder to run in, relative to the configuration file.' },
    url: {
      type: 'string',
      pattern: '^https?://',
      description: 'Address of the MCP endpoint, such as http://127.0.0.1:3001/mcp.'
    },
    headers: {
      type: 'object',
      additionalProperties: { type: 'string' },
      description: 'Headers of every request, such as Authorization.'
    },
    tools: {
      type: 'object',
      additionalProperties: false,
      properties: { allow: globs, deny: globs },
      description: 'Which tools are offered: globs over their names (* is any text, ? one character). Deny wins.'
    },
    scope: {
      enum: ['mesh', 'node'],
      description: 'node: this machine matters, the same id elsewhere is another thing. Default mesh.'
    }
  }
}
