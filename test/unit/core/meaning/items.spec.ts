import assert from 'node:assert/strict'
import type { Offer } from '../../../../src/core/candidates.ts'
import { meantCapabilities, meantKey } from '../../../../src/core/meaning/items.ts'

const offer = (node: string, more: Partial<Offer> = {}): Offer => ({
  ...{ node, nodeName: node, local: false, direct: true, rttMs: 5, id: 'lamp', type: 'home/lamp' },
  capability: { id: 'lamp', type: 'home/lamp', description: `says ${node}` },
  ...more
})
const own = offer('own', { local: true })
const member = offer('member')
const lender = offer('lender', { mesh: 'another' })

describe('what may be meant', () => {
  for (const [what, offers, says] of [
    ['this node, wherever it stands', [lender, member, own], 'own'],
    ['this node, where it stands first', [own, member, lender], 'own'],
    ['a member, where this node has none', [lender, member], 'member'],
    ['the first of several members', [lender, member, offer('later')], 'member'],
    ['a lender, where nobody else has it', [lender], 'lender'],
    ['a member, where this node blocks its own', [{ ...own, blocked: true }, member], 'member']
  ] as [string, Offer[], string][])
    it(`is what it is by the word of ${what}`, () => {
      const meant = meantCapabilities(offers).get(meantKey('home/lamp', 'lamp'))!
      assert.equal(meant.capability.description, `says ${says}`)
      assert.deepEqual(
        meant.offers,
        offers.filter(({ blocked }) => blocked !== true)
      )
    })

  it('is another thing where the type is another', () => {
    const other = offer('member', { type: 'garden/lamp' })
    assert.deepEqual([...meantCapabilities([own, other]).keys()], ['home/lamp lamp', 'garden/lamp lamp'])
  })
})
