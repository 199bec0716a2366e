import assert from 'node:assert/strict'
import { MeshError } from '../../../src/errors.ts'
import { createOutboxKeeping, type OutboxKeeping } from '../../../src/triggers/outbox-keeping.ts'
import type { RaisedEvent } from '../../../src/triggers/raise.ts'
import { raisedEvent } from '../../fixtures/raised-event.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('what waits to be on disk before it is sent', () => {
  let sent: string[]
  let logged: string[]
  let failures: number
  /** Of each record in turn: it is kept, or is not. */
  let notes: { resolve: () => void; reject: (error: Error) => void }[]
  let payload: Promise<void> | undefined
  let keeping: OutboxKeeping
  const create = (hasDisk = true): void => {
    keeping = createOutboxKeeping({
      stored: hasDisk
        ? {
            note: ({ kind }) =>
              kind === 'send' ? undefined : new Promise<void>((resolve, reject) => notes.push({ resolve, reject }))
          }
        : undefined,
      written: () => payload,
      send: ({ id }, handler) => sent.push(`${id} to ${handler}`),
      onFailed: () => failures++,
      log: (_, message) => logged.push(message)
    })
  }
  beforeEach(() => {
    ;[sent, logged, failures, notes, payload] = [[], [], 0, [], undefined]
    create()
  })
  const append = (event: RaisedEvent): RaisedEvent => {
    keeping.keep({ kind: 'append', event })
    return event
  }
  const full = (): MeshError => new MeshError('unavailable', 'cannot write (ENOSPC)', { reason: 'not_kept' })

  it('is what has a key: what has none is sent at once', async () => {
    keeping.send(append(raisedEvent(1)), 'a')
    keeping.send(append(raisedEvent(2, { key: 'cam 2', of: 'cam  window' })), 'a')
    assert.deepEqual(sent, ['1-1 to a'])
    notes[1]!.resolve()
    await turn()
    assert.deepEqual(sent, ['1-1 to a', '1-2 to a'])
    keeping.send(raisedEvent(2, { key: 'cam 2' }), 'b')
    assert.deepEqual(sent.at(-1), '1-2 to b', 'once it is there it is sent at once')
  })

  it('is what is about the same subject, to stay behind it', async () => {
    keeping.send(append(raisedEvent(1, { key: 'cam 1' })), 'a')
    keeping.send(append(raisedEvent(2)), 'a')
    keeping.send(append(raisedEvent(3, { of: 'cam  window' })), 'a')
    assert.deepEqual(sent, ['1-3 to a'])
    notes[0]!.resolve()
    notes[1]!.resolve()
    await turn()
    assert.deepEqual(sent, ['1-3 to a', '1-1 to a', '1-2 to a'])
    keeping.send(append(raisedEvent(4)), 'a')
    assert.deepEqual(sent.at(-1), '1-4 to a', 'nobody waits any more')
  })

  it('is sent all the same where it cannot be kept, and that is told once until it goes well again', async () => {
    keeping.send(append(raisedEvent(1, { key: 'cam 1' })), 'a')
    append(raisedEvent(2))
    const kept = ['1-1', '1-2'].map(async (id) => {
      return keeping.isKept(id)
    })
    for (const { reject } of notes) reject(full())
    assert.deepEqual(await Promise.all(kept), [false, false])
    assert.deepEqual([sent, logged, failures], [['1-1 to a'], ['cannot write (ENOSPC)'], 2])
    append(raisedEvent(3))
    notes[2]!.resolve()
    assert.equal(await keeping.isKept('1-3'), true)
    append(raisedEvent(4))
    notes[3]!.reject(full())
    assert.equal(await keeping.isKept('1-4'), false)
    assert.deepEqual([logged.length, failures], [2, 3])
  })

  it('is kept when its payload is, too', async () => {
    let reject: ((error: Error) => void) | undefined
    payload = new Promise((_, refuse) => (reject = refuse))
    append(raisedEvent(1))
    const kept = keeping.isKept('1-1')
    notes[0]!.resolve()
    await turn()
    reject!(full())
    assert.equal(await kept, false)
    assert.equal(keeping.isKept('1-1'), undefined, 'nothing of it is remembered')
  })

  it('is nothing without a disk', () => {
    create(false)
    keeping.send(append(raisedEvent(1, { key: 'cam 1' })), 'a')
    assert.deepEqual([sent, keeping.isKept('1-1')], [['1-1 to a'], undefined])
  })
})
