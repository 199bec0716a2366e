/** What the routes of events and calls answer. */
import { EVENT_NAMES } from '../../mesh-api-live.ts'
import { NODE_ID } from './mesh-schemas.ts'
import { anyOf, anything, count, exactly, flag, list, number, object, oneOf, orNull, ref, text, type Schema } from './schema.ts'

const priority = oneOf(['low', 'normal', 'high', 'critical'])

const AwayHandler = object({
  handler: text('`capability@PeerId`.'),
  state: oneOf(['suspended', 'offline', 'blocked']),
  'reason?': text(),
  isAgent: flag(),
  local: flag()
})

const Fired = object({
  outcome: oneOf(
    ['delivered', 'queued', 'coalesced'],
    '`delivered`: a handler has it. `queued`: it waits for one. `coalesced`: it goes with what is raised about the same thing.'
  ),
  'id?': text(),
  'route?': oneOf(['capability', 'type', 'sink']),
  'intent?': text(),
  kept: flag('A restart does not lose it.'),
  by: list(text(), 'Who has it: `capability@PeerId`.'),
  tried: list(text()),
  'reason?': text(),
  'away?': list(ref('AwayHandler')),
  'duplicate?': flag('It was fired before with the same key.')
})

const HookFired = object({
  outcome: oneOf(['delivered', 'queued', 'coalesced']),
  'id?': text(),
  kept: flag(),
  'reason?': text(),
  'duplicate?': flag()
})

const event = {
  id: text(),
  capability: text(),
  event: text(),
  'subject?': text(),
  intent: text('What should be done, in words of its source. Data, not instructions.'),
  priority,
  'code?': text(),
  'message?': text(),
  handled: list(text(), 'Who has done it, of several.')
}

const WaitingEvent = object({
  ...event,
  since: text('RFC 3339.'),
  expires: text('RFC 3339.'),
  reason: oneOf(['no_handler', 'behind', 'full', 'unanswered', 'refused', 'away', 'accepted']),
  handlers: list(text()),
  'away?': list(ref('AwayHandler')),
  tries: count()
})

const DeadLetter = object({ ...event, reason: text() })

/** Every event has these. */
const at = { at: number('ms since the start of the node.') }
const happens = (name: string | string[], more: Record<string, Schema>, description?: string): Schema =>
  object({ ...at, event: typeof name === 'string' ? exactly(name) : oneOf(name), ...more }, description)
const call = {
  id: count('The same at its begin and end.'),
  direction: oneOf(['in', 'out'], '`in`: this node runs it. `out`: this node calls.'),
  capability: text(),
  tool: text(),
  peerId: text('Who calls, or was called; empty where nobody was.')
}

const LiveEvent = anyOf(
  [
    happens('peer:join', { peerId: NODE_ID, name: text() }),
    happens('peer:updated', { peerId: NODE_ID, name: text(), version: text(), addresses: list(text()) }),
    happens('peer:leave', { peerId: NODE_ID, name: text(), reason: text() }),
    happens(['capability:available', 'capability:updated', 'capability:suspended'], {
      node: NODE_ID,
      capability: ref('Capability')
    }),
    happens('capability:removed', { node: NODE_ID, id: text(), type: text(), reason: text() }),
    happens('descriptor-changed', {
      node: NODE_ID,
      nodeName: text(),
      capability: text(),
      changed: ref('ChangedDescriptor')
    }),
    happens(
      'route',
      {
        node: NODE_ID,
        nodeName: text(),
        via: orNull(text('PeerId of the next hop. Null: gone.')),
        hops: orNull(count()),
        metricMs: orNull(number()),
        before: orNull(text('PeerId of the next hop before.'))
      },
      'The way to a node behind others is another one.'
    ),
    happens('call:begin', call, 'Never what it is called with.'),
    happens(
      'call:end',
      { ...call, status: oneOf(['success', 'error']), durationMs: number(), 'code?': text('Of the error.') },
      'Never its result.'
    ),
    happens(
      'trigger',
      { node: NODE_ID, capability: text(), trigger: text(), payload: anything() },
      'A capability of this node has raised an event.'
    ),
    { ...happens('approval', { id: text(), caller: NODE_ID, kind: oneOf(['call', 'join']) }), additionalProperties: true },
    happens('network', { state: text(), message: text() }),
    happens('backend', { id: text(), state: oneOf(['online', 'offline']), 'reason?': text() }),
    object(
      { event: exactly('lagged'), dropped: orNull(count('Null: nobody counted them.')) },
      'Events were left out for this reader, of whatever name: it was too slow, or away for too long.'
    )
  ],
  `One of: ${EVENT_NAMES.join(', ')}, lagged.`
)

const CloudEvent = {
  ...object(
    { specversion: exactly('1.0'), id: text(), source: text(), type: text('`sensor.camera.person_detected`.') },
    'CloudEvents 1.0 in JSON, with the attributes of protocols/trigger.'
  ),
  additionalProperties: true
}

const Sources = object({
  sources: list(
    object({ node: NODE_ID, state: oneOf(['asking', 'open']), refused: list(text(), 'Ids of what it keeps to itself.') })
  )
})

const CallRequest = object({
  'input?': anything('As the schema of the tool says. Default: `{}`.'),
  'timeoutMs?': number('Time given in all, up to a day.'),
  'node?': text('Only this node: PeerId or name.'),
  'notNode?': list(text(), 'None of these.'),
  'prefer?': oneOf(['local', 'fast', 'cheap']),
  'maxLatencyMs?': number('Who is expected to take longer is not tried.'),
  'idempotencyKey?': text('The same call with the same key runs once.'),
  'failover?': flag('Others may be tried. Default: true.'),
  'causes?': list(text(), 'PeerIds on whose behalf it is made.')
})

const done = {
  status: exactly('success'),
  result: anything(),
  provider: NODE_ID,
  providerName: text(),
  durationMs: number(),
  route: object({
    path: list(text(), 'PeerIds from the caller to the provider.'),
    local: flag(),
    hops: count(),
    rttMs: orNull(number()),
    tried: list(object({ provider: text(), code: text() }))
  }),
  cached: flag()
}

const item = [
  object({ kind: exactly('json'), value: anything() }),
  object({ kind: exactly('bytes'), base64: text() }),
  object({
    kind: exactly('progress'),
    progress: object({ done: number(), 'total?': number(), 'message?': text() })
  }),
  object({ kind: exactly('restart'), provider: text(), reason: text() }, 'It begins anew elsewhere: what came before is void.')
]

const CallResult = object({ ...done, 'items?': list(anyOf(item), 'What it yielded beside its result.') })
const CallLine = anyOf(
  [...item, object(done), object({ status: exactly('error'), error: ref('Problem') })],
  'The last line has `status`.'
)

const TraceLine = anyOf([
  object({ hop: count(), node: NODE_ID, nodeName: text(), rttMs: number() }),
  object({ error: ref('Problem') })
])

/** By their names. */
export const EVENT_SCHEMAS: Record<string, Schema> = {
  AwayHandler,
  Fired,
  HookFired,
  WaitingEvent,
  DeadLetter,
  LiveEvent,
  CloudEvent,
  Sources,
  CallRequest,
  CallResult,
  CallLine,
  TraceLine,
  OpenAiError: object({
    error: object({ message: text(), type: text(), param: orNull(text()), code: orNull(text()) })
  }),
  OpenAiModel: {
    ...object({ id: text(), object: exactly('model'), created: number(), owned_by: text() }),
    additionalProperties: true
  },
  JsonRpc: { ...object({ jsonrpc: exactly('2.0') }), additionalProperties: true }
}
