import assert from 'node:assert/strict'
import { showUnmatched, unmatchedBy } from '../../../src/cli/show-unmatched.ts'
import { isMeshError } from '../../../src/errors.ts'
import type { CapabilityView } from '../../../src/mesh-api.ts'

const view = (type: string, events: string[], more: Partial<CapabilityView> = {}): CapabilityView =>
  ({ id: 'x', type, triggers: events.map((event) => ({ event })), tools: [], ...more }) as unknown as CapabilityView
const THERE = [
  view('sensor/camera', ['person', 'dark']),
  view('sensor/door', ['opened']),
  view('sensor/door', ['opened']),
  view('home/hall/light', ['on']),
  view('doorbell', ['rings']),
  view('test/quiet', []),
  view('sensr/lent', ['x'], { mesh: 'of others' })
]

describe('a pattern of events that nothing fits', () => {
  for (const fits of ['sensor/*', '**', 'sensor/camera', 'sensor/*:person', 'doorbell', 'home/**', '*:rings'])
    it(`${fits} fits something`, () => assert.equal(unmatchedBy(fits, THERE), undefined))

  const cases: [pattern: string, meant: string | undefined, known: string[]][] = [
    ['snesor/*', 'sensor/*', ['sensor/camera', 'sensor/door']],
    ['sensor/camra', 'sensor/camera', ['sensor/camera']],
    ['sensor/camera:persn', 'sensor/camera:person', ['sensor/camera:person']],
    ['senzor/*:person', 'sensor/*:person', ['sensor/camera:person']],
    ['sensor/door:per*', 'sensor/door:opened', ['sensor/door:opened']],
    ['hoome/**', 'home/**', ['home/hall/light']],
    ['hoome/*/light', 'home/*/light', ['home/hall/light']],
    ['dorbell:*', 'doorbell:*', ['doorbell:rings']],
    ['per:*', 'peer:*', ['peer:join', 'peer:updated', 'peer:leave']],
    ['trigr', 'trigger', ['trigger']],
    ['netwrok', 'network', ['network']],
    ['test/quiet', undefined, ['sensor/camera', 'sensor/door', 'home/hall/light']],
    ['weather/rain/tomorrow', undefined, ['sensor/camera', 'sensor/door', 'home/hall/light']]
  ]
  for (const [pattern, meant, known] of cases)
    it(`${pattern}: ${meant ?? 'nothing is near'}`, () =>
      assert.deepEqual(unmatchedBy(pattern, THERE), { pattern, ...(meant !== undefined && { meant }), known }))

  it('is told in words', () => {
    const told = (pattern: string, of = THERE): string => showUnmatched(unmatchedBy(pattern, of)!)
    const begins = (pattern: string): string => `nothing that is announced now raises events of ${pattern}; `
    const ends = '; what comes later is shown'
    assert.equal(told('snesor/*'), `${begins('snesor/*')}did you mean sensor/* (sensor/camera, sensor/door)?${ends}`)
    assert.equal(told('sensor/camra'), `${begins('sensor/camra')}did you mean sensor/camera?${ends}`)
    assert.equal(
      told('weather/*'),
      `${begins('weather/*')}events are raised by sensor/camera, sensor/door, home/hall/light${ends}`
    )
    assert.equal(told('**', [view('a', [])]), `${begins('**')}no capability raises events now${ends}`)
  })

  it('what is no pattern is refused', () =>
    assert.throws(
      () => unmatchedBy('Sensor/*', THERE),
      (error) => isMeshError(error, 'invalid_argument')
    ))
})
