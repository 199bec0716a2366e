/** What the routes of the mesh answer. */
import { CAPABILITY_STATUSES } from '../../../protocols/capability.ts'
import { ROLES } from '../../../protocols/member/messages.ts'
import {
  anyOf,
  anything,
  count,
  exactly,
  flag,
  list,
  mapOf,
  number,
  object,
  oneOf,
  orNull,
  ref,
  text,
  type Schema
} from './schema.ts'

const PEER_ID = 'PeerId'
const NODE = text(PEER_ID)
const transport = oneOf(['tcp', 'ws', 'wss', 'webrtc', 'webrtc-direct', 'other'])
/** How far a node is. */
export const HOPS = orNull({ type: 'integer', minimum: 0 }, 'Null: no way is known now.')
const ofMesh = {
  'mesh?': text('Name of the other mesh that it is of.'),
  'meshId?': text('Id of the other mesh that it is of.')
}

/** Which other mesh something is of. */
export const OF_MESH: Record<string, Schema> = ofMesh
/** A PeerId. */
export const NODE_ID: Schema = NODE
/** A role of a member. */
export const ROLE: Schema = oneOf(ROLES)

const Problem = object({
  code: text('One of the codes of the mesh: see protocols/README.md.'),
  message: text('For people: what is wrong, and what to do.'),
  details: mapOf(anything(), 'Facts, such as the `key` that is wrong.')
})

/** A backend of a node. */
export const BACKEND = object({
  id: text(),
  kind: text(),
  state: oneOf(['starting', 'online', 'degraded', 'offline']),
  'reason?': text('Why it is not online, or what of it is left out.'),
  'waiting?': count('Events that it could not deliver and that come again.')
})
/** Calls that a node has served. */
export const CALLS = { inFlight: count(), served: count(), failed: count() }

const NodeStatus = object({
  peerId: NODE,
  name: text(),
  mesh: object({
    id: text(),
    name: text(),
    role: ROLE,
    open: flag('Everybody is in it.'),
    'revoked?': object({ reason: text(), at: text('RFC 3339.') })
  }),
  version: text(),
  uptimeMs: number(),
  multiaddrs: list(text()),
  peers: count('Sessions now.'),
  capabilities: object({ local: count(), remote: count() }),
  backends: list(BACKEND),
  network: object({ state: oneOf(['ok', 'no-network', 'no-multicast']), message: text() }),
  calls: object(CALLS),
  events: object({ accepted: count('Events that it has accepted and not done.') }),
  counters: mapOf(number(), 'What was refused or dropped, by name.'),
  directoryDigest: text('Equal on nodes that know the same; hex.')
})

const Node = object({
  peerId: NODE,
  name: text(),
  version: text('Empty for a node of another mesh.'),
  role: orNull(ROLE, 'In its own mesh. Null: not known here.'),
  rttMs: orNull(number('Smoothed round-trip time. Null: not measured.')),
  direct: flag('A live connection exists.'),
  transports: list(transport, 'What its connections with this node go over; none where it is not direct.'),
  hops: HOPS,
  via: orNull(text('PeerId of the next hop where not direct.')),
  source: text('How it was found: `mdns`, `static`, `remembered`, `peer`, `inbound`.'),
  ageMs: number('Since something new was last heard of it; 0 while it is direct.'),
  addresses: list(text()),
  capabilities: list(text(), 'Ids of its capabilities; of a node of another mesh those that it lends.'),
  'embeddings?': text('The model of which it gives vectors of what its capabilities say.'),
  ...ofMesh
})

const Topology = object({
  self: NODE,
  nodes: list(
    object({
      peerId: NODE,
      name: text(),
      version: text(),
      role: orNull(ROLE),
      ageMs: number(),
      capabilities: list(text()),
      place: oneOf(
        ['self', 'neighbour', 'behind', 'unplaced'],
        '`behind`: others pass on what it says. `unplaced`: no way is known now.'
      ),
      hops: HOPS,
      ...ofMesh
    })
  ),
  links: list(
    anyOf([
      object(
        {
          kind: exactly('connection'),
          from: NODE,
          to: NODE,
          hops: { type: 'integer', const: 1 },
          transports: list(transport),
          rttMs: orNull(number())
        },
        'A connection of this node, which it measures itself.'
      ),
      object(
        { kind: exactly('told'), from: NODE, to: NODE, hops: { type: 'integer', minimum: 1 } },
        'A way behind a neighbour: so many links, of which this node does not see the nodes between.'
      )
    ])
  ),
  unplaced: count('Nodes that it knows of and sees no way to.')
})

const Tool = {
  ...object({
    name: text(),
    'description?': text(),
    'input?': anything('JSON Schema of the input.'),
    'output?': anything('JSON Schema of the result.'),
    'timeoutMs?': number(),
    'idempotent?': flag('A second run with the same input does no harm.'),
    'requiresApproval?': flag('The owner of its node must agree before it runs.'),
    'cache?': object({ ttlMs: number() }),
    'concurrency?': count(),
    'queue?': count(),
    'streams?': flag('It sends items before its result.'),
    'acceptsStream?': flag(),
    'annotations?': anything('Hints of its author. Never trusted for policy.')
  }),
  additionalProperties: true
}

const Trigger = {
  ...object({
    event: text(),
    'description?': text(),
    'intentTemplate?': text(),
    'payload?': anything('JSON Schema of the payload.'),
    'routeHint?': text(),
    'priority?': oneOf(['low', 'normal', 'high', 'critical'])
  }),
  additionalProperties: true
}

const Capability = {
  ...object({
    id: text(),
    type: text('`sensor/camera`.'),
    name: text(),
    'description?': text(),
    node: NODE,
    nodeName: text(),
    ref: text('The shortest name that a call takes for exactly this one.'),
    local: flag('This node offers it.'),
    status: oneOf(CAPABILITY_STATUSES),
    'statusReason?': text(),
    tools: list(ref('Tool')),
    triggers: list(ref('Trigger')),
    'examples?': list(text()),
    'keywords?': list(text()),
    'metadata?': anything(),
    'changed?': ref('ChangedDescriptor'),
    ...ofMesh
  }),
  additionalProperties: true
}

const Change = { what: text('Which part.'), 'before?': text(), 'after?': text() }
const ChangedDescriptor = object(
  {
    since: text('When this version was first seen, RFC 3339.'),
    hash: text('SHA-256 of what it says now, hex.'),
    capability: list(object(Change)),
    tools: list(object({ name: text(), ...Change }))
  },
  'How what it says of itself differs from what was accepted.'
)

/** By their names. */
export const MESH_SCHEMAS: Record<string, Schema> = {
  Error: object({ error: ref('Problem') }),
  Problem,
  NodeStatus,
  Node,
  Topology,
  Capability,
  Tool,
  Trigger,
  ChangedDescriptor
}
