import assert from 'node:assert/strict'
import { createOffers } from '../../../src/core/offers.ts'
import type { Directory } from '../../../src/core/directory.ts'

describe('offers', () => {
  const document = (name: string) => ({
    info: { name, version: '1', addresses: [], cost: { power: 'battery' as const } },
    capabilities: new Map([['c', { declaration: { id: 'c', type: 't' } }]])
  })
  const entries = new Map([
    ['self', { origin: 'self', document: document('me') }],
    ['other', { origin: 'other', document: document('it') }]
  ])
  const directory = { visible: () => [...entries.values()], get: (origin: string) => entries.get(origin) } as unknown as Directory

  it('know links, routes and costs, a session before a route', () => {
    const offers = createOffers(directory, 'self')
    const way = () => {
      const { direct, rttMs, hops, via, metricMs } = offers.all()[1]!
      return [direct, rttMs, hops, via, metricMs]
    }
    assert.deepEqual(way(), [false, undefined, undefined, undefined, undefined])
    offers.setRoute('other', { via: 'between', hops: 2, metricMs: 7 })
    assert.deepEqual(way(), [false, undefined, 2, 'between', 7])
    const { hops, via, direct } = offers.peers(() => 'peer')[0]!
    assert.deepEqual([hops, via, direct], [2, 'between', false])
    offers.setLink('other', { rttMs: 3 })
    assert.deepEqual(way(), [true, 3, 1, undefined, undefined])
    offers.setLink('other', undefined)
    assert.deepEqual(way(), [false, undefined, 2, 'between', 7])
    assert.deepEqual(offers.all()[1]!.cost, { power: 'battery' })
  })

  it('are a new list when a way comes or goes, and the same one when it only changes', () => {
    const offers = createOffers(directory, 'self')
    let before = offers.all()
    const isNew = (): boolean => {
      const all = offers.all()
      const isOther = all !== before
      before = all
      return isOther
    }
    offers.setRoute('other', { via: 'a', hops: 2, metricMs: 7 })
    assert.equal(isNew(), true)
    offers.setRoute('other', { via: 'b', hops: 3, metricMs: 9 })
    offers.setLink('other', { rttMs: 3 })
    offers.setRoute('other', undefined)
    assert.equal(isNew(), false)
    offers.setLink('other', undefined)
    assert.equal(isNew(), true)
  })
})
