import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { createDirectory } from '../../../src/core/directory.ts'
import { originId } from '../../../src/core/document.ts'
import type { Link } from '../../../src/net/links.ts'
import {
  BUSY_RETRY_MS,
  MAX_BUSY_RETRIES,
  MAX_COMPARISONS,
  REPUSH_DELAY_MS,
  REPUSH_OWN,
  SLOW_COMPARISON_MS,
  createReconciler,
  type Reconciler
} from '../../../src/net/reconciler.ts'
import type { Outcome } from '../../../src/net/sync.ts'

/** A reconciler whose comparisons end when the test says so. */
function setup(peers: number): {
  reconciler: Reconciler
  links: Link[]
  /** Comparisons under way, in the order in which they began. */
  open: { peer: string; end(outcome: Outcome | Error): Promise<void> }[]
  begun: string[]
  /** Whom it told of whom that does not answer. */
  told: [string, string][]
} {
  const links = Array.from(
    { length: peers },
    (_, n) => ({ peer: `p${n}`, session: { open: true }, initiator: true, rttMs: 1 }) as unknown as Link
  )
  const open: ReturnType<typeof setup>['open'] = []
  const begun: string[] = []
  const told: [string, string][] = []
  const reconciler = createReconciler({
    links: {
      start() {},
      stop() {},
      accept() {},
      want() {},
      measure() {},
      doubt() {},
      all: () => links,
      get: (peer) => links.find((link) => link.peer === peer)
    },
    sync: {
      protocol: { id: '/test', handle: () => assert.fail('nobody asks') },
      pull: async () => {},
      doubt: async (session, origin) => void told.push([links.find((link) => link.session === session)!.peer, originId(origin)]),
      reconcile: (_, peer) =>
        new Promise((resolve, reject) => {
          begun.push(peer)
          const one = {
            peer,
            end: async (outcome: Outcome | Error) => {
              open.splice(open.indexOf(one), 1)
              if (outcome instanceof Error) reject(outcome)
              else resolve(outcome)
              await turn()
            }
          }
          open.push(one)
        })
    },
    directory: createDirectory('self', () => undefined),
    now: () => 0,
    random: () => 0.5,
    log: () => {}
  })
  return { reconciler, links, open, begun, told }
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('reconciler', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  afterEach(() => mock.timers.reset())

  it('compares with a few neighbours at a time, in the order in which they came, each once', async () => {
    const { reconciler, links, open, begun } = setup(8)
    reconciler.start()
    // Named again while it waits.
    reconciler.up(links.at(-1)!)
    assert.equal(open.length, MAX_COMPARISONS)
    while (open.length > 0) {
      assert.ok(open.length <= MAX_COMPARISONS)
      await open[0]!.end('equal')
    }
    assert.deepEqual(
      begun,
      links.map(({ peer }) => peer)
    )
    reconciler.stop()
  })

  it('passes what a neighbour knew of others on to all, and its own record to a few', async () => {
    const { reconciler, links, open, begun } = setup(10)
    for (const link of links) Object.assign(link, { initiator: false })
    reconciler.start()
    reconciler.learned('p3', false)
    mock.timers.tick(REPUSH_DELAY_MS)
    while (open.length > 0) await open[0]!.end('equal')
    assert.equal(begun.length, REPUSH_OWN)
    assert.ok(!begun.includes('p3') && new Set(begun).size === REPUSH_OWN)
    begun.length = 0
    reconciler.learned('p3', false)
    reconciler.learned('p4', true)
    mock.timers.tick(REPUSH_DELAY_MS)
    while (open.length > 0) await open[0]!.end('equal')
    assert.deepEqual(
      begun,
      links.map(({ peer }) => peer).filter((peer) => peer !== 'p3' && peer !== 'p4')
    )
    reconciler.stop()
  })

  it('tells all neighbours but the one in question that it does not answer', () => {
    const { reconciler, links, told } = setup(4)
    reconciler.start()
    const gone = originId(Uint8Array.of(0, 2, 1, 1))
    Object.assign(links[2]!, { peer: gone })
    reconciler.doubt(gone)
    assert.deepEqual(told, [
      ['p0', gone],
      ['p1', gone],
      ['p3', gone]
    ])
    reconciler.stop()
  })

  it('lets one that is slow or fails keep no other waiting', async () => {
    const { reconciler, open, begun } = setup(MAX_COMPARISONS + 2)
    reconciler.start()
    assert.equal(begun.length, MAX_COMPARISONS)
    mock.timers.tick(SLOW_COMPARISON_MS)
    await turn()
    assert.equal(begun.length, MAX_COMPARISONS + 2)
    for (const one of [...open]) await one.end(new Error('gone'))
    assert.equal(open.length, 0)
    reconciler.stop()
  })

  it('asks a busy peer again, and leaves it alone when that has no end', async () => {
    const { reconciler, links, open, begun } = setup(1)
    Object.assign(links[0]!, { initiator: false })
    reconciler.start()
    reconciler.learned('p9', true)
    mock.timers.tick(REPUSH_DELAY_MS)
    for (let n = 0; n < MAX_BUSY_RETRIES; n++) {
      await open[0]!.end('busy')
      assert.equal(open.length, 0)
      mock.timers.tick(BUSY_RETRY_MS * 1.5)
      assert.equal(open.length, 1, `asked again after answer ${n + 1}`)
    }
    const asked = begun.length
    await open[0]!.end('busy')
    mock.timers.tick(BUSY_RETRY_MS * 2)
    assert.equal(begun.length, asked)
    reconciler.stop()
  })
})
