/** The JSON Schema of the configuration file, built from code; `docs/config.schema.json` is written from it. */
import type { JsonObject, JsonSchema } from '../protocols/json.ts'
import { AGENT_SCHEMA, MAX_AGENTS } from './agents/agent-config.ts'
import { MAX_PRICE, POWERS } from '../protocols/announce/cost.ts'
import { ROLES, TAG_PATTERN } from '../protocols/member/messages.ts'
import { MAX_ROUTE_HINT } from '../protocols/trigger/event.ts'
import { LIMITS } from './core/limits.ts'
import { EFFECTS } from './core/policy.ts'
import { MAX_PATTERN } from '../protocols/glob.ts'
import { BACKENDS } from './backends/index.ts'
import { CHANGED_DESCRIPTORS } from './core/pins.ts'
import { MAX_NODE_NAME } from './config-formats.ts'
import { MEANING_SCHEMA } from './config-meaning.ts'

const text = { type: 'string', minLength: 1 } satisfies JsonSchema
const globs = { type: 'array', items: { ...text, maxLength: MAX_PATTERN } } satisfies JsonSchema
// The formats are ours (config-formats.ts) and say what is wrong; the patterns are for editors, which do not know them.
const multiaddrs = (format: string) =>
  ({
    type: 'array',
    uniqueItems: true,
    items: { type: 'string', format, pattern: '^/', description: 'A multiaddr, such as /ip4/192.168.1.5/tcp/4001' }
  }) satisfies JsonSchema

/** Which calls a rule is about. */
const MATCH = {
  roles: { type: 'array', minItems: 1, items: { enum: [...ROLES] }, description: 'Roles of the caller in the mesh.' },
  tags: {
    type: 'array',
    minItems: 1,
    items: { type: 'string', format: 'tag', pattern: TAG_PATTERN },
    description: 'Tags that its certificate gives the caller: atmo invite --tag.'
  },
  meshes: {
    type: 'array',
    minItems: 1,
    items: { type: 'string', format: 'mesh-id' },
    description: 'Ids of meshes of callers: of this one, or of others that it lends to by a treaty.'
  },
  nodes: { type: 'array', minItems: 1, items: { type: 'string', format: 'peer-id' }, description: 'PeerIds of callers.' },
  capabilities: { ...globs, minItems: 1, description: 'Globs over ids of capabilities of this node.' },
  types: { ...globs, minItems: 1, description: 'Globs over their types: * stays within a segment, ** crosses them.' },
  tools: { ...globs, minItems: 1, description: 'Globs over names of tools.' }
}

