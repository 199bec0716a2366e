/** What the routes of members, treaties and agents answer. */
import { NODE_ID, OF_MESH, ROLE } from './mesh-schemas.ts'
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

const Mesh = object({
  id: text(),
  name: text(),
  role: ROLE,
  open: flag(),
  'revoked?': object({ reason: text(), at: text() })
})

const Member = object({
  peerId: NODE_ID,
  name: text(),
  role: ROLE,
  tags: list(text()),
  certifiedUntil: orNull(text('RFC 3339. Null: not known, or there is none.')),
  connected: flag()
})

const waits = { id: text(), caller: NODE_ID, waitingMs: number() }
const Approval = anyOf([
  object({
    ...waits,
    kind: exactly('call'),
    callerName: text(),
    callerRole: ROLE,
    capability: text(),
    tool: text(),
    'causes?': list(text()),
    'agent?': text('The agent of this node that calls.'),
    input: anything('What it is called with; where that is long, the beginning of its JSON.'),
    'inputCut?': flag(),
    inputBytes: count(),
    inputSha256: text(),
    ...OF_MESH
  }),
  object({
    ...waits,
    kind: exactly('join'),
    name: text(),
    role: ROLE,
    code: text('Six digits: its screen has to show the same.')
  })
])

const Treaty = object({
  serial: text('Hex.'),
  mesh: text('Id of the other mesh.'),
  name: text(),
  lends: list(text(), 'Globs over types.'),
  borrows: list(text()),
  notBefore: text('RFC 3339.'),
  notAfter: text('RFC 3339.'),
  state: oneOf(['offer', 'agreed', 'in_force', 'not_yet_valid', 'revoked']),
  'revoked?': object({ mesh: text(), reason: text(), at: text() }),
  connected: count('Nodes of the other mesh that are connected now.')
})

const Agent = object({
  id: text(),
  type: text(),
  name: text(),
  description: text(),
  kind: text(),
  state: oneOf(['created', 'running', 'suspended', 'ended']),
  'reason?': text(),
  running: count(),
  waiting: count(),
  done: count(),
  failed: count(),
  limits: mapOf(number())
})

const taskState = oneOf(['accepted', 'running', 'interrupted', 'done', 'failed'])
const AgentTaskSummary = object({
  id: text(),
  kind: oneOf(['ask', 'event']),
  text: text(),
  state: taskState,
  at: text('RFC 3339.'),
  attempts: count(),
  depth: count(),
  used: mapOf(number()),
  'error?': ref('Problem')
})

const AgentTask = object({
  id: text(),
  intent: anything(),
  causes: list(text()),
  depth: count(),
  state: taskState,
  attempts: count(),
  crashes: count(),
  at: text('RFC 3339.'),
  used: mapOf(number()),
  steps: list(anything()),
  'conversation?': anything(),
  'result?': anything(),
  'error?': ref('Problem')
})

/** By their names. */
export const MEMBER_SCHEMAS: Record<string, Schema> = {
  Mesh,
  Member,
  Invite: object({ code: text('Works once. Whoever has it becomes a member.'), role: ROLE, expiresAt: text('RFC 3339.') }),
  Door: object({ role: ROLE, expiresAt: text('RFC 3339.') }),
  Revocation: object({ peerId: NODE_ID, name: text(), reason: text(), at: text('RFC 3339.'), rotated: flag() }),
  Rotation: object({ generation: count(), kept: count('Members that stay.'), at: text('RFC 3339.') }),
  Approval,
  AcceptedDescriptor: object({ node: NODE_ID, nodeName: text(), capability: text(), changed: ref('ChangedDescriptor') }),
  Treaty,
  TreatyCode: object({ code: text('Holds the secret of the treaty.'), treaty: ref('Treaty') }),
  EnteredMesh: object({ id: text(), name: text() }),
  Agent,
  AgentElsewhere: object({
    ref: text(),
    type: text(),
    name: text(),
    'description?': text(),
    node: NODE_ID,
    nodeName: text(),
    status: text()
  }),
  AgentTaskSummary,
  AgentTask
}
