/** What an agent looks like in the configuration. Data only, so that reading a configuration loads no agent. */
import type { HandlesDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import { MAX_PATTERN } from '../../protocols/glob.ts'
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { DEFAULT_LIMITS, MAX_LIMITS, type AgentLimit, type AgentLimits } from './budget.ts'
import type { AgentToolRule } from './mesh-tools.ts'

/** Agents of one node at most. */
export const MAX_AGENTS = 64
/** Longest instructions, in characters. */
export const MAX_INSTRUCTIONS = 32_768

/** An agent that is declared: a model follows its instructions, and calls the tools that it may. */
export interface DeclaredAgent {
  id: string
  /** Default: `agent/<id>`. */
  type?: string
  name?: string
  description?: string
  instructions: string
  /** Id or type of a capability of type `llm/chat`, perhaps `@node`. Default: any of that type. */
  model?: string
  temperature?: number
  /** Which tools of the mesh it may use; one of the rules must fit. Default: none. */
  tools?: AgentToolRule[]
  /** `false`: it handles no events. Default: those that are routed to it. */
  handles?: HandlesDeclaration | false
  /** Events that it may raise. */
  triggers?: TriggerDeclaration[]
  limits?: Partial<AgentLimits>
  concurrency?: number
  examples?: string[]
  keywords?: string[]
}

const globs = { type: 'array', minItems: 1, items: { type: 'string', minLength: 1, maxLength: MAX_PATTERN } } satisfies JsonSchema
const texts = { type: 'array', items: { type: 'string' } } satisfies JsonSchema

const LIMIT_TEXTS: Record<AgentLimit, string> = {
  steps: 'Questions to its model.',
  timeMs: 'Time in ms, without the time that it waits for its turn.',
  tokens: 'Tokens of models, questions and answers together.',
  toolCalls: 'Calls of tools.',
  depth: 'Events and agents that an intent may follow from, one from the other.'
}

const limits = Object.fromEntries(
  Object.entries(LIMIT_TEXTS).map(([limit, text]) => {
    const [most, given] = [MAX_LIMITS[limit as AgentLimit], DEFAULT_LIMITS[limit as AgentLimit]]
    const minimum = limit === 'toolCalls' || limit === 'depth' ? 0 : 1
    return [limit, { type: 'integer', minimum, maximum: most, description: `${text} Default ${given}.` }]
  })
)

const trigger = {
  type: 'object',
  additionalProperties: false,
  required: ['event'],
  properties: {
    event: { type: 'string', pattern: '^[A-Za-z0-9_.-]{1,128}$', description: 'Name of the event.' },
    description: { type: 'string', description: 'For people, and for its model: when to raise it.' },
    intentTemplate: { type: 'string', description: 'Text of the intent; {key} is filled from the payload.' },
    payload: { type: ['object', 'boolean'], description: 'JSON Schema of the payload.' },
    subject: { type: 'string', description: 'Key of the payload that says what an event is about. Default location.' },
    routeHint: {
      type: 'string',
      description: 'Where it should go: capability:ID, a glob over types, or meaning:GLOB for whom its words mean.'
    },
    fanOut: { type: ['string', 'integer'], description: 'How many handlers get it: one (default), all, or a number.' },
    priority: { enum: ['low', 'normal', 'high', 'critical'] },
    throttleMs: { type: 'integer', minimum: 0, description: 'Shortest time between two events of one subject, in ms.' },
    debounceMs: { type: 'integer', minimum: 0, description: 'An event waits until none was raised for this time, in ms.' },
    expiresMs: { type: 'integer', minimum: 0, description: 'How long an event may wait to be handled, in ms.' }
  }
} satisfies JsonSchema

/** JSON Schema (2020-12) of {@link DeclaredAgent}. */
export const AGENT_SCHEMA: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'instructions'],
  properties: {
    id: { type: 'string', pattern: '^[a-z0-9][a-z0-9._-]{0,63}$', description: 'Id of the capability, unique on this node.' },
    type: {
      type: 'string',
      pattern: '^[a-z0-9_.-]+(/[a-z0-9_.-]+)*$',
      maxLength: 128,
      description: 'Type of the capability, which events are routed to. Default agent/<id>.'
    },
    name: { type: 'string' },
    description: { type: 'string', description: 'What it is for; others choose by it.' },
    instructions: {
      type: 'string',
      minLength: 1,
      maxLength: MAX_INSTRUCTIONS,
      description: 'What it is to do, in words to its model.'
    },
    model: {
      type: 'string',
      minLength: 1,
      description: 'Id or type of the capability that is its model, of type llm/chat, perhaps @node. Default llm/chat: any.'
    },
    temperature: { type: 'number', minimum: 0, maximum: 2 },
    tools: {
      type: 'array',
      description: 'Tools of the mesh that it may use: those that one of these fits; all keys of one must fit. Default: none.',
      items: {
        type: 'object',
        additionalProperties: false,
        minProperties: 1,
        properties: {
          capabilities: { ...globs, description: 'Globs over ids of capabilities.' },
          types: { ...globs, description: 'Globs over their types: * stays within a segment, ** crosses them.' },
          tools: { ...globs, description: 'Globs over names of tools.' }
        }
      }
    },
    handles: {
      description:
        'Events that are routed to it are done. false: it is only asked. ordered: those of one source and subject in their order.',
      oneOf: [{ const: false }, { type: 'object', additionalProperties: false, properties: { ordered: { type: 'boolean' } } }]
    },
    triggers: { type: 'array', maxItems: 64, items: trigger, description: 'Events that it may raise.' },
    limits: {
      type: 'object',
      additionalProperties: false,
      properties: limits,
      description: 'What it may use for one intent; at a limit it stops.'
    },
    concurrency: { type: 'integer', minimum: 1, maximum: 64, description: 'Intents that it works on at once. Default 2.' },
    examples: { ...texts, description: 'Sentences that this agent should answer.' },
    keywords: texts
  }
}
