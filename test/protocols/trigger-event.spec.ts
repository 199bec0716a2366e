import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isMeshError } from '../../protocols/errors.ts'
import type { JsonValue } from '../../protocols/json.ts'
import { encodeSequence } from '../../protocols/trigger/event-names.ts'
import {
  MAX_EVENT_AGE_MS,
  MAX_EVENT_BYTES,
  MAX_FAILURE_MESSAGE,
  decodeAnswers,
  decodeDelivery,
  decodeEvent,
  encodeAnswers,
  encodeDelivery,
  encodeEvent,
  type MeshEvent
} from '../../protocols/trigger/messages.ts'

const EVENT: MeshEvent = {
  id: '1-1',
  source: { mesh: 'open', node: 'me', capability: 'door' },
  type: 'sensor.door.opened',
  sequence: { incarnation: 1, number: 1 },
  priority: 'normal',
  hopDepth: 0,
  intent: 'the door is open',
  data: null
}

describe('events of triggers', () => {
  it('are at most as large as CloudEvents wants them passed on', () => {
    const sized = (length: number): Uint8Array => encodeEvent({ ...EVENT, data: 'x'.repeat(length) })
    const rest = sized(60_000).length - 60_000
    const largest = sized(MAX_EVENT_BYTES - rest)
    assert.equal(largest.length, MAX_EVENT_BYTES)
    assert.equal((decodeEvent(largest).data as string).length, MAX_EVENT_BYTES - rest)
    assert.throws(
      () => sized(MAX_EVENT_BYTES - rest + 1),
      (error) => isMeshError(error, 'too_large')
    )
  })

  it('come back as they went, whatever the payload', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string({ minLength: 1, maxLength: 256 }), (data, subject) => {
        // JSON has one zero, and CBOR two.
        const event = { ...EVENT, subject, data: JSON.parse(JSON.stringify(data)) as JsonValue }
        const { coalesced, dataRef, time, dataSchema, dataContentType, routeHint, traceparent, ...read } = decodeEvent(
          encodeEvent(event)
        )
        assert.deepEqual(read, event)
        for (const left of [coalesced, dataRef, time, dataSchema, dataContentType, routeHint, traceparent])
          assert.equal(left, undefined)
      })
    )
  })

  it('are ordered by their sequence as text, as CloudEvents wants it', () => {
    const number = fc.maxSafeNat()
    const incarnation = fc.nat(2 ** 31 - 1)
    fc.assert(
      fc.property(incarnation, number, incarnation, number, (i, n, j, m) => {
        const [a, b] = [
          { incarnation: i, number: n },
          { incarnation: j, number: m }
        ]
        assert.equal(encodeSequence(a) < encodeSequence(b), i < j || (i === j && n < m))
      })
    )
  })

  it('are delivered with no more time than there can be, and no less than none', () => {
    const sent = (remainingMs: number): number =>
      decodeDelivery(encodeDelivery({ number: 0, handler: 'a', event: Uint8Array.of(1), remainingMs })).remainingMs
    assert.deepEqual([-1, 0.9, 1.9, Infinity].map(sent), [0, 0, 1, MAX_EVENT_AGE_MS])
  })

  it('are answered with messages that are cut', () => {
    const failure = { number: 1, code: 'tool_failed', retryable: true, retryAfterMs: 0.2, message: 'm'.repeat(10_000) }
    const [read] = decodeAnswers(encodeAnswers({ accepted: [], done: [], failed: [failure] })).failed
    assert.deepEqual(read, { ...failure, retryAfterMs: 1, message: 'm'.repeat(MAX_FAILURE_MESSAGE) })
  })
})
