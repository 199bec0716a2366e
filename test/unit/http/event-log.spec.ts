import assert from 'node:assert/strict'
import { MAX_KEPT_CHARACTERS, MAX_KEPT_EVENTS, createEventLog, type Logged } from '../../../src/http/event-log.ts'
import type { MeshEvent } from '../../../src/mesh-api.ts'
import { createFakeMesh } from '../../fixtures/fake-mesh.ts'

const happens = (at: number): MeshEvent => ({ at, event: 'peer:join', peerId: 'p', name: `n${at}` })
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('http event log', () => {
  const mesh = createFakeMesh()
  const read = (options: { after?: string; resumable?: boolean } = {}) => {
    const abort = new AbortController()
    const events = createdLog.read(abort.signal, { resumable: false, ...options })
    return { events, abort, next: async () => (await events.next()).value as Logged }
  }
  let createdLog = createEventLog(mesh)
  beforeEach(() => (createdLog = createEventLog(mesh)))
  const ended: AbortController[] = []
  afterEach(() => ended.splice(0).forEach((one) => one.abort()))
  const reader = (options: { after?: string; resumable?: boolean } = {}) => {
    const made = read(options)
    ended.push(made.abort)
    return made
  }

  it('each reader gets all, at its own pace, and one watch of the node serves them all', async () => {
    const [one, two] = [reader(), reader()]
    await turn()
    assert.equal(mesh.readers(), 1)
    mesh.raise(happens(1))
    mesh.raise(happens(2))
    assert.equal(((await one.next()).event as { at: number }).at, 1)
    assert.equal(((await one.next()).event as { at: number }).at, 2)
    assert.equal(((await two.next()).event as { at: number }).at, 1)
    one.abort.abort()
    assert.equal((await one.events.next()).done, true)
    assert.equal(mesh.readers(), 1)
    two.abort.abort()
    await turn()
    assert.equal(mesh.readers(), 0)
  })

  it('who is too far behind loses the oldest, and is told how many; others lose none', async () => {
    const [slow, fast] = [reader(), reader()]
    await turn()
    let last = 0
    for (let n = 1; n <= MAX_KEPT_EVENTS + 7; n++) {
      mesh.raise(happens(n))
      last = ((await fast.next()).event as { at: number }).at
    }
    assert.equal(last, MAX_KEPT_EVENTS + 7)
    assert.deepEqual((await slow.next()).event, { event: 'lagged', dropped: 7 })
    assert.equal(((await slow.next()).event as { at: number }).at, 8)
  })

  it('what is kept is bounded by its length as well, and the last is kept whatever its length', async () => {
    const slow = reader()
    await turn()
    const payload = 'x'.repeat(MAX_KEPT_CHARACTERS / 2)
    for (let at = 1; at <= 5; at++) mesh.raise({ at, event: 'trigger', node: 'n', capability: 'c', trigger: 't', payload })
    await turn()
    assert.deepEqual((await slow.next()).event, { event: 'lagged', dropped: 4 })
    assert.equal(((await slow.next()).event as { at: number }).at, 5)
    mesh.raise({ at: 6, event: 'trigger', node: 'n', capability: 'c', trigger: 't', payload: [payload, payload, payload] })
    assert.equal(((await slow.next()).event as { at: number }).at, 6)
  })

  it('who comes back goes on after the last one that it read, or is told that nobody knows how many it missed', async () => {
    const one = reader({ resumable: true })
    await turn()
    mesh.raise(happens(1))
    const { id } = await one.next()
    one.abort.abort()
    mesh.raise(happens(2))
    await turn()
    const back = reader({ after: id, resumable: true })
    assert.equal(((await back.next()).event as { at: number }).at, 2)
    for (const after of ['other-1', 'x', `${id.split('-')[0]}-99`, ''])
      assert.deepEqual((await reader({ after }).next()).event, { event: 'lagged', dropped: null }, after)
  })

  it('ends when the node does, and after what had happened was read', async () => {
    const closing = new AbortController()
    createdLog = createEventLog(mesh, closing.signal)
    const one = reader()
    await turn()
    mesh.raise(happens(1))
    await turn()
    closing.abort()
    assert.equal(((await one.next()).event as { at: number }).at, 1)
    assert.equal((await one.events.next()).done, true)
    await turn()
    assert.equal(mesh.readers(), 0)
  })
})
