import assert from 'node:assert/strict'
import type { TriggerDeclaration } from '../../../protocols/capability.ts'
import { checkOwn } from '../../../src/calls/local-tools.ts'
import { isMeshError } from '../../../src/errors.ts'

const check = (trigger: Partial<TriggerDeclaration>): void =>
  checkOwn({ id: 'cam', type: 'sensor/camera', triggers: [{ event: 'person', ...trigger }] })

describe('what a node offers itself', () => {
  it('has triggers whose texts, subjects and hints make sense', () => {
    for (const hint of [
      'capability:guard',
      'capability:guard@12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR',
      'agent/*',
      'security',
      '**'
    ])
      check({ routeHint: hint, subject: 'door.name', intentTemplate: 'Somebody at {location}.' })
  })
  const payload = { type: 'object', properties: { location: { type: 'string' } }, additionalProperties: false } as const
  for (const [what, trigger, message] of [
    ['a hint that names nothing', { routeHint: 'capability:' }, /routeHint "capability:" .* fits nothing/],
    ['a hint with blanks', { routeHint: 'agent keeper!!' }, /fits nothing/],
    ['an empty hint', { routeHint: '' }, /fits nothing/],
    [
      'an intent with a key that no payload has',
      { intentTemplate: 'At {locaton}.', payload },
      /wants \{locaton\}.*did you mean "location"/
    ],
    ['a subject that is no key', { subject: 'the door' }, /must be a key/]
  ] as const)
    it(`is refused with ${what}`, () =>
      assert.throws(
        () => check(trigger),
        (error) => isMeshError(error, 'invalid_argument') && message.test(error.message)
      ))
})