/** JSON Schema (2020-12) of the configuration file. Backends add their own part. */
export const CONFIG_SCHEMA: JsonObject = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Configuration of an Atmosphere node',
  description: 'The file atmo.yaml. Flags of `atmo start` win over ATMO_* variables, and those over this file.',
  type: 'object',
  additionalProperties: false,
  properties: {
    name: {
      type: 'string',
      format: 'node-name',
      minLength: 1,
      maxLength: MAX_NODE_NAME,
      description: 'Name of the node, for people. Default: the host name.'
    },
    listen: {
      ...multiaddrs('listen-multiaddr'),
      description: 'Addresses to listen on. Default: every interface, any free port. --listen replaces them.'
    },
    peers: {
      ...multiaddrs('multiaddr'),
      description: 'Peers to stay connected with, beside those that are found. --peer adds to them.'
    },
    api: {
      type: 'string',
      format: 'api-address',
      pattern: ':?[0-9]+$',
      description: 'HOST:PORT of the local API. Default 127.0.0.1 and any free port. Beyond loopback it needs apiKeyFile.',
      examples: ['127.0.0.1:7700']
    },
    apiKeyFile: { ...text, description: 'File with a key of at least 16 characters for the local API, relative to this file.' },
    mdns: {
      description: 'Find peers on the local network. Default true.',
      oneOf: [
        { type: 'boolean' },
        {
          type: 'object',
          additionalProperties: false,
          properties: {
            interfaces: {
              type: 'object',
              additionalProperties: false,
              properties: {
                allow: {
                  ...globs,
                  description: 'Globs over interface names (* is any text, ? one character); only these are used.'
                },
                deny: { ...globs, description: 'Globs over interface names that are not used. Deny wins.' }
              }
            }
          }
        }
      ]
    },
    policy: {
      type: 'array',
      description:
        'Who may call what here. The first rule that fits decides; all keys of a rule must fit. Without one: guests are denied, tools with requiresApproval ask, all else is allowed; to nodes of other meshes, what a treaty lends.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['effect'],
        properties: {
          effect: { enum: [...EFFECTS], description: 'ask: the call waits until somebody says yes with atmo approve.' },
          ...MATCH
        }
      }
    },
    limits: {
      type: 'array',
      description: 'How much callers may use. Each entry that fits a call holds; all match keys of an entry must fit.',
      items: {
        type: 'object',
        additionalProperties: false,
        anyOf: LIMITS.map((limit) => ({ required: [limit] })),
        properties: {
          per: { enum: ['peer', 'all'], description: 'peer (default): each calling node for itself. all: all callers together.' },
          callsPerMinute: { type: 'number', exclusiveMinimum: 0, description: 'Calls a minute; more are told busy, and when.' },
          concurrent: { type: 'integer', minimum: 1, description: 'Calls that run at once; more are told busy.' },
          bytesPerMinute: {
            type: 'number',
            exclusiveMinimum: 0,
            description: 'Bytes that calls stream in and out; past it they wait.'
          },
          tokensPerDay: {
            type: 'number',
            exclusiveMinimum: 0,
            description:
              'Tokens of models, as results tell them in usage.total_tokens; when they are used up, calls are told busy.'
          },
          ...MATCH
        }
      }
    },
    changedDescriptors: {
      enum: [...CHANGED_DESCRIPTORS],
      description:
        'When another node changes what a capability says of itself, which a model may read. flag (default): it is shown as changed, until somebody runs atmo accept. block: until then it is not called from here either.'
    },
    cost: {
      type: 'object',
      additionalProperties: false,
      description:
        'What calls on this node cost beside time. It is announced, and callers weigh it when they choose among nodes.',
      properties: {
        power: {
          enum: [...POWERS],
          description: 'Default mains. low-battery: less than a fifth is left.'
        },
        metered: { type: 'boolean', description: 'The link of this node is paid by volume. Default false.' },
        price: { type: 'number', minimum: 0, maximum: MAX_PRICE, description: 'Cents a call. Default 0.' }
      }
    },
    events: {
      type: 'object',
      additionalProperties: false,
      description: 'Events that capabilities of this node raise.',
      properties: {
        sink: {
          type: 'string',
          format: 'event-sink',
          minLength: 1,
          maxLength: MAX_ROUTE_HINT,
          description:
            'Where those go that would reach nobody: without a hint, or with a hint over types that nobody fits who is there. capability:ID, a glob over types, or a domain. Default: they wait for a handler.',
          examples: ['capability:guard', 'agent/*']
        }
      }
    },
    meaning: MEANING_SCHEMA,
    audit: {
      type: 'object',
      additionalProperties: false,
      description: 'What the audit log keeps.',
      properties: {
        arguments: {
          type: 'boolean',
          description: 'The arguments of calls as well, up to 16 KiB each. Default false: their digests alone.'
        }
      }
    },
    agents: {
      type: 'array',
      maxItems: MAX_AGENTS,
      description:
        'Agents that this node runs: a model follows their instructions, with the tools of the mesh that they may use.',
      items: AGENT_SCHEMA
    },
    backends: {
      type: 'array',
      description: 'What this node offers.',
      items: { type: 'object', required: ['kind'], oneOf: Object.values(BACKENDS).map(({ configSchema }) => configSchema) }
    }
  }
}
