import assert from 'node:assert/strict'
import type { EventHandler, EventToRoute } from '../../src/core/triggers/trigger-routes.ts'
import { MeshError } from '../../src/errors.ts'
import { LOOK_REST_MS, MAX_LOOKUPS, createMeantHandlers, type CurrentMeaning } from '../../src/mesh-meant-handlers.ts'
import { pause } from '../../src/mesh-meaning-pieces.ts'

const guard: EventHandler = { node: 'n', capability: 'guard', type: 'agent/guard', healthy: true }

/** Of an index that is known once it has been waited for, until something changes. */
describe('whom the words of events mean', () => {
  let [isCurrent, revision, readies, looks] = [false, 0, 0, 0]
  /** Asked about at each look, the oldest first. */
  let waiting: EventToRoute[] = []
  /** Whatever was looked up. */
  let found: string[] = []
  let rests: { ms: number; end: () => void; isEnded: boolean }[] = []
  let isStopped = false
  const meaning = {
    among(text: string) {
      if (!isCurrent) return undefined
      found.push(text)
      return [guard]
    },
    async ready() {
      // Without an end it would hang here.
      if (isStopped || ++readies > 100) throw new MeshError('cancelled', 'the node stops')
      isCurrent = true
    },
    revision: () => (isCurrent ? revision : undefined)
  }
  const said = (text: string): EventToRoute => ({
    hint: 'meaning:**',
    sink: undefined,
    node: 'n',
    capability: 'ear',
    subject: text,
    text
  })
  const ask = (of: CurrentMeaning, event: EventToRoute) => of.among(event.text!, [guard], event)
  const create = (of: typeof meaning | undefined = meaning): CurrentMeaning => {
    const handlers = createMeantHandlers(
      of,
      () => {
        looks++
        for (const event of waiting) ask(handlers, event)
      },
      () => true,
      (ms, end) => {
        const one = { ms, end, isEnded: false }
        rests.push(one)
        return () => (one.isEnded = true)
      }
    )
    return handlers
  }
  const texts = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, n) => `text ${from + n}`)
  /** The rest is over, and what follows from that has happened. */
  async function endRest(): Promise<void> {
    rests.at(-1)!.end()
    await pause()
  }
  /** So many events wait, and each of them was looked up. */
  async function manyKnown(count: number): Promise<CurrentMeaning> {
    waiting = Array.from({ length: count }, (_, n) => said(`text ${n}`))
    const handlers = create()
    ask(handlers, waiting[0]!)
    await pause()
    assert.deepEqual([looks, found.length], [1, count], 'each at once, for the first time')
    found = []
    return handlers
  }
  const saysElse = (): void => {
    isCurrent = false
    revision++
  }

  beforeEach(() => {
    ;[isCurrent, revision, readies, looks, isStopped] = [false, 0, 0, 0, false]
    waiting = [said('one')]
    found = []
    rests = []
  })

  it('is known as soon as it has been learned, and then at once', async () => {
    const handlers = create()
    assert.equal(ask(handlers, waiting[0]!), undefined)
    await pause()
    assert.deepEqual([looks, ask(handlers, waiting[0]!)], [1, [guard]])
  })

  it('is looked at once for all changes within a rest, which is as long however many wait', async () => {
    const handlers = await manyKnown(1_000)
    assert.deepEqual(
      rests.map(({ ms }) => ms),
      [LOOK_REST_MS]
    )
    for (let n = 0; n < 20; n++) {
      saysElse()
      handlers.changed()
      await pause()
    }
    assert.equal(looks, 1)
    waiting = [said('one')]
    await endRest()
    assert.equal(looks, 2)
    handlers.changed()
    await pause()
    assert.equal(looks, 2, 'nothing has changed since')
  })

  it('is known of a new event after one rest at most, however many others wait to be looked at again', async () => {
    const handlers = await manyKnown(1_000)
    saysElse()
    handlers.changed()
    const event = said('fire')
    waiting.push(event)
    assert.equal(ask(handlers, event), undefined)
    await endRest()
    assert.equal(found.filter((text) => text === 'fire').length, 1)
    assert.equal(found.length, MAX_LOOKUPS + 1)
    assert.deepEqual(ask(handlers, said('another')), [guard])
  })

  it('is looked up again for so many at each look and between two, whoever comes and goes', async () => {
    const handlers = await manyKnown(1_000)
    const flip = (): void => {
      for (const event of waiting) ask(handlers, event)
    }
    for (let n = 0; n < 20; n++) flip()
    assert.equal(found.length, MAX_LOOKUPS)
    for (let n = 2; n < 10; n++) {
      await endRest()
      for (let m = 0; m < 20; m++) flip()
      assert.equal(found.length, n * 2 * MAX_LOOKUPS - MAX_LOOKUPS)
    }
    assert.ok(rests.every(({ ms }) => ms === LOOK_REST_MS))
  })

  it('is looked up for each in its turn, though all is asked again at each look, until none is left', async () => {
    const handlers = await manyKnown(1_000)
    const restless = async (n: number): Promise<void> => {
      if (n % 2 === 0) saysElse()
      handlers.changed()
      for (const event of waiting) ask(handlers, event)
      await endRest()
    }
    for (let n = 0; n < 1_000 / MAX_LOOKUPS + 1; n++) await restless(n)
    assert.equal(new Set(found).size, 1_000)
    waiting = []
    await endRest()
    const last = looks
    await endRest()
    assert.equal(looks, last)
  })

  it('is looked up later for those alone that still wait, one rest after the turns of those that do not', async () => {
    const handlers = await manyKnown(10 * MAX_LOOKUPS)
    for (const event of waiting) ask(handlers, event)
    waiting = waiting.slice(-2)
    found = []
    await endRest()
    await endRest()
    const count = 10 * MAX_LOOKUPS
    assert.deepEqual([found, looks], [texts(count - 2, count), 3])
    await endRest()
    assert.equal(looks, 3)
  })

  it('is looked at at once where the last change is long ago, and where it is known already', async () => {
    const handlers = create()
    ask(handlers, waiting[0]!)
    await pause()
    await endRest()
    revision++
    handlers.changed()
    await pause()
    assert.equal(looks, 2)
  })

  it('is asked for no more than once a rest, though it is not known when it should be', async () => {
    ask(create({ ...meaning, among: () => undefined }), waiting[0]!)
    await pause()
    assert.deepEqual([readies, looks], [1, 1])
    await endRest()
    assert.deepEqual([readies, looks], [2, 2])
  })

  it('is not asked for where it has changed since a moment ago, and nobody loses its turn by that', async () => {
    const handlers = await manyKnown(3 * MAX_LOOKUPS)
    for (const event of waiting) ask(handlers, event)
    isCurrent = false
    const { ready } = meaning
    meaning.ready = async () => void readies++
    await endRest()
    meaning.ready = ready
    assert.deepEqual([looks, rests.length], [1, 2])
    found = []
    await endRest()
    assert.deepEqual(found, texts(MAX_LOOKUPS, 2 * MAX_LOOKUPS))
  })

  it('is nobody any more once the node stops', async () => {
    const handlers = create()
    isStopped = true
    ask(handlers, waiting[0]!)
    await pause()
    assert.deepEqual([looks, rests], [0, []])
  })

  it('is not learned once the node stops, and its rest ends', async () => {
    const handlers = await manyKnown(2 * MAX_LOOKUPS)
    for (const event of waiting) ask(handlers, event)
    handlers.stop()
    assert.equal(rests[0]!.isEnded, true)
    await endRest()
    saysElse()
    handlers.changed()
    ask(handlers, said('another'))
    await pause()
    assert.deepEqual([looks, rests.length, readies], [1, 1, 2])
  })

  it('is nobody where words mean nobody', () => {
    const handlers = createMeantHandlers(
      undefined,
      () => assert.fail(),
      () => true
    )
    assert.deepEqual(ask(handlers, said('one')), [])
    handlers.changed()
  })
})
