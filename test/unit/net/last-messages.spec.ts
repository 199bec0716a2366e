import assert from 'node:assert/strict'
import { MAX_KEPT_SENDERS, createLastMessages } from '../../../src/net/last-messages.ts'

describe('last messages', () => {
  it('give back what the same bytes of the same sender meant, and nothing for others', () => {
    const last = createLastMessages<string>()
    const packet = Uint8Array.of(1, 2, 3)
    last.keep('a', packet, 'first')
    packet[0] = 9 // the socket may use its memory again
    assert.equal(last.recall('a', Uint8Array.of(1, 2, 3)), 'first')
    assert.equal(last.recall('a', Uint8Array.of(9, 2, 3)), undefined)
    assert.equal(last.recall('a', Uint8Array.of(1, 2)), undefined)
    assert.equal(last.recall('b', Uint8Array.of(1, 2, 3)), undefined)
    last.keep('a', Uint8Array.of(4), 'second')
    assert.equal(last.recall('a', Uint8Array.of(1, 2, 3)), undefined)
    assert.equal(last.recall('a', Uint8Array.of(4)), 'second')
  })

  it('are bounded: whoever was heard longest ago is forgotten', () => {
    const last = createLastMessages<number>()
    for (let n = 0; n <= MAX_KEPT_SENDERS; n++) last.keep(`s${n}`, Uint8Array.of(n & 255), n)
    assert.equal(last.recall('s0', Uint8Array.of(0)), undefined)
    assert.equal(last.recall('s1', Uint8Array.of(1)), 1)
  })
})
