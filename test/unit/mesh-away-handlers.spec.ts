import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { Offer } from '../../src/core/candidates.ts'
import type { EventToRoute } from '../../src/core/triggers/trigger-routes.ts'
import { MAX_AWAY, awayHandlers, createAwayHandlers } from '../../src/mesh-away-handlers.ts'
import type { FireView, WaitingEventView } from '../../src/mesh-api-events.ts'

const offer = (id: string, declared: Partial<CapabilityDeclaration>, more: Partial<Offer> = {}): Offer => ({
  ...{ node: 'n1', nodeName: 'hall', local: false, direct: true, rttMs: 1, id, type: `agent/${id}` },
  capability: { id, type: `agent/${id}`, handles: {}, ...declared },
  ...more
})
const toAgents: EventToRoute = { hint: 'agent/*', sink: undefined, node: 'me', capability: 'cam', subject: undefined }
const ask = [{ name: 'ask', input: { type: 'object' } }] as CapabilityDeclaration['tools']

describe('handlers that are meant and take nothing now', () => {
  it('are told with their state and reason; those that take events, or that the event does not mean, are not', () => {
    const offers = [
      offer('guard', { status: 'suspended', statusReason: 'on holiday', tools: ask }),
      offer('cook', { status: 'offline', statusReason: 'no stove' }, { local: true, node: 'me' }),
      offer('clerk', { statusReason: 'what it says itself' }, { blocked: true }),
      offer('there', {}),
      offer('busy', { status: 'busy' }),
      offer('other', { status: 'suspended' }, { type: 'light/dimmer' }),
      offer('tools', { status: 'suspended', handles: undefined })
    ]
    const told = awayHandlers(toAgents, offers).sort((a, b) => a.handler.localeCompare(b.handler))
    assert.deepEqual(told, [
      { handler: 'clerk@n1', state: 'blocked', isAgent: false, local: false },
      { handler: 'cook@me', state: 'offline', reason: 'no stove', isAgent: false, local: true },
      { handler: 'guard@n1', state: 'suspended', reason: 'on holiday', isAgent: true, local: false }
    ])
  })

  it('are those of a name, of one node if it says so, or else those of the sink', () => {
    const offers = ['n1', 'n2'].map((node) => offer('guard', { status: 'suspended' }, { node }))
    const of = (event: Partial<EventToRoute>): string[] =>
      awayHandlers({ ...toAgents, ...event }, offers)
        .map(({ handler }) => handler)
        .sort()
    assert.deepEqual(of({ hint: 'capability:guard' }), ['guard@n1', 'guard@n2'])
    assert.deepEqual(of({ hint: 'capability:guard@n2' }), ['guard@n2'])
    assert.deepEqual(of({ hint: 'light/*', sink: 'capability:guard@n1' }), ['guard@n1'])
    assert.deepEqual(of({ hint: 'capability:cook' }), [])
  })

  it('are so many at most', () => {
    const offers = Array.from({ length: MAX_AWAY + 1 }, (_, n) => offer(`a${n}`, { status: 'suspended' }))
    assert.equal(awayHandlers(toAgents, offers).length, MAX_AWAY)
  })

  it('are told where nobody takes it, and looked for once for all that wait for the same', () => {
    let looked = 0
    const away = createAwayHandlers({
      self: 'me',
      sink: undefined,
      find: (id) =>
        id === 'cam' ? { id, type: 'sensor/camera', triggers: [{ event: 'person', routeHint: 'agent/*' }] } : undefined,
      offers: () => (looked++, [offer('guard', { status: 'suspended' })])
    })
    const view: FireView = { outcome: 'queued', kept: true, by: [], tried: [] }
    const isTold = (more: Partial<FireView>, event = 'person'): boolean =>
      away.fired({ ...view, ...more }, 'cam', event).away !== undefined
    assert.deepEqual(
      [
        isTold({ reason: 'no_handler' }),
        isTold({ reason: 'not_kept' }),
        isTold({ reason: 'not_kept', tried: ['x@n1'] }),
        isTold({ reason: 'unanswered' }),
        isTold({ outcome: 'delivered' }),
        isTold({ reason: 'no_handler' }, 'gone')
      ],
      [true, true, false, false, false, false]
    )
    looked = 0
    const waits = { capability: 'cam', event: 'person', reason: 'no_handler' } as WaitingEventView
    const listed = away.waiting([waits, { ...waits, reason: 'behind' }, ...new Array<WaitingEventView>(1_000).fill(waits)])
    assert.equal(listed.filter(({ away: who }) => who?.[0]?.handler === 'guard@n1').length, 1_001)
    assert.equal(looked, 1)
  })
})
