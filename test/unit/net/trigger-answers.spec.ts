import assert from 'node:assert/strict'
import {
  MAX_ANSWERS,
  MAX_HANDLING,
  MAX_UNACCEPTED,
  MAX_UNACCEPTED_BYTES,
  decodeAnswers
} from '../../../protocols/trigger/messages.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import { createTriggerAnswers, type TriggerAnswers } from '../../../src/net/trigger-answers.ts'

const AGAIN = { code: 'busy', message: '', retryable: true, retryAfterMs: 0 }

describe('answers to deliveries', () => {
  let answers: TriggerAnswers
  let items: AsyncGenerator<unknown, void, void>
  beforeEach(() => {
    answers = createTriggerAnswers()
    items = answers.items()
  })
  const opened = (count: number): void => {
    for (let n = 0; n < count; n++) answers.open(n, 1)
  }
  const next = async (): Promise<unknown> => {
    const step = await items.next()
    if (step.done === true) return 'end'
    const { accepted, done, failed } = decodeAnswers(step.value)
    return [accepted, done, failed.map(({ number }) => number)]
  }
  const refused = (work: () => void): void => assert.throws(work, (error) => isMeshError(error, 'protocol_error'))

  it('pile up no further than there may be deliveries without one: then no more are read until some have gone', async () => {
    opened(MAX_UNACCEPTED)
    for (let n = 0; n < MAX_UNACCEPTED - 1; n++) answers.answer(n, AGAIN)
    assert.equal(answers.room(), undefined)
    answers.answer(MAX_UNACCEPTED - 1, AGAIN)
    let hasRoom = false
    void answers.room()!.then(() => (hasRoom = true))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(hasRoom, false)
    await next()
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(hasRoom, true)
    answers.fail(new MeshError('cancelled', 'over'))
    assert.equal(answers.room(), undefined, 'whoever reads on hears why not')
  })

  it('go many in an item, each once, and the end comes when all are answered', async () => {
    opened(4)
    answers.answer(0, 'accepted')
    answers.answer(0, 'accepted')
    answers.answer(1, 'done')
    answers.answer(2, AGAIN)
    assert.deepEqual(await next(), [[0], [1], [2]])
    answers.answer(1, 'done')
    answers.answer(2, 'accepted')
    answers.answer(9, 'done')
    answers.answer(0, 'done')
    assert.deepEqual(await next(), [[], [0], []])
    const end = next()
    answers.end()
    answers.answer(3, 'done')
    assert.deepEqual(await end, [[], [3], []])
    assert.equal(await next(), 'end')
  })

  it(`at most ${MAX_ANSWERS} of a kind in an item`, async () => {
    opened(MAX_ANSWERS + 1)
    for (let n = 0; n <= MAX_ANSWERS; n++) answers.answer(n, 'done')
    answers.end()
    const sizes = [(await next()) as number[][], (await next()) as number[][]].map(([, done]) => done!.length)
    assert.deepEqual(sizes, [MAX_ANSWERS, 1])
    assert.equal(await next(), 'end')
  })

  it('refuse wrong numbers, and more than may be open; what is accepted or failed makes room', () => {
    refused(() => answers.open(1, 1))
    answers = createTriggerAnswers()
    opened(MAX_UNACCEPTED)
    answers.answer(0, 'accepted')
    answers.answer(1, AGAIN)
    answers.open(MAX_UNACCEPTED, 1)
    answers.open(MAX_UNACCEPTED + 1, 1)
    refused(() => answers.open(MAX_UNACCEPTED + 2, 1))
    answers = createTriggerAnswers()
    answers.open(0, MAX_UNACCEPTED_BYTES)
    refused(() => answers.open(1, 1))
  })

  it('refuse more than may be without one for good, however soon each is accepted', () => {
    const most = MAX_UNACCEPTED + MAX_HANDLING
    for (let n = 0; n < most; n++) {
      answers.open(n, MAX_UNACCEPTED_BYTES)
      answers.answer(n, 'accepted')
    }
    answers.answer(7, 'done')
    answers.open(most, 1)
    refused(() => answers.open(most + 1, 1))
  })

  it('end with what they fail with, after the answers that there were; then nothing opens', async () => {
    opened(2)
    answers.answer(0, 'done')
    answers.fail(new MeshError('cancelled', 'over'))
    answers.fail(new MeshError('busy', 'later'))
    answers.answer(1, 'done')
    assert.deepEqual(await next(), [[], [0], []])
    await assert.rejects(next(), (error) => isMeshError(error, 'cancelled'))
    assert.throws(
      () => answers.open(2, 1),
      (error) => isMeshError(error, 'cancelled')
    )
  })

  it('are waited for until there is one for good, or the exchange is over', () => {
    opened(3)
    answers.answer(0, 'accepted')
    answers.answer(1, 'done')
    const open = (): boolean[] => [0, 1, 2, 3].map((number) => answers.isOpen(number))
    assert.deepEqual(open(), [true, false, true, false])
    answers.fail(new MeshError('cancelled', 'over'))
    assert.deepEqual(open(), [false, false, false, false])
  })

  it('wake who waits for them when they fail', async () => {
    const waiting = next()
    answers.fail(new MeshError('unavailable', 'gone'))
    await assert.rejects(waiting, (error) => isMeshError(error, 'unavailable'))
  })
})
