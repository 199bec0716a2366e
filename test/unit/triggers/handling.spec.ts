import assert from 'node:assert/strict'
import type { FailedAnswer } from '../../../src/core/triggers/outbox-contract.ts'
import { MeshError } from '../../../src/errors.ts'
import type { EventFunction } from '../../../src/mesh-api-events.ts'
import { arrivedOf } from '../../../src/triggers/arrived-event.ts'
import { HANDLER_SLOTS, MAX_ASIDE, createHandling, type ArrivedEvent, type Handling } from '../../../src/triggers/handling.ts'
import type { Loaded } from '../../../src/triggers/payload-arrivals.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

const event = (number: number): ArrivedEvent =>
  arrivedOf({
    event: {
      id: `1-${number}`,
      source: { mesh: 'm', node: 'n', capability: 'cam' },
      type: 'sensor.camera.person',
      sequence: { incarnation: 1, number },
      priority: 'normal',
      hopDepth: 0,
      intent: 'Somebody.',
      data: number
    },
    encoded: new Uint8Array(),
    handler: 'guard',
    peer: 'n',
    causes: ['first'],
    expiresAt: Infinity
  })

describe('handling events', () => {
  let waiting: ArrivedEvent[]
  let finished: string[]
  let handle: EventFunction | undefined
  let authorize: () => Promise<void> | undefined
  let arrived: (event: ArrivedEvent) => Promise<void> | undefined
  let load: (event: ArrivedEvent, signal: AbortSignal) => Promise<Loaded>
  let onTake: () => void
  let make: (withinMs: number) => Handling
  let handling: Handling
  beforeEach(() => {
    waiting = []
    finished = []
    authorize = () => undefined
    arrived = () => undefined
    load = async ({ event: { data: value } }) => ({ value, release: () => undefined })
    onTake = () => undefined
    // What an earlier test has left running is none of the next one's.
    const [events, outcomes] = [waiting, finished]
    make = (withinMs) =>
      createHandling({
        functionOf: () => handle,
        take() {
          onTake()
          const item = events.shift()
          return item === undefined ? undefined : { item, missing: 0, late: false }
        },
        finish: ({ id }, outcome) => void outcomes.push(`${id} ${nameOf(outcome)}`),
        authorize: () => authorize(),
        arrived: (one) => arrived(one),
        load: (...given) => load(...given),
        withinMs
      })
    handling = make(10_000)
  })
  // Nothing that it left takes the next one's events.
  afterEach(() => handling.stop(0))
  const nameOf = (outcome: 'done' | FailedAnswer): string =>
    outcome === 'done' ? 'done' : `${outcome.code}${outcome.retryable ? ', again' : ''}`
  const push = (count: number): void => {
    for (let n = 0; n < count; n++) waiting.push(event(n))
    handling.ready('guard')
  }

  it('runs so many at once, and the next as soon as one is over', async () => {
    const ends: (() => void)[] = []
    handle = () => new Promise<void>((resolve) => ends.push(resolve))
    push(HANDLER_SLOTS + 2)
    await until(() => ends.length === HANDLER_SLOTS, 'all slots')
    handling.ready('guard')
    assert.equal(waiting.length, 2)
    ends[3]!()
    await until(() => ends.length === HANDLER_SLOTS + 1, 'the next')
    assert.deepEqual(finished, ['1-3 done'])
  })

  it('counts its slots also where taking one asks for the next', async () => {
    let running = 0
    let most = 0
    handle = async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 1))
      running--
    }
    let depth = 0
    onTake = () => {
      if (++depth === 1) handling.ready('guard')
      depth--
    }
    push(50)
    await until(() => finished.length === 50, 'all')
    assert.equal(most, HANDLER_SLOTS)
  })

  it('what it throws says whether it comes again; what is gone, or not allowed, too', async () => {
    const errors = [new Error('x'), new MeshError('invalid_argument', 'x'), new MeshError('busy', 'x'), 'a text']
    handle = ({ payload }) => {
      throw errors[payload as number] as Error
    }
    push(4)
    await until(() => finished.length === 4, 'all')
    assert.deepEqual(finished.splice(0), [
      '1-0 tool_failed, again',
      '1-1 invalid_argument',
      '1-2 busy, again',
      '1-3 tool_failed, again'
    ])
    handle = undefined
    push(1)
    await until(() => finished.length === 1, 'gone')
    handle = () => undefined
    authorize = () => {
      throw new MeshError('permission_denied', 'no', { reason: 'policy' })
    }
    push(1)
    await until(() => finished.length === 2, 'refused')
    assert.deepEqual(finished, ['1-0 unavailable, again', '1-0 permission_denied, again'])
  })

  it('what waits for a yes, or for its payload, keeps no other from being handled', async () => {
    handling = make(20_000)
    const yes: (() => void)[] = []
    let asks = MAX_ASIDE - 2
    authorize = () => (asks-- > 0 ? new Promise<void>((resolve) => yes.push(resolve)) : undefined)
    arrived = ({ id }) => (id === `1-${MAX_ASIDE}` ? new Promise<void>((resolve) => yes.push(resolve)) : undefined)
    let [running, most] = [0, 0]
    handle = async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 1))
      running--
    }
    push(MAX_ASIDE + 10)
    await until(() => finished.length === 11, 'all others')
    assert.deepEqual([yes.length, finished.includes(`1-${MAX_ASIDE} done`)], [MAX_ASIDE - 1, false])
    yes.forEach((resolve) => resolve())
    await until(() => finished.length === MAX_ASIDE + 10, 'these as well')
    assert.equal(most, HANDLER_SLOTS, 'with a slot each')
    assert.ok(finished.every((one) => one.endsWith('done')))
  })

  describe('with payloads that are long in coming', () => {
    let loading: ((loaded: Loaded) => void)[]
    let released: number
    const large = (number: number): ArrivedEvent => {
      const one = event(number)
      return { ...one, event: { ...one.event, dataRef: { hash: '00', size: 1 } } }
    }
    beforeEach(() => {
      ;[loading, released] = [[], 0]
      load = ({ event: { data: value, dataRef } }) =>
        dataRef === undefined
          ? Promise.resolve({ value, release: () => undefined })
          : new Promise((resolve) => loading.push(resolve))
    })
    const loaded: () => Loaded = () => ({ value: null, release: () => void released++ })

    it('those hold no slot until they are here', async () => {
      handle = () => undefined
      for (let n = 0; n < HANDLER_SLOTS; n++) waiting.push(large(n))
      push(1)
      await until(() => finished.length === 1, 'the one that waits for nothing')
      assert.deepEqual(finished, ['1-0 done'])
      loading.forEach((resolve) => resolve(loaded()))
      await until(() => finished.length === HANDLER_SLOTS + 1, 'the others')
      assert.equal(released, HANDLER_SLOTS)
    })

    it('what fails while it waits for one, or for a slot, holds no memory, and is not handled', async () => {
      handling = make(40)
      const handled: string[] = []
      handle = ({ id }, { within }) => {
        handled.push(id)
        within(Infinity)
        return new Promise(() => undefined)
      }
      waiting.push(large(100), large(101))
      push(HANDLER_SLOTS)
      await until(() => handled.length === HANDLER_SLOTS && loading.length === 2, 'all slots are taken')
      loading[0]!(loaded())
      await until(() => finished.length === 2, 'both have failed')
      assert.deepEqual([...finished].sort(), ['1-100 deadline_exceeded, again', '1-101 deadline_exceeded, again'])
      loading[1]!(loaded())
      await until(() => released === 2, 'and hold nothing, also where it came too late')
      assert.ok(!handled.includes('1-100') && !handled.includes('1-101'))
    })
  })

  it('no more than so many wait aside, and one for which nobody answers fails', async () => {
    handling = make(40)
    authorize = () => new Promise<void>(() => undefined)
    handle = () => assert.fail('it is not allowed')
    push(MAX_ASIDE + 1)
    assert.equal(waiting.length, 1)
    await until(() => finished.length === MAX_ASIDE + 1, 'all have failed')
    assert.ok(finished.every((one) => one.endsWith('deadline_exceeded, again')))
  })

  it('what hangs has failed after a time, is told so, may come again, and holds no slot', async () => {
    handling = make(40)
    const aborted: string[] = []
    handle = ({ id }, { signal }) => {
      signal.addEventListener('abort', () => aborted.push(id))
      return new Promise<void>(() => undefined)
    }
    push(HANDLER_SLOTS + 1)
    await until(() => finished.length === HANDLER_SLOTS + 1, 'all have failed')
    assert.ok(finished.every((one) => one.endsWith('deadline_exceeded, again')))
    assert.ok(aborted.length >= HANDLER_SLOTS + 1)
  })

  it('takes as long as a handler says that it may', async () => {
    handling = make(40)
    let end: (() => void) | undefined
    handle = ({ payload }, { within }) => {
      assert.throws(() => within(-1), /no time/)
      within(payload === 0 ? Infinity : 5)
      return new Promise<void>((resolve) => (end ??= resolve))
    }
    push(2)
    // The second one has less time than is usual, the first one more.
    await until(() => finished.length === 1, 'the second')
    handle = () => new Promise<void>(() => undefined)
    push(1)
    await until(() => finished.length === 2, 'one that says nothing')
    end!()
    await until(() => finished.length === 3, 'the first')
    assert.deepEqual(finished, ['1-1 deadline_exceeded, again', '1-0 deadline_exceeded, again', '1-0 done'])
  })

  it('gives the handler the event, who caused it, and a signal', async () => {
    let seen: unknown
    handle = ({ id, causes, node, payload }, context) => {
      seen = [id, causes, node, payload, context.causes, context.depth, context.signal.aborted]
    }
    push(1)
    await until(() => finished.length === 1, 'done')
    assert.deepEqual(seen, ['1-0', ['first', 'n'], 'n', 0, ['first', 'n'], 0, false])
  })

  it('a stop lets what runs finish, then aborts it, and begins nothing', async () => {
    handling = make(20_000)
    const ends: (() => void)[] = []
    handle = () => new Promise<void>((resolve) => ends.push(resolve))
    push(2)
    await until(() => ends.length === 2, 'both run')
    setTimeout(ends[0]!, 5)
    await handling.stop(20)
    assert.deepEqual(finished, ['1-0 done', '1-1 unavailable, again'])
    push(1)
    assert.equal(waiting.length, 1)
  })
})
