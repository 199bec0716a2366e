import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../../protocols/capability.ts'
import { decodeCopy, type EventCopy } from '../../../protocols/trigger/messages.ts'
import { Cancellation } from '../../../src/core/cancellation.ts'
import { MeshError } from '../../../src/errors.ts'
import { COPY_ROOM, MAX_OBSERVERS, OBSERVE_RATE, createEventCopies, type EventCopies } from '../../../src/net/event-copies.ts'

const CAM: CapabilityDeclaration = { id: 'cam', type: 'sensor/camera', triggers: [{ event: 'person' }] }
const copyOf = (bytes: number, size = 1): EventCopy => ({ type: CAM.type, event: new Uint8Array(size).fill(bytes), lost: 0 })

describe('copies for observers', () => {
  let copies: EventCopies
  let dropped: number
  let denied: string[]
  let foreign: boolean
  beforeEach(() => {
    ;[dropped, denied, foreign] = [0, [], false]
    copies = createEventCopies({
      observerOf() {
        if (foreign) throw new MeshError('permission_denied', 'of another mesh')
        return ({ id }) => !denied.includes(id)
      },
      own: () => [CAM, { ...CAM, id: 'lamp', type: 'light' }],
      onDropped: () => dropped++,
      now: () => 0
    })
  })

  const observe = (peer: string, ...patterns: string[]) => {
    const cancellation = new Cancellation()
    const output = copies.observe(patterns, peer, cancellation)
    const next = async (): Promise<EventCopy | string[] | 'over'> => {
      const step = await output.next()
      if (step.done === true) return 'over'
      const item = decodeCopy(step.value)
      return 'refused' in item ? item.refused : item
    }
    return { next, cancel: () => cancellation.abort(new MeshError('cancelled', 'gone')), output, cancellation }
  }
  const refusedWith = (code: string) => (error: MeshError) => error.code === code

  it('go to who asked for them, from the first item on, if it may', async () => {
    denied = ['lamp']
    copies.raised(CAM, 'person', copyOf(1))
    const one = observe('a', '**')
    assert.deepEqual(await one.next(), ['lamp'])
    copies.raised({ ...CAM, id: 'lamp' }, 'person', copyOf(2))
    copies.raised(CAM, 'person', copyOf(3))
    assert.deepEqual(await one.next(), { ...copyOf(3), causes: undefined })
    const waiting = one.next()
    copies.raised(CAM, 'person', copyOf(4))
    assert.equal((await waiting) !== 'over', true)
    denied = ['cam']
    copies.raised(CAM, 'person', copyOf(5))
    const last = one.next()
    one.cancel()
    assert.deepEqual([await last, copies.size], ['over', 0])
  })

  it('the oldest go where there is no room, and the next one says how many', async () => {
    const one = observe('a', 'sensor/*:person')
    await one.next()
    for (let n = 0; n < COPY_ROOM.copies + 10; n++) copies.raised(CAM, 'person', copyOf(n))
    copies.raised(CAM, 'other', copyOf(0))
    assert.equal(dropped, 10)
    const [first, second] = [await one.next(), await one.next()] as [EventCopy, EventCopy]
    assert.deepEqual([first.lost, first.event[0], second.lost, second.event[0]], [10, 10, 0, 11])
    for (let n = 0; n < 20; n++) copies.raised(CAM, 'person', copyOf(n, 64 * 1024))
    const large = (await one.next()) as EventCopy
    assert.equal(large.lost, dropped - 10)
    assert.equal(large.event.length, 64 * 1024)
  })

  it('another exchange takes the place of the one before, and what waits there', async () => {
    const one = observe('a', '**')
    await one.next()
    copies.raised(CAM, 'person', copyOf(1))
    const other = observe('a', 'sensor/*')
    assert.deepEqual(await other.next(), [])
    assert.equal(await one.next(), 'over')
    assert.deepEqual(((await other.next()) as EventCopy).event, copyOf(1).event)
    assert.equal(copies.size, 1)
    await other.output.return(null)
    assert.equal(copies.size, 0)
  })

  it('what waits for a node goes when that has fewer rights, and its exchanges end: it asks anew', async () => {
    const [replaced, other] = [observe('a', '**'), observe('b', '**')]
    for (const one of [replaced, other]) await one.next()
    const one = observe('a', '**')
    await one.next()
    for (const n of [1, 2]) copies.raised(CAM, 'person', copyOf(n))
    denied = ['cam']
    copies.less('a')
    copies.less('c')
    // Also of the first one, which may have a copy that waits for credit.
    for (const { cancellation } of [one, replaced]) assert.equal(cancellation.reason?.code, 'cancelled')
    assert.deepEqual([other.cancellation.reason, copies.size, await one.next()], [undefined, 1, 'over'])
    assert.deepEqual(((await other.next()) as EventCopy).event, copyOf(1).event)
    const again = observe('a', '**')
    assert.deepEqual(await again.next(), ['cam'])
    denied = []
    copies.raised(CAM, 'person', copyOf(3))
    assert.deepEqual(((await again.next()) as EventCopy).event, copyOf(3).event)
  })

  it('not to nodes of other meshes, not to too many, and not to who asks too often', async () => {
    foreign = true
    await assert.rejects(observe('x', '**').next(), refusedWith('permission_denied'))
    foreign = false
    for (let n = 0; n < MAX_OBSERVERS; n++) await observe(`n${n}`, '**').next()
    await assert.rejects(observe('x', '**').next(), refusedWith('busy'))
    for (let n = 1; n < OBSERVE_RATE.burst; n++) await observe('n0', '**').next()
    await assert.rejects(observe('n0', '**').next(), refusedWith('busy'))
    const waiting = observe('n1', '**')
    await waiting.next()
    const last = waiting.next()
    copies.stop()
    assert.equal(await last, 'over')
    await assert.rejects(observe('n2', '**').next(), refusedWith('unavailable'))
  })
})
