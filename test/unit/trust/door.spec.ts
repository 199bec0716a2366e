import assert from 'node:assert/strict'
import { MAX_ASKS, createDoor } from '../../../src/trust/door.ts'
import { INVITE_MS } from '../../../src/trust/invites.ts'

const MEMBER = { role: 'member', forward: true } as const

describe('the door of a node', () => {
  let time = 0
  const now = (): number => time
  beforeEach(() => (time = 0))

  it('is shut, opens for its time, and may be shut before', () => {
    const door = createDoor(now)
    assert.equal(door.grant, undefined)
    door.open(MEMBER)
    time = INVITE_MS - 1
    assert.deepEqual(door.grant, MEMBER)
    time = INVITE_MS
    assert.equal(door.grant, undefined)
    door.open(MEMBER)
    door.close()
    assert.equal(door.grant, undefined)
  })

  it('tells who waits when it is shut or opened anew, not when its time is over', () => {
    const door = createDoor(now)
    door.open(MEMBER)
    const first = door.closed
    time = INVITE_MS
    assert.equal(door.grant, undefined)
    assert.equal(first.aborted, false)
    door.open({ role: 'guest', forward: false })
    assert.equal(first.aborted, true)
    assert.equal(door.closed.aborted, false)
    door.close()
    assert.equal(door.closed.aborted, true)
  })

  it('is shut when somebody asks again and again', () => {
    const door = createDoor(now)
    door.open(MEMBER)
    for (let n = 0; n < MAX_ASKS; n++) assert.ok(door.ask())
    assert.deepEqual(door.grant, MEMBER)
    assert.ok(!door.ask())
    assert.deepEqual([door.grant, door.closed.aborted], [undefined, true])
    door.open(MEMBER)
    assert.ok(door.ask())
  })

  it('does not ask again about whom nobody wanted, until it is opened anew', () => {
    const door = createDoor(now)
    door.open(MEMBER)
    door.ignore('a')
    assert.deepEqual([door.isIgnored('a'), door.isIgnored('b')], [true, false])
    for (let n = 0; n < 2_000; n++) door.ignore(`x${n}`)
    assert.equal(door.isIgnored('x1999'), false)
    door.open(MEMBER)
    assert.equal(door.isIgnored('a'), false)
  })
})
