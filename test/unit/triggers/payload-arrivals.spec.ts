import assert from 'node:assert/strict'
import { sha256 } from '@noble/hashes/sha2.js'
import { toString } from 'uint8arrays/to-string'
import { encodeCbor } from '../../../protocols/cbor.ts'
import { PAYLOAD_TYPE, type MeshEvent } from '../../../protocols/trigger/messages.ts'
import { isMeshError, type ErrorCode } from '../../../src/errors.ts'
import { arrivedOf } from '../../../src/triggers/arrived-event.ts'
import type { ArrivedEvent } from '../../../src/triggers/handling.ts'
import {
  FETCH_WITHIN_MS,
  MAX_FETCHES_OF_NODE,
  createPayloadArrivals,
  type PayloadArrivals,
  type PayloadArrivalsComponents
} from '../../../src/triggers/payload-arrivals.ts'
import { createPayloadMemory, notKept } from '../../../src/triggers/payload-store.ts'

const bytes = encodeCbor('a payload')
const hash = toString(sha256(bytes), 'base16')

function event(id: string, given: Partial<MeshEvent> = {}, peer = 'n'): ArrivedEvent {
  return arrivedOf({
    event: {
      id,
      source: { mesh: 'm', node: peer, capability: 'cam' },
      type: 'sensor.camera.person',
      sequence: { incarnation: 1, number: 1 },
      priority: 'normal',
      hopDepth: 0,
      intent: 'Somebody.',
      data: null,
      dataRef: { hash, size: bytes.length },
      dataContentType: PAYLOAD_TYPE,
      ...given
    },
    encoded: new Uint8Array(),
    handler: 'guard',
    peer,
    causes: [],
    expiresAt: Infinity
  })
}

