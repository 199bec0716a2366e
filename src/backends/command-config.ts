/** What the configuration of backend `command` looks like. Data only, so that reading a config loads no backend. */
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { EVENT_NAME, TRIGGER_OPTIONS } from './capability-options.ts'
import type { TriggerOptions } from './capability-options.ts'

/** What a program gets on standard input. */
export type StdinMode = 'none' | 'input' | 'stream'
/** What becomes of its standard output. */
export type StdoutMode = 'text' | 'json' | 'lines' | 'ndjson' | 'bytes'

/** A program as a tool. */
export interface CommandToolConfig {
  name: string
  description?: string
  /** Program and arguments. `{key}` in an argument is replaced from the input and stays one argument; `{{key}}` is a literal `{key}`. */
  run: string[]
  input?: JsonSchema
  output?: JsonSchema
  timeoutMs?: number
  idempotent?: boolean
  concurrency?: number
  queue?: number
  requiresApproval?: boolean
  cache?: { ttlMs: number }
  /** Shorthand for `stdout: lines`. */
  streams?: boolean
  /** Default `none`. */
  stdin?: StdinMode
  /** Default `text`, or `lines` if `streams` is true. */
  stdout?: StdoutMode
  /** Values may begin with `-` and so be taken for options by the program. */
  allowDash?: boolean
  env?: Record<string, string>
  /** Relative to the configuration file. */
  cwd?: string
}

/** A trigger, and the program that raises it: it runs for as long as the node does, and each line that it prints is one event. */
export interface CommandTriggerConfig extends TriggerOptions {
  event: string
  /** Of the payload. */
  payload?: JsonSchema
  /** Without it the trigger is declared, but never raised. No placeholders. */
  run?: string[]
  env?: Record<string, string>
  cwd?: string
}

/** Configuration of one `command` backend: one capability made of programs. */
export interface CommandConfig {
  kind: 'command'
  id: string
  type: string
  name?: string
  description?: string
  version?: string
  tools?: CommandToolConfig[]
  triggers?: CommandTriggerConfig[]
  examples?: string[]
  keywords?: string[]
  metadata?: JsonObject
  scope?: 'mesh' | 'node'
}

const run = {
  type: 'array',
  minItems: 1,
  items: { type: 'string' }
} satisfies JsonSchema

const env = {
  type: 'object',
  additionalProperties: { type: 'string' },
  description:
    'Variables for the program, beside PATH, HOME, USER, LOGNAME, LANG, LC_ALL, LC_CTYPE, TMPDIR and TZ. No others are passed on.'
} satisfies JsonSchema

const cwd = {
  type: 'string',
  minLength: 1,
  description: 'Folder to run in, relative to the configuration file. Default: its folder.'
} satisfies JsonSchema

const schemaOfSchema = { type: ['object', 'boolean'] } satisfies JsonSchema

const tool = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'run'],
  properties: {
    name: { type: 'string', pattern: '^[A-Za-z0-9_.-]{1,128}$', description: 'Name of the tool, unique within the capability.' },
    description: { type: 'string', description: 'What it does, for people and models that choose.' },
    run: {
      ...run,
      description:
        'Program and arguments, run without a shell. {key} in an argument is replaced by that key of the input and stays one argument; an argument whose key is not given is left out; {{key}} stands for a literal {key}. The program itself is never a placeholder.'
    },
    input: { ...schemaOfSchema, description: 'JSON Schema of the input; every placeholder is one of its properties.' },
    output: { ...schemaOfSchema, description: 'JSON Schema of the result.' },
    timeoutMs: {
      type: 'integer',
      minimum: 1,
      description: 'Time for one call in ms, where the caller names none. Default 30000.'
    },
    idempotent: { type: 'boolean', description: 'A second run does no harm: the mesh may try again after a failure.' },
    concurrency: { type: 'integer', minimum: 1, description: 'Calls that run at once; more wait.' },
    queue: { type: 'integer', minimum: 0, description: 'Calls that may wait; beyond it callers are told "busy".' },
    requiresApproval: { type: 'boolean', description: 'The owner must agree before each run.' },
    cache: {
      type: 'object',
      additionalProperties: false,
      required: ['ttlMs'],
      properties: { ttlMs: { type: 'integer', minimum: 1 } },
      description: 'Results may be reused for the same input this long.'
    },
    streams: { type: 'boolean', description: 'Shorthand for stdout: lines.' },
    stdin: {
      enum: ['none', 'input', 'stream'],
      description:
        'What the program reads: nothing, the input as one JSON text, or what the caller streams (bytes as they are, JSON as lines). Default none.'
    },
    stdout: {
      enum: ['text', 'json', 'lines', 'ndjson', 'bytes'],
      description:
        'text: the result is the output as text. json: the result is the output, parsed. lines, ndjson, bytes: each line, JSON line or piece is sent as it comes, and the result counts them. Default text.'
    },
    allowDash: {
      type: 'boolean',
      description: 'Values may begin with "-". Only for programs that cannot take them for options.'
    },
    env,
    cwd
  }
} satisfies JsonSchema

const trigger = {
  type: 'object',
  additionalProperties: false,
  required: ['event'],
  properties: {
    event: EVENT_NAME,
    payload: { ...schemaOfSchema, description: 'JSON Schema of the payload.' },
    ...TRIGGER_OPTIONS,
    run: {
      ...run,
      description:
        'Program that runs all the time and raises the event once per line: a JSON object is the payload, other text becomes {"line": text}.'
    },
    env,
    cwd
  }
} satisfies JsonSchema

/** JSON Schema (2020-12) of {@link CommandConfig}. */
export const configSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'id', 'type'],
  description: 'Programs of this machine as the tools of one capability.',
  properties: {
    kind: { const: 'command' },
    id: { type: 'string', pattern: '^[a-z0-9][a-z0-9._:-]{0,127}$', description: 'Id of the capability, unique on this node.' },
    type: {
      type: 'string',
      pattern: '^[a-z0-9_.-]+(/[a-z0-9_.-]+)*$',
      maxLength: 128,
      description: 'Type of the capability: sensor/camera, audio/generate, …'
    },
    name: { type: 'string' },
    description: { type: 'string' },
    version: { type: 'string' },
    tools: { type: 'array', items: tool },
    triggers: { type: 'array', items: trigger },
    examples: { type: 'array', items: { type: 'string' }, description: 'Sentences that this capability should answer.' },
    keywords: { type: 'array', items: { type: 'string' } },
    metadata: { type: 'object' },
    scope: {
      enum: ['mesh', 'node'],
      description: 'node: this machine matters, the same id elsewhere is another thing. Default mesh.'
    }
  }
}
