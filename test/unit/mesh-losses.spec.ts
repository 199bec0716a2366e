import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { LATE_NEWS_MS, REROUTE_MS, SEEK_MS, createMeshLosses, type MeshLosses } from '../../src/mesh-losses.ts'

describe('when a node counts as lost', () => {
  let time: number
  let lost: [node: string, at: number][]
  let losses: MeshLosses
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] })
    ;[time, lost] = [0, []]
    losses = createMeshLosses({ now: () => time, onLost: (node) => lost.push([node, time]) })
  })
  afterEach(() => {
    losses.stop()
    mock.timers.reset()
  })
  function pass(ms: number): void {
    for (let n = 0; n < ms; n++) {
      time++
      mock.timers.tick(1)
    }
  }

  it('is looked for when its session ends, and when its last route goes; not if it comes back, or another way does', () => {
    losses.parted('a')
    losses.routeless('b')
    losses.parted('joins')
    losses.routeless('has a way')
    pass(100)
    losses.joined('joins')
    losses.keep('has a way')
    pass(10_000)
    assert.deepEqual(lost, [
      ['a', SEEK_MS],
      ['b', REROUTE_MS]
    ])
  })

  it('is looked for no longer than those that hear it last need, if it died a moment ago', () => {
    losses.parted('a')
    pass(10)
    // A way over somebody who did not know yet.
    losses.keep('a')
    pass(90)
    losses.routeless('a')
    losses.routeless('a')
    pass(10_000)
    assert.deepEqual(lost, [['a', 100 + LATE_NEWS_MS]])
    // Later the next one is a route like all others.
    const at = time
    losses.routeless('a')
    pass(10_000)
    assert.deepEqual(lost[1], ['a', at + REROUTE_MS])
  })

  it('is not lost once the node itself has stopped', () => {
    losses.parted('a')
    losses.stop()
    pass(10_000)
    assert.deepEqual(lost, [])
  })
})
