import assert from 'node:assert/strict'
import type { CapabilityDeclaration, TriggerDeclaration } from '../../../protocols/capability.ts'
import { sha256 } from '@noble/hashes/sha2.js'
import { toString } from 'uint8arrays/to-string'
import { MAX_VALUES } from '../../../protocols/cbor.ts'
import {
  MAX_EVENT_BYTES,
  MAX_INTENT,
  MAX_REFERENCED_BYTES,
  decodeEvent,
  decodePayload,
  type MeshEvent
} from '../../../protocols/trigger/messages.ts'
import { isMeshError, type ErrorCode } from '../../../src/errors.ts'
import { MAX_PAYLOAD_BYTES, createRaise, type Raise, type RaisedEvent } from '../../../src/triggers/raise.ts'

const SELF = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const MESH = '12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR'

describe('raising events', () => {
  let now: number
  let out: RaisedEvent[]
  let payloads: (Uint8Array | undefined)[]
  let declaration: CapabilityDeclaration
  let raise: Raise
  const declare = (trigger: Partial<TriggerDeclaration> = {}): void => {
    declaration = { id: 'cam', type: 'sensor/camera', triggers: [{ event: 'person', ...trigger }] }
  }
  beforeEach(() => {
    now = 1_000
    ;[out, payloads] = [[], []]
    declare()
    raise = createRaise({
      self: SELF,
      mesh: MESH,
      incarnation: 3,
      random: () => 0,
      find: (id) => (id === 'cam' ? declaration : undefined),
      offers: () => [
        { id: 'cam', local: true, nodeName: 'porch' },
        { id: 'lamp', local: false, nodeName: 'attic' },
        { id: 'camp', local: false, nodeName: 'attic' }
      ],
      add(event, payload) {
        payloads.push(payload)
        out.push(event)
        return { outcome: 'queued', handlers: [] }
      },
      sink: undefined,
      now: () => now,
      clock: () => 1_700_000_000_000 + now
    })
  })
  const events = (): MeshEvent[] => out.map(({ encoded }) => decodeEvent(encoded))
  const throws = (code: ErrorCode, work: () => unknown): void => assert.throws(work, (error) => isMeshError(error, code))

  it('an event is what is declared and what was raised', () => {
    declare({ intentTemplate: 'Somebody at {location}.', priority: 'high', fanOut: 2, expiresMs: 5, routeHint: 'agent/*' })
    const raised = raise.raise('cam', 'person', { location: 'door' }, { depth: 2, causes: [SELF] })
    assert.equal(raised.outcome, 'raised')
    assert.deepEqual(events()[0], {
      ...events()[0],
      id: '3-1',
      source: { mesh: MESH, node: SELF, capability: 'cam' },
      type: 'sensor.camera.person',
      subject: 'door',
      time: '2023-11-14T22:13:21.000Z',
      priority: 'high',
      hopDepth: 3,
      routeHint: 'agent/*',
      intent: 'Somebody at door.',
      data: { location: 'door' }
    })
    const [{ fanOut, expiresMs, route, causes }] = out as [RaisedEvent]
    assert.deepEqual([fanOut, expiresMs, route.hint, causes], [2, 5, 'agent/*', [SELF]])
  })

  it('what nobody declares is refused, with what was meant perhaps', () => {
    throws('unknown_capability', () => raise.raise('lamp', 'person', null))
    throws('unknown_trigger', () => raise.raise('cam', 'persn', null))
    assert.throws(() => raise.raise('cam', 'persn', null), /did you mean "person"/)
    const unknown = (capability: string, near: string | undefined, says: RegExp): void =>
      assert.throws(
        () => raise.raise(capability, 'person', null),
        (error) => isMeshError(error, 'unknown_capability') && error.details['near'] === near && says.test(error.message)
      )
    unknown('cma', 'cam', /does not offer "cma"; did you mean "cam"\?/)
    unknown('lmap', undefined, /does not offer "lmap"; events are raised where it is, see atmo capabilities/)
    // What another node has is no typo, even if this one has something that is called alike.
    unknown('camp', undefined, /does not offer "camp", attic does; events are raised where it is/)
    declare({ payload: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } } })
    throws('invalid_argument', () => raise.raise('cam', 'person', { n: 'x' }))
    throws('invalid_argument', () => raise.raise('cam', 'person', {}))
    declare({ intentTemplate: 'At {' })
    throws('invalid_argument', () => raise.raise('cam', 'person', {}))
    throws('invalid_argument', () => raise.raise('cam', 'person', {}, { causes: ['not a PeerId'] }))
    throws('invalid_argument', () => raise.raise('cam', 'person', {}, { causes: Array.from({ length: 9 }, () => SELF) }))
    throws('invalid_argument', () => raise.raise('cam', 'person', {}, { traceparent: 'x' }))
    assert.deepEqual(out, [])
  })

  it('a payload that is too large is refused; the largest, with the longest words beside it, is an event', () => {
    throws('too_large', () => raise.raise('cam', 'person', 'x'.repeat(MAX_REFERENCED_BYTES)))
    throws('too_large', () =>
      raise.raise(
        'cam',
        'person',
        Array.from({ length: MAX_VALUES }, () => 1)
      )
    )
    declare({ intentTemplate: '{a}{b}{c}{d}', subject: 'a', routeHint: '€'.repeat(256) })
    const wide = '€'.repeat(MAX_INTENT / 4)
    const values = { a: wide, b: wide, c: wide, d: wide }
    const room = MAX_PAYLOAD_BYTES - 4 * (3 * wide.length + 8) - 16
    raise.raise('cam', 'person', { ...values, e: 'x'.repeat(room) })
    assert.ok(out[0]!.encoded.length > MAX_PAYLOAD_BYTES && out[0]!.encoded.length <= MAX_EVENT_BYTES)
  })

  it('a payload that has no room in an event is beside it, and the event says which', () => {
    const payload = { log: 'x'.repeat(MAX_PAYLOAD_BYTES), location: 'door' }
    raise.raise('cam', 'person', payload)
    const { encoded, bytes, dataRef, subject } = out[0]!
    const { data, dataContentType, ...event } = decodeEvent(encoded)
    assert.deepEqual([data, dataContentType, event.dataRef, subject], [null, 'application/cbor', dataRef, 'door'])
    assert.deepEqual(decodePayload(payloads[0]!), payload)
    assert.deepEqual(dataRef, { hash: toString(sha256(payloads[0]!), 'base16'), size: payloads[0]!.length })
    assert.equal(bytes, encoded.length + payloads[0]!.length)
    raise.raise('cam', 'person', 'small')
    assert.deepEqual([payloads[1], out[1]!.dataRef], [undefined, undefined])
  })

  it('what is too deep goes nowhere', () => {
    assert.equal(raise.raise('cam', 'person', null, { depth: 6 }).outcome, 'raised')
    assert.deepEqual(raise.raise('cam', 'person', null, { depth: 7 }), { outcome: 'dropped', reason: 'too_deep' })
    assert.equal(out.length, 1)
  })

  it('too often about the same thing becomes one event at the end, with the count; about another it does not', () => {
    declare({ throttleMs: 100 })
    const fire = (location: string): string => raise.raise('cam', 'person', { location, now }).outcome
    assert.equal(fire('door'), 'raised')
    now += 10
    assert.equal(fire('door'), 'coalesced')
    assert.equal(fire('window'), 'raised')
    now += 10
    assert.equal(fire('door'), 'coalesced')
    assert.equal(raise.nextAt, 1_100)
    now = 1_100
    raise.tick(now)
    const [first, window, both] = events()
    assert.deepEqual([first?.coalesced, window?.coalesced, window?.subject], [undefined, undefined, 'window'])
    assert.deepEqual(both?.coalesced, { count: 2, from: '2023-11-14T22:13:21.010Z' })
    assert.deepEqual([both?.time, both?.data], ['2023-11-14T22:13:21.020Z', { location: 'door', now: 1_020 }])
    assert.equal(both.sequence.number, first!.sequence.number + 1)
  })

  it('debounce waits for quiet, not for ever; a stop lets go all that is held back', () => {
    declare({ debounceMs: 100 })
    assert.equal(raise.raise('cam', 'person', 1).outcome, 'coalesced')
    for (let n = 2; n <= 6; n++) {
      now += 90
      raise.tick(now)
      raise.raise('cam', 'person', n)
    }
    assert.equal(out.length, 0)
    now = 1_500
    raise.tick(now)
    assert.deepEqual(
      events().map(({ coalesced, data }) => [coalesced?.count, data]),
      [[6, 6]]
    )
    raise.raise('cam', 'person', 7)
    raise.flush()
    assert.equal(out.length, 2)
    assert.equal(raise.nextAt, Infinity)
  })
})
