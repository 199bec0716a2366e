import assert from 'node:assert/strict'
import type { EventHandler } from '../../src/core/triggers/trigger-routes.ts'
import { MeshError } from '../../src/errors.ts'
import { MIN_LOOK_REST_MS, REST_A_TEXT_MS, createMeantHandlers } from '../../src/mesh-meant-handlers.ts'
import { pause } from '../../src/mesh-meaning-pieces.ts'

const guard: EventHandler = { node: 'n', capability: 'guard', type: 'agent/guard', healthy: true }

/** Of an index that is known once it has been waited for, until something changes. */
describe('whom the words of events mean', () => {
  let [isCurrent, revision, readies, looks] = [false, 0, 0, 0]
  /** What is looked up at each look. */
  let texts: string[] = []
  let rests: { ms: number; end: () => void }[] = []
  let isStopped = false
  const meaning = {
    among: () => (isCurrent ? [guard] : undefined),
    async ready() {
      // Without an end it would hang here.
      if (isStopped || ++readies > 100) throw new MeshError('cancelled', 'the node stops')
      isCurrent = true
    },
    revision: () => (isCurrent ? revision : undefined)
  }
  const create = (of: typeof meaning | undefined = meaning): ReturnType<typeof createMeantHandlers> => {
    const handlers = createMeantHandlers(
      of,
      () => {
        looks++
        for (const text of texts) handlers.among(text, [guard])
      },
      () => true,
      (ms) => new Promise((resolve) => rests.push({ ms, end: resolve }))
    )
    return handlers
  }
  const saysElse = (): void => {
    isCurrent = false
    revision++
  }

  beforeEach(() => {
    ;[isCurrent, revision, readies, looks, isStopped] = [false, 0, 0, 0, false]
    texts = ['one']
    rests = []
  })

  it('is known as soon as it has been learned, and then at once', async () => {
    const { among } = create()
    assert.equal(among('one', [guard]), undefined)
    await pause()
    assert.deepEqual([looks, among('one', [guard])], [1, [guard]])
  })

  it('is looked at once for all changes within a rest, which is as long as the texts are many', async () => {
    texts = Array.from({ length: 1_000 }, (_, n) => `text ${n}`)
    const handlers = create()
    handlers.among('one', [guard])
    await pause()
    assert.deepEqual([looks, rests.map(({ ms }) => ms)], [1, [1_000 * REST_A_TEXT_MS]])
    for (let n = 0; n < 20; n++) {
      saysElse()
      handlers.changed()
      await pause()
    }
    assert.equal(looks, 1)
    texts = ['one']
    rests[0]!.end()
    await pause()
    assert.deepEqual([looks, rests[1]!.ms], [2, MIN_LOOK_REST_MS])
    handlers.changed()
    await pause()
    assert.equal(looks, 2, 'nothing has changed since')
  })

  it('is looked at at once where the last change is long ago, and where it is known already', async () => {
    const handlers = create()
    handlers.among('one', [guard])
    await pause()
    rests[0]!.end()
    await pause()
    revision++
    handlers.changed()
    await pause()
    assert.equal(looks, 2)
  })

  it('is asked for no more than once a rest, though it is not known when it should be', async () => {
    const never = { ...meaning, among: () => undefined }
    create(never).among('one', [guard])
    await pause()
    assert.deepEqual([readies, looks], [1, 1])
    rests[0]!.end()
    await pause()
    assert.deepEqual([readies, looks], [2, 2])
  })

  it('is nobody any more once the node stops', async () => {
    const { among } = create()
    isStopped = true
    among('one', [guard])
    await pause()
    assert.deepEqual([looks, rests], [0, []])
  })

  it('is nobody where words mean nobody', () => {
    const handlers = createMeantHandlers(
      undefined,
      () => assert.fail(),
      () => true
    )
    assert.deepEqual(handlers.among('one', [guard]), [])
    handlers.changed()
  })
})
