import assert from 'node:assert/strict'
import { nearCapabilities } from '../../../src/cli/near-capabilities.ts'
import type { CapabilityQuery, CapabilityView } from '../../../src/mesh-api.ts'

const all = [
  {
    ...{ id: 'kettle', type: 'kitchen/kettle', node: '12D3KooWkettle', nodeName: 'beta', keywords: ['tea'] },
    ...{ tools: [{ name: 'boil' }], triggers: [{ event: 'whistle' }] }
  },
  { id: 'door', type: 'sensor/door', node: '12D3KooWdoor', nodeName: 'gamma', tools: [], triggers: [] }
] as unknown as CapabilityView[]

describe('what is said where no capability fits', () => {
  const CASES: [query: CapabilityQuery, ...lines: string[]][] = [
    [{ id: 'kettel' }, 'nothing has the id "kettel"; did you mean "kettle"?'],
    [{ id: 'zzz' }, 'nothing has the id "zzz"'],
    [
      { id: 'kettel', node: 'betta' },
      'nothing has the id "kettel"; did you mean "kettle"?',
      'nothing has the node "betta"; did you mean "beta"?'
    ],
    [{ type: 'sensor/dor' }, 'nothing has the type "sensor/dor"; did you mean "sensor/door"?'],
    [{ domain: 'kitchn' }, 'nothing has the domain "kitchn"; did you mean "kitchen"?'],
    [{ tool: 'boli' }, 'nothing has the tool "boli"; did you mean "boil"?'],
    [{ trigger: 'wistle' }, 'nothing has the trigger "wistle"; did you mean "whistle"?'],
    [{ keyword: 'te' }, 'nothing has the keyword "te"; did you mean "tea"?'],
    // Each is there, both together are not; what is text or status cannot be near.
    [{ id: 'kettle', node: 'gamma', type: 'sensor/*' }],
    [{ id: 'door', node: 'Wkettle' }],
    [{ text: 'kettel', status: 'busy' }]
  ]
  for (const [query, ...lines] of CASES)
    it(`${JSON.stringify(query)}: ${lines.length === 0 ? 'nothing' : lines.join(', ')}`, () =>
      assert.deepEqual(nearCapabilities(query, all), lines))
})
