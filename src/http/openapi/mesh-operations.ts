/** Routes of the mesh and of the node. */
import { CAPABILITY_STATUSES } from '../../../protocols/capability.ts'
import type { CAPABILITY_KEYS } from '../discover-routes.ts'
import { answers, json, type Operation } from './operation.ts'
import { exactly, flag, list, number, object, oneOf, ref, text, type Schema } from './schema.ts'

const search: Record<(typeof CAPABILITY_KEYS)[number], Schema> = {
  id: text('Exactly this id.'),
  type: text('Glob over types: `sensor/*`; `**` crosses segments.'),
  domain: text('A segment of the type: `security` finds `agent/security`.'),
  tool: text('It has this tool.'),
  trigger: text('It has this trigger.'),
  text: text('Words that all occur in what it says of itself.'),
  keyword: text('One of its keywords.'),
  node: text('PeerId or name of its node.'),
  status: oneOf(CAPABILITY_STATUSES)
}
const words = text('A request in words: those that it means, the best first.')
const found = object({ capabilities: list(ref('Capability')), 'meaning?': ref('Understanding') })
const tool = text('Name of a tool. Default: the first.')

/** See {@link Operation}. */
export const MESH_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/mesh/status',
    tag: 'mesh',
    summary: 'This node',
    answers: answers(ref('NodeStatus'))
  },
  {
    method: 'get',
    path: '/mesh/nodes',
    tag: 'mesh',
    summary: 'The other nodes that this one knows',
    description: 'With names, roles, transports, latency, how far they are, and when something was last heard of them.',
    answers: answers(object({ nodes: list(ref('Node')) }))
  },
  {
    method: 'post',
    path: '/mesh/nodes',
    tag: 'mesh',
    summary: 'Connect to a node, and stay connected',
    body: json(object({ multiaddr: text() }), { multiaddr: '/ip4/192.168.1.5/tcp/4001' }),
    answers: answers(object({ added: text() })),
    errors: [400, 503]
  },
  {
    method: 'get',
    path: '/mesh/topology',
    tag: 'mesh',
    summary: 'Nodes and links, as this node knows them',
    description:
      'It sees its own connections, and of nodes behind its neighbours how far they are and over whom. Links between others are not seen, and not guessed.',
    answers: answers(ref('Topology'))
  },
  {
    method: 'get',
    path: '/mesh/capabilities',
    tag: 'mesh',
    summary: 'What the mesh can do',
    query: search,
    answers: answers(object({ capabilities: list(ref('Capability')) })),
    errors: [400]
  },
  {
    method: 'get',
    path: '/discover',
    tag: 'mesh',
    summary: 'Look for capabilities, by what they are or in words',
    description: 'What `/mesh/capabilities` finds; with `words` what of it they mean, as `/mesh/meaning` says.',
    query: { ...search, words },
    answers: answers(found),
    errors: [400]
  },
  {
    method: 'post',
    path: '/discover',
    tag: 'mesh',
    summary: 'The same, with the query in the body',
    body: json(object(Object.fromEntries(Object.entries({ words, ...search }).map(([name, schema]) => [`${name}?`, schema]))), {
      words: 'how warm is it in the bath',
      status: 'online'
    }),
    answers: answers(found),
    errors: [400]
  },
  {
    method: 'get',
    path: '/mesh/meaning',
    tag: 'mesh',
    summary: 'Which capability a request in words means',
    query: { text: text('The request.'), tool: text('Only what has this tool.'), type: text('Only these types: a glob.') },
    required: ['text'],
    answers: answers(ref('Understanding')),
    errors: [400]
  },
  {
    method: 'get',
    path: '/mesh/meaning/examples',
    tag: 'mesh',
    summary: 'What this node has learned of what words mean',
    answers: answers(object({ learns: flag('More are taken.'), examples: list(ref('MeaningExample'), 'The oldest first.') }))
  },
  {
    method: 'post',
    path: '/mesh/meaning/examples',
    tag: 'mesh',
    summary: 'Say what a text means',
    description: 'It becomes an example of the capability, on this node alone. 501 where the node is not set up to learn.',
    body: json(object({ text: text('At most 2,000 characters.'), capability: text('Id, or ID@NODE.') }), {
      text: 'how warm is it in the bath',
      capability: 'thermometer'
    }),
    answers: answers(ref('MeaningExample'), 'Kept.', 201),
    errors: [400, 404, 409, 413, 501, 503]
  },
  {
    method: 'delete',
    path: '/mesh/meaning/examples',
    tag: 'mesh',
    summary: 'Forget what was learned of what words mean: all of it, or some',
    query: { capability: text('Only the examples of this id.'), text: text('Only this one.') },
    answers: answers(object({ forgotten: number() })),
    errors: [501]
  },
  {
    method: 'get',
    path: '/mesh/routes',
    tag: 'mesh',
    summary: 'Ways to nodes, and the nearest providers of each type',
    answers: answers(ref('Routes'))
  },
  {
    method: 'get',
    path: '/mesh/route',
    tag: 'mesh',
    summary: 'Why a call would go where',
    description: 'Nothing is called. The target is a capability, a type, or words.',
    query: {
      target: text(),
      tool,
      node: text('Only this node.'),
      prefer: oneOf(['local', 'fast', 'cheap']),
      notNode: list(text(), 'None of these: may be given several times.'),
      maxLatencyMs: number()
    },
    required: ['target'],
    answers: answers(ref('Explanation')),
    errors: [400, 404, 409]
  },
  {
    method: 'get',
    path: '/mesh/trace',
    tag: 'mesh',
    summary: 'The nodes on the way to another, as they answer',
    query: { target: text('PeerId, name, or a capability.') },
    required: ['target'],
    answers: {
      200: { description: 'One JSON object a line.', content: { 'application/x-ndjson': { schema: ref('TraceLine') } } }
    },
    errors: [400, 404, 409]
  },
  {
    method: 'get',
    path: '/health',
    tag: 'node',
    summary: 'Whether the process answers',
    access: 'open',
    answers: answers(object({ status: exactly('ok') }))
  },
  {
    method: 'get',
    path: '/health/detailed',
    tag: 'node',
    summary: 'Whether the node is well, part by part',
    answers: {
      ...answers(ref('Health'), '`ok` or `degraded`.'),
      ...answers(ref('Health'), 'A part is `failing`.', 503)
    }
  },
  {
    method: 'get',
    path: '/openapi.json',
    tag: 'node',
    summary: 'This document',
    access: 'open',
    answers: { 200: { description: 'OpenAPI 3.1.', content: json({ type: 'object' }) } }
  },
  {
    method: 'get',
    path: '/docs',
    tag: 'node',
    summary: 'This document as a page',
    access: 'open',
    answers: { 200: { description: 'HTML.', content: { 'text/html': { schema: text() } } } }
  },
  {
    method: 'post',
    path: '/mesh/stop',
    tag: 'node',
    summary: 'Stop the node',
    body: json(object({}), {}),
    answers: answers(object({ stopping: flag() }), 'It stops after this answer.', 202),
    errors: [400]
  },
  {
    method: 'post',
    path: '/mesh/enter',
    tag: 'node',
    summary: 'Enter another mesh, with what a member of it gave',
    description: 'For `atmo join` beside a node that runs, which starts anew after the answer.',
    body: json(object({ state: text(), peer: object({ id: text(), address: text() }) })),
    answers: answers(ref('EnteredMesh'), 'It starts anew.', 202),
    errors: [400, 409, 501]
  },
  {
    method: 'post',
    path: '/mesh/leave',
    tag: 'node',
    summary: 'Leave the mesh',
    body: json(object({ 'force?': flag('Also if this node is the only owner.') }), {}),
    answers: answers(ref('EnteredMesh'), 'It starts anew.', 202),
    errors: [400, 409, 501]
  }
]
