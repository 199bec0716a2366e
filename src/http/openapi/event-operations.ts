/** Routes of calls and events. */
import { answers, json, type Operation } from './operation.ts'
import { anything, count, list, number, object, oneOf, ref, text } from './schema.ts'

const LINES = 'application/x-ndjson'
const id = object({ id: text() })

/** See {@link Operation}. */
export const EVENT_OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: '/capabilities/{id}/tools/{tool}',
    tag: 'calls',
    summary: 'Call a tool',
    description: 'Closing the connection cancels. With `Accept: application/x-ndjson` one line per item, and the result last.',
    parameters: { id: 'Id or type of a capability, either with `@node`.', tool: 'Name of the tool.' },
    body: json(ref('CallRequest'), { input: {} }),
    answers: {
      200: {
        description: 'The result; of a stream also how it failed.',
        content: { ...json(ref('CallResult')), [LINES]: { schema: ref('CallLine') } }
      }
    },
    errors: [400, 404, 409, 413, 429, 500, 502, 503, 504]
  },
  {
    method: 'post',
    path: '/trigger/{capability}/{event}',
    tag: 'events',
    summary: 'Raise an event of a capability of this node',
    parameters: { capability: 'Id of the capability.', event: 'Name of its trigger.' },
    query: { waitMs: number('How long to wait for a handler, up to 60,000. Default: 2,000.') },
    headers: { 'Idempotency-Key': 'With the same key again it is the same event.' },
    body: json(anything('The payload. Without a body, and a content type, it is null.'), { location: 'door' }),
    mayBeEmpty: true,
    answers: { ...answers(ref('Fired'), 'A handler has it.'), ...answers(ref('Fired'), 'It waits, or goes with others.', 202) },
    errors: [400, 404, 409, 413, 503]
  },
  {
    method: 'get',
    path: '/mesh/events',
    tag: 'events',
    summary: 'What happens, as it happens',
    description: [
      'Server-sent events with `Accept: text/event-stream` (with a heartbeat; `Last-Event-ID` goes on where the client was, within 30 s), else one JSON object a line; as a WebSocket one in each message.',
      'A reader that is 1,000 events behind loses the oldest and is told how many (`lagged`). 64 streams may be open.',
      'With `events` copies of events that capabilities of the mesh raise, as CloudEvents.'
    ].join(' '),
    query: {
      type: text('Globs over names of what happens at this node, with commas: `peer:*,capability:*,route,call:*,trigger`.'),
      events: text('A pattern of events of the mesh, TYPE or TYPE:EVENT: `sensor/*`.'),
      sources: oneOf(['true', 'false'], 'With `events`: also which nodes are observed, at once and when that changes.')
    },
    headers: { 'Last-Event-ID': 'Of server-sent events: the id of the last one that was read.' },
    answers: {
      200: {
        description: 'Until the client goes, or the node stops.',
        content: {
          [LINES]: { schema: { anyOf: [ref('LiveEvent'), ref('CloudEvent'), ref('Sources')] } },
          'text/event-stream': { schema: text('`id`, `event` (the name) and `data` (the JSON) of each.') }
        }
      }
    },
    errors: [400, 429]
  },
  {
    method: 'get',
    path: '/mesh/outbox',
    tag: 'events',
    summary: 'Events of this node that are not done',
    answers: answers(
      object({
        events: list(ref('WaitingEvent'), 'At most 1,000.'),
        total: count(),
        unaccepted: count('That no handler has accepted.')
      })
    )
  },
  {
    method: 'delete',
    path: '/mesh/outbox/{id}',
    tag: 'events',
    summary: 'Forget one',
    parameters: { id: 'Of the event.' },
    answers: answers(id),
    errors: [404]
  },
  {
    method: 'get',
    path: '/mesh/dead-letters',
    tag: 'events',
    summary: 'Events that nobody did',
    answers: answers(object({ letters: list(ref('DeadLetter')) }))
  },
  {
    method: 'post',
    path: '/mesh/dead-letters/{id}/replay',
    tag: 'events',
    summary: 'Send one anew',
    parameters: { id: 'Of the event.' },
    answers: answers(id),
    errors: [404, 429]
  },
  {
    method: 'delete',
    path: '/mesh/dead-letters/{id}',
    tag: 'events',
    summary: 'Forget one',
    parameters: { id: 'Of the event.' },
    answers: answers(id),
    errors: [404]
  },
  {
    method: 'post',
    path: '/hooks/{name}',
    tag: 'events',
    summary: 'What another program tells, by a secret of its own',
    description: 'A webhook that the configuration names. The body is what that program sends.',
    parameters: { name: 'Of the hook.' },
    access: 'hook',
    body: { '*/*': { schema: anything() } },
    answers: {
      ...answers(ref('HookFired'), 'A handler has it.'),
      ...answers(ref('HookFired'), 'It waits, or goes with others.', 202)
    },
    errors: [400, 409, 413, 429, 503]
  },
  {
    method: 'get',
    path: '/mesh/agents',
    tag: 'agents',
    summary: 'Agents of this node and of others',
    answers: answers(object({ agents: list(ref('Agent')), elsewhere: list(ref('AgentElsewhere')) }))
  },
  {
    method: 'get',
    path: '/mesh/agents/{id}',
    tag: 'agents',
    summary: 'An agent of this node, and its last tasks',
    parameters: { id: 'Of the agent.' },
    answers: answers(object({ agent: ref('Agent'), tasks: list(ref('AgentTaskSummary')) })),
    errors: [400, 404, 501]
  },
  {
    method: 'get',
    path: '/mesh/agents/{id}/tasks/{task}',
    tag: 'agents',
    summary: 'A task of an agent, with its steps',
    parameters: { id: 'Of the agent.', task: 'Of the task.' },
    answers: answers(ref('AgentTask')),
    errors: [404, 501]
  },
  {
    method: 'post',
    path: '/mesh/agents/{id}',
    tag: 'agents',
    summary: 'Suspend an agent, let it go on, or end it',
    parameters: { id: 'Of the agent.' },
    body: json(object({ state: oneOf(['running', 'suspended', 'ended']), 'reason?': text() }), { state: 'suspended' }),
    answers: answers(ref('Agent')),
    errors: [400, 404, 409, 501]
  }
]
