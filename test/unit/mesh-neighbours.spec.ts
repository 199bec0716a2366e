import assert from 'node:assert/strict'
import { mock } from 'node:test'
import type { DirectoryEntry, Loss } from '../../src/core/directory.ts'
import type { WantsChange } from '../../src/core/routing/wanted.ts'
import {
  ASK_AFTER_MS,
  LOOK_AFTER_MS,
  QUIET_AFTER_MS,
  WANT_AFTER_MS,
  WANT_LATER_MS,
  WANT_WITHIN_MS,
  NEIGHBOURS_AT_ONCE,
  WIDEN_EVERY_MS,
  createMeshNeighbours,
  type MeshNeighbours
} from '../../src/mesh-neighbours.ts'

const SELF = 'self'

describe('with whom a node speaks of routes', () => {
  let entries: Map<string, DirectoryEntry>
  let up: Set<string>
  /** Asked, in order, and what opening does; resolves at once unless a test holds it. */
  let asked: string[]
  let opening: (peer: string) => Promise<void>
  let routes: Set<string>
  let told: { change: WantsChange; gone: string[] }[]
  let random: () => number
  let neighbours: MeshNeighbours
  let at = 0
  let isSought = true
  /** What neighbours want. */
  let wants: Set<string>
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] })
    entries = new Map()
    ;[up, asked, routes, told, wants] = [new Set(), [], new Set(), [], new Set()]
    random = () => 0
    opening = async (peer) => void up.add(peer)
    neighbours = createMeshNeighbours({
      self: SELF,
      directory: { entries: () => entries.values(), get: (origin) => entries.get(origin) },
      connected: () =>
        [...entries.values()].filter(({ connected, origin }) => connected && origin !== SELF).map(({ origin }) => origin),
      isUp: (peer) => up.has(peer),
      open(peer) {
        asked.push(peer)
        return opening(peer)
      },
      close: (peer) => void up.delete(peer),
      asked: () => ({ all: false, nodes: wants }),
      now: () => at,
      hasRoute: (node) => routes.has(node),
      random: () => random(),
      onWants: (change, gone) => told.push({ change, gone })
    })
    know(SELF, true)
  })
  afterEach(() => {
    neighbours.stop()
    mock.timers.reset()
  })

  function know(origin: string, connected: boolean, change: Partial<DirectoryEntry> = {}): void {
    entries.set(origin, { origin, connected, document: {}, lost: undefined, heardAt: 0, ...change } as DirectoryEntry)
    // As one whose session has ended, or which was dialled in vain: but for the case about those that were never connected.
    if (!connected && isSought) neighbours.seek(origin)
    neighbours.changed()
  }
  const peers = (count: number): void => {
    for (let n = 0; n < count; n++) know(`peer ${n}`, true)
  }
  async function pass(ms: number): Promise<void> {
    at += ms
    mock.timers.tick(ms)
    await new Promise((resolve) => setImmediate(resolve))
  }

  it('is nobody as long as all that are known are connected', async () => {
    peers(20)
    know('gone', false, { document: undefined })
    for (let n = 0; n < 10; n++) await pass(WIDEN_EVERY_MS)
    assert.deepEqual([asked, told, neighbours.wants()], [[], [], { add: [], drop: [] }])
  })

  it('is nobody where a node is connected within a moment', async () => {
    peers(3)
    know('far', false)
    await pass(ASK_AFTER_MS - 1)
    know('far', true)
    await pass(1)
    for (let n = 0; n < 3; n++) await pass(WIDEN_EVERY_MS)
    assert.deepEqual([asked, told], [[], []])
  })

  it('is some neighbours once a node is known that is none, and they are told which', async () => {
    peers(3)
    know('far', false)
    await pass(ASK_AFTER_MS)
    assert.deepEqual(asked, ['peer 0', 'peer 1', 'peer 2'])
    assert.deepEqual(told, [{ change: { add: ['far'], drop: [] }, gone: [] }])
    assert.deepEqual(
      [neighbours.wants(), neighbours.isWanted('far'), neighbours.isWanted('peer 0')],
      [{ add: ['far'], drop: [] }, true, false]
    )
    // Those who speak of routes already hear of others at once, and of what is not wanted any more.
    know('farther', false)
    know('far', true)
    await pass(LOOK_AFTER_MS)
    assert.deepEqual(told[1], { change: { add: ['farther'], drop: ['far'] }, gone: ['far'] })
    assert.deepEqual(asked.slice(3), ['far'])
  })

  it('is nobody for a node that is connected soon after it is known, and somebody if it is not', async () => {
    isSought = false
    peers(3)
    know('far', false)
    await pass(WANT_AFTER_MS)
    know('far', true)
    await pass(2 * WANT_AFTER_MS)
    assert.deepEqual([asked, told], [[], []])
    know('farther', false)
    await pass(ASK_AFTER_MS)
    await pass(WANT_AFTER_MS + 4 * WANT_LATER_MS)
    assert.deepEqual(told, [{ change: { add: ['farther'], drop: [] }, gone: [] }])
    assert.equal(asked.length, 4)
    isSought = true
  })

  it('is nobody any more a while after nothing is wanted', async () => {
    peers(3)
    know('far', false)
    await pass(ASK_AFTER_MS)
    assert.equal(up.size, 3)
    know('far', true)
    await pass(LOOK_AFTER_MS)
    await pass(QUIET_AFTER_MS - 1)
    // A neighbour wants something, or this node does so again.
    wants.add('x')
    await pass(1)
    assert.equal(up.size, 3)
    wants.clear()
    know('far', false)
    await pass(QUIET_AFTER_MS)
    assert.equal(up.size, 3)
    know('far', true)
    await pass(LOOK_AFTER_MS)
    await pass(QUIET_AFTER_MS)
    assert.equal(up.size, 0)
  })

  it(`is ${NEIGHBOURS_AT_ONCE} at most at first, drawn by chance`, async () => {
    peers(30)
    know('far', false)
    routes.add('far')
    random = () => 0.999
    await pass(ASK_AFTER_MS)
    assert.deepEqual(
      asked,
      Array.from({ length: NEIGHBOURS_AT_ONCE }, (_, n) => `peer ${29 - n}`)
    )
    for (let n = 0; n < 5; n++) await pass(WIDEN_EVERY_MS)
    assert.equal(asked.length, NEIGHBOURS_AT_ONCE, 'there is a way to it')
    neighbours.changed()
    await pass(ASK_AFTER_MS)
    assert.equal(asked.length, NEIGHBOURS_AT_ONCE, 'those that speak already count')
  })

  it('is more each second while a node that nobody has lost has no route', async () => {
    peers(30)
    know('far', false)
    await pass(ASK_AFTER_MS)
    for (const count of [2, 4, 8, 8].map((times) => Math.min(30, times * NEIGHBOURS_AT_ONCE))) {
      await pass(WIDEN_EVERY_MS - 1)
      assert.ok(asked.length < count || count === 30)
      await pass(1)
      assert.equal(asked.length, count)
    }
    assert.equal(new Set(asked).size, 30)
  })

  for (const [what, end] of [
    ['it has a route', () => routes.add('far')],
    ['its neighbours have lost it', () => (entries.get('far')!.lost = {} as Loss)],
    ['it is not known any more', () => entries.delete('far')]
  ] as const) {
    it(`is no more once ${what}`, async () => {
      peers(30)
      know('far', false)
      await pass(ASK_AFTER_MS)
      await pass(WIDEN_EVERY_MS)
      assert.equal(asked.length, 2 * NEIGHBOURS_AT_ONCE)
      end()
      for (let n = 0; n < 5; n++) await pass(WIDEN_EVERY_MS)
      assert.equal(asked.length, 2 * NEIGHBOURS_AT_ONCE)
    })
  }

  it('is few again for the next node, once nothing was wanted for a while', async () => {
    peers(60)
    know('far', false)
    await pass(ASK_AFTER_MS)
    for (let n = 0; n < 3; n++) await pass(WIDEN_EVERY_MS)
    assert.equal(asked.length, 8 * NEIGHBOURS_AT_ONCE)
    know('far', true)
    await pass(LOOK_AFTER_MS)
    up.clear()
    know('other', false)
    asked.length = 0
    routes.add('other')
    await pass(ASK_AFTER_MS)
    assert.equal(asked.length, NEIGHBOURS_AT_ONCE)
  })

  it('is others in place of those that do not speak of routes, and one is asked once at a time', async () => {
    let answer!: () => void
    const held = new Promise<void>((resolve) => (answer = resolve))
    opening = () => held
    peers(12)
    know('far', false)
    await pass(ASK_AFTER_MS)
    assert.equal(asked.length, NEIGHBOURS_AT_ONCE)
    neighbours.changed()
    await pass(ASK_AFTER_MS)
    assert.equal(asked.length, NEIGHBOURS_AT_ONCE, 'they are being asked')
    answer()
    await pass(LOOK_AFTER_MS)
    random = () => 0.999
    neighbours.changed()
    await pass(ASK_AFTER_MS)
    assert.ok(asked.includes('peer 11'), 'none of them came to anything')
  })

  it('is a neighbour to which others want a way, as soon as it is one', async () => {
    neighbours.askedFor('nobody')
    peers(1)
    neighbours.askedFor('peer 0')
    assert.deepEqual(asked, ['peer 0'])
    know('later', false)
    routes.add('later')
    neighbours.askedFor('later')
    wants.add('later')
    assert.deepEqual(asked, ['peer 0'])
    know('later', true)
    await pass(ASK_AFTER_MS)
    assert.deepEqual(asked, ['peer 0', 'later'])
    // Once nobody wants it any more, it is one like all others: what was closed stays so.
    wants.clear()
    up.delete('later')
    neighbours.changed()
    await pass(ASK_AFTER_MS)
    assert.deepEqual(asked, ['peer 0', 'later'])
  })

  it('waits the longer for nodes to be connected the more there are: each of them has as many to connect with', async () => {
    isSought = false
    peers(30)
    know('far', false)
    await pass(ASK_AFTER_MS)
    await pass(WANT_AFTER_MS + 30 * WANT_LATER_MS - ASK_AFTER_MS)
    assert.deepEqual(told, [])
    await pass(ASK_AFTER_MS)
    assert.deepEqual(told, [{ change: { add: ['far'], drop: [] }, gone: [] }])
    isSought = true
  })

  it('waits so long and no longer, however many there are', async () => {
    isSought = false
    peers(300)
    know('far', false)
    await pass(ASK_AFTER_MS)
    await pass(WANT_WITHIN_MS)
    assert.deepEqual(told, [{ change: { add: ['far'], drop: [] }, gone: [] }])
    isSought = true
  })

  it('is nobody any more once the node stops', async () => {
    peers(30)
    know('far', false)
    await pass(ASK_AFTER_MS)
    neighbours.changed()
    neighbours.stop()
    await pass(10 * WIDEN_EVERY_MS)
    assert.equal(asked.length, NEIGHBOURS_AT_ONCE)
  })
})
