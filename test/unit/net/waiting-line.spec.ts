import assert from 'node:assert/strict'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import { createWaitingLine } from '../../../src/net/waiting-line.ts'

const never = (): AbortSignal => new AbortController().signal

describe('waiting line', () => {
  it('runs work in the order of arrival, as many as there are places', async () => {
    let places = 0
    const line = createWaitingLine(10, () => places > 0)
    const ran: number[] = []
    const work = (n: number) => (): number => {
      places--
      ran.push(n)
      return n
    }
    const results = [1, 2, 3, 4].map((n) => line.enter(never(), work(n)))
    assert.deepEqual(ran, [])
    places = 2
    assert.equal(line.isFree, false)
    line.next()
    assert.deepEqual(ran, [1, 2])
    places = 5
    line.next()
    assert.deepEqual(await Promise.all(results), [1, 2, 3, 4])
    assert.equal(line.isFree, true)
  })

  it('passes on what the work throws, and goes on with the next', async () => {
    let open = false
    const line = createWaitingLine(10, () => open)
    const bad = line.enter(never(), () => {
      throw new MeshError('too_large', 'no')
    })
    const good = line.enter(never(), () => 'good')
    open = true
    line.next()
    await assert.rejects(bad, (error) => isMeshError(error, 'too_large'))
    assert.equal(await good, 'good')
  })

  it('lets go of who aborts, before and while it waits', async () => {
    let open = false
    const line = createWaitingLine(10, () => open)
    const controller = new AbortController()
    let ran = 0
    const waits = line.enter(controller.signal, () => ran++)
    const next = line.enter(never(), () => 'next')
    controller.abort(new MeshError('deadline_exceeded', 'late'))
    await assert.rejects(waits, (error) => isMeshError(error, 'deadline_exceeded'))
    await assert.rejects(
      line.enter(controller.signal, () => ran++),
      (error) => isMeshError(error, 'deadline_exceeded')
    )
    open = true
    line.next()
    assert.equal(await next, 'next')
    assert.equal(ran, 0)
  })

  it('is bounded, and ends for all at once', async () => {
    const line = createWaitingLine(2, () => false)
    const waiting = [1, 2].map((n) => line.enter(never(), () => n))
    await assert.rejects(
      line.enter(never(), () => 3),
      (error) => isMeshError(error, 'busy')
    )
    line.failAll(new MeshError('unavailable', 'over'))
    for (const place of waiting) await assert.rejects(place, (error) => isMeshError(error, 'unavailable'))
  })
})
