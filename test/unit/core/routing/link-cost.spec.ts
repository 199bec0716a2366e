import assert from 'node:assert/strict'
import { createLinkCost } from '../../../../src/core/routing/link-cost.ts'

describe('cost of a link', () => {
  it('is that of the first round trip at once, 1 ms at least, and what the transport costs beside it', () => {
    const [lan, relay] = [createLinkCost(), createLinkCost(50)]
    assert.equal(lan.sample(0.2), false)
    assert.equal(lan.cost, 10)
    assert.equal(relay.sample(8), true)
    assert.equal(relay.cost, 580)
  })

  it('does not follow noise, nor a single slow moment', () => {
    const link = createLinkCost()
    link.sample(10)
    for (let n = 0; n < 100; n++) assert.equal(link.sample(n % 2 === 0 ? 9 : 11), false)
    for (let n = 0; n < 20; n++) assert.equal(link.sample(n % 10 === 0 ? 200 : 10), false, `${n}`)
    assert.equal(link.cost, 100)
  })

  it('follows what lasts, in few steps', () => {
    const link = createLinkCost()
    link.sample(10)
    let changes = 0
    for (let n = 0; n < 60; n++) changes += Number(link.sample(160))
    assert.ok(link.cost > 1_200 && changes < 20, `${link.cost} after ${changes}`)
  })
})