describe('payloads that arrive', () => {
  let fetched: string[]
  let fetch: PayloadArrivalsComponents['fetch']
  let payloads: PayloadArrivals
  const make = (given: Partial<PayloadArrivalsComponents> = {}): void => {
    fetched = []
    payloads = createPayloadArrivals({
      self: 'self',
      store: createPayloadMemory(),
      fetch(node, wanted, signal) {
        fetched.push(wanted)
        return fetch(node, wanted, signal)
      },
      own: () => assert.fail('it is of another node'),
      holdsOwn: () => false,
      kept: [],
      ...given
    })
  }
  const whole = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes
  }
  beforeEach(() => {
    fetch = whole
    make()
  })
  afterEach(() => payloads.stop())
  const fails = (work: Promise<void> | undefined, code: ErrorCode): Promise<void> =>
    assert.rejects(Promise.resolve(work), (error) => isMeshError(error, code))

  it('one that trickles fails after its time, and its turn goes to the next of its node', async () => {
    fetch = async function* (_, wanted, signal) {
      if (wanted === hash) {
        yield bytes
        return
      }
      yield Uint8Array.of(1)
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    }
    const asked: number[] = []
    make({
      withinMs(size) {
        asked.push(size)
        return size === 9_999 ? 20 : FETCH_WITHIN_MS
      }
    })
    const slow = Array.from({ length: MAX_FETCHES_OF_NODE }, (_, n) =>
      payloads.get(event(`1-${n}`, { dataRef: { hash: String(n).padStart(64, '0'), size: 9_999 } }))
    )
    const next = payloads.get(event('1-9'))
    await Promise.all(slow.map((one) => fails(one, 'deadline_exceeded')))
    await next
    assert.deepEqual(asked, [9_999, 9_999, bytes.length])
  })

  for (const size of [bytes.length - 1, bytes.length + 1])
    it(`one of ${size} bytes is none of ${bytes.length} with the same hash, that is here or on its way`, async () => {
      const [good, bad] = [event('1-1'), event('1-2', { dataRef: { hash, size } })]
      const first = payloads.get(good)
      await fails(payloads.get(bad), 'protocol_error')
      await first
      const loaded = await payloads.load(good, new AbortController().signal)
      assert.equal(loaded.value, 'a payload')
      await fails(payloads.get(event('1-3', { dataRef: { hash, size } })), 'protocol_error')
    })

  it('one of a type that is not read is refused, also while the same comes as one that is', async () => {
    const coming = payloads.get(event('1-1'))
    assert.throws(
      () => payloads.admit(event('1-2', { dataContentType: 'video/mp4' })),
      (error) => isMeshError(error, 'unsupported')
    )
    await coming
  })

  it('one for which there is no room is refused before its event is in; the same one twice takes it once', () => {
    fetch = async function* () {
      await new Promise(() => undefined)
      yield bytes
    }
    make({ store: createPayloadMemory(100) })
    const sized = (id: string, size: number, peer?: string): ArrivedEvent =>
      event(id, { dataRef: { hash: String(size).padStart(64, '0'), size } }, peer)
    const busy = (one: ArrivedEvent): void =>
      assert.throws(
        () => payloads.admit(one),
        (error) => isMeshError(error, 'busy')
      )
    busy(sized('1-1', 51))
    payloads.admit(sized('1-1', 40))
    void payloads.get(sized('1-1', 40))?.catch(() => undefined)
    payloads.admit(sized('1-2', 40))
    busy(sized('1-2', 11))
    payloads.admit(sized('1-2', 50, 'm'))
    assert.deepEqual(fetched, [])
  })

  it('one that was accepted before a restart and is gone was over then; so was an own one that the outbox does not hold', async () => {
    const store = createPayloadMemory()
    await store.write('x', [])
    const kept = [
      event('1-1'),
      event('1-2', { dataRef: { hash, size: bytes.length + 1 } }),
      event('1-3', {}, 'm'),
      event('1-4', { dataRef: undefined }),
      event('1-5', {}, 'self'),
      event('1-6', { dataRef: { hash: 'f'.repeat(64), size: 1 } }, 'self')
    ]
    make({
      store: { ...store, initial: new Map([[`n-${hash}-${bytes.length}`, bytes.length]]) },
      holdsOwn: (one) => one === hash,
      kept
    })
    assert.deepEqual(
      kept.filter((one) => payloads.over.has(one)).map(({ id }) => id),
      ['1-2', '1-3', '1-6']
    )
    await payloads.get(kept[0]!)
    assert.deepEqual(fetched, [], 'nothing of it is got')
  })

  it('is deleted once it is written down that its event is over, and comes after that if it comes again', async () => {
    const steps: string[] = []
    const store = createPayloadMemory()
    make({
      store: {
        ...store,
        write: (...given) => store.write(...given).then(() => void steps.push('written')),
        delete: (name) => store.delete(name).then(() => void steps.push('deleted'))
      }
    })
    const one = event('1-1')
    for (const end of ['resolve', 'reject'] as const) {
      steps.length = 0
      await payloads.get(one)
      let settle = (): void => undefined
      const record = new Promise<void>(
        (resolve, reject) => (settle = end === 'resolve' ? resolve : () => reject(new Error('full')))
      )
      record.catch(() => undefined)
      payloads.release(one, record)
      const again = payloads.get(one)
      await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual(steps, ['written'], 'not yet')
      settle()
      await again
      assert.deepEqual(steps, ['written', 'deleted', 'written'])
      payloads.release(one)
      await new Promise((resolve) => setImmediate(resolve))
    }
  })

  it('one that did not come is got anew when its event is tried again, and not before', async () => {
    const one = event('1-1')
    fetch = async function* () {
      yield* []
      throw notKept()
    }
    await fails(payloads.get(one), 'unavailable')
    await fails(payloads.get(one), 'unavailable')
    assert.equal(fetched.length, 1)
    fetch = whole
    payloads.again(one)
    await payloads.get(one)
    payloads.again(one)
    await payloads.get(one)
    assert.equal(fetched.length, 2)
    assert.ok(payloads.has(one))
  })
})
