import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { MeshError } from '../../../src/errors.ts'
import {
  DOUBT_AFTER_MISSES,
  LINK_SHARE_MS,
  LOOK_EVERY_MS,
  MAX_MISSED_PONGS,
  MAX_SAMPLES,
  MEASURE_GAP_MS,
  PING_INTERVAL_MS,
  PONG_TIMEOUT_MS,
  SPREAD,
  createLinkWatch,
  type LinkWatch,
  type WatchedSession
} from '../../../src/net/link-watch.ts'

let time = 0
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Lets time pass in steps shorter than anything that is waited for. */
async function pass(ms: number, stepMs = 50): Promise<void> {
  for (const end = time + ms; time < end;) {
    const step = Math.min(stepMs, end - time)
    time += step
    mock.timers.tick(step)
    await turn()
  }
}

/** The same numbers at each run. */
function chance(seed: number): () => number {
  let state = seed
  return () => (state = (state * 48_271) % 0x7fff_ffff) / 0x7fff_ffff
}

/** A peer that answers after `rttMs`, or not at all. */
interface Peer extends WatchedSession {
  lastHeardAt: number
  pings: number[]
  rttMs: number | undefined
  close(): void
}

function peer(rttMs: number | undefined): Peer {
  let close!: () => void
  const closed = new Promise<never>((_, reject) => (close = () => reject(new MeshError('unavailable', 'over'))))
  closed.catch(() => undefined)
  const session: Peer = {
    lastHeardAt: time,
    pings: [],
    rttMs,
    close,
    ping() {
      session.pings.push(time)
      const pong = new Promise<number>((resolve) => {
        const { rttMs } = session
        if (rttMs === undefined) return
        setTimeout(() => {
          session.lastHeardAt = time
          resolve(rttMs)
        }, rttMs)
      })
      return Promise.race([pong, closed])
    }
  }
  return session
}

function setup(random = (): number => 0.5): { watch: LinkWatch; rtts: [string, number][]; doubts: string[]; silent: string[] } {
  const [rtts, doubts, silent]: [[string, number][], string[], string[]] = [[], [], []]
  const watch = createLinkWatch({
    now: () => time,
    random,
    onRtt: (name, ms) => rtts.push([name, ms]),
    onDoubt: (name) => doubts.push(name),
    onSilent: (name, missed) => silent.push(`${name} ${missed}`)
  })
  return { watch, rtts, doubts, silent }
}

describe('watching links', () => {
  beforeEach(() => {
    time = 1_000
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  })
  afterEach(() => mock.timers.reset())

  it('measures a link at once, and whenever its peer has been silent for six seconds', async () => {
    const { watch, rtts } = setup()
    const one = peer(10)
    watch.add('a', one)
    await pass(30_000)
    assert.equal(one.pings[0], 1_000)
    assert.ok(one.pings.length >= 5 && one.pings.length <= 6, `${one.pings.length} pings`)
    assert.deepEqual(
      rtts,
      one.pings.map(() => ['a', 10])
    )
    const before = one.pings.length
    for (let n = 0; n < 20; n++) {
      one.lastHeardAt = time
      await pass(PING_INTERVAL_MS / 2)
    }
    assert.equal(one.pings.length, before, 'anything that is heard is a sign of life')
    watch.stop()
  })

  it('doubts a peer after two pings without an answer, and gives it up after three', async () => {
    const { watch, doubts, silent } = setup()
    const one = peer(undefined)
    watch.add('a', one)
    await pass(DOUBT_AFTER_MISSES * PONG_TIMEOUT_MS - 50)
    assert.deepEqual([doubts, silent], [[], []])
    await pass(100)
    assert.deepEqual([doubts, silent], [['a'], []])
    await pass((MAX_MISSED_PONGS - DOUBT_AFTER_MISSES) * PONG_TIMEOUT_MS)
    assert.deepEqual([doubts, silent], [['a'], [`a ${MAX_MISSED_PONGS}`]])
    assert.equal(one.pings.length, MAX_MISSED_PONGS)
    await pass(60_000)
    assert.equal(one.pings.length, MAX_MISSED_PONGS)
    watch.stop()
  })

  it('asks at once a peer that a neighbour doubts, tells nobody of it again, and takes it for no more than a hint', async () => {
    const { watch, doubts, silent } = setup()
    const [one, well] = [peer(10), peer(10)]
    watch.add('a', one)
    watch.add('well', well)
    await pass(1_000)
    one.rttMs = undefined
    for (const name of ['a', 'well', 'nobody']) watch.doubt(name, true)
    assert.deepEqual([one.pings.at(-1), well.pings.at(-1)], [time, time])
    await pass(PONG_TIMEOUT_MS * MAX_MISSED_PONGS + 50)
    assert.deepEqual([doubts, silent], [[], [`a ${MAX_MISSED_PONGS}`]])
    well.rttMs = undefined
    await pass(PING_INTERVAL_MS + LOOK_EVERY_MS + DOUBT_AFTER_MISSES * PONG_TIMEOUT_MS)
    assert.deepEqual(doubts, ['well'], 'what is doubted without cause is as before')
    watch.stop()
  })

  it('asks at once a peer that is doubted here alone, and tells the others if it does not answer', async () => {
    const { watch, doubts, silent } = setup()
    const [one, well] = [peer(10), peer(10)]
    watch.add('a', one)
    watch.add('well', well)
    await pass(1_000)
    one.rttMs = undefined
    for (const name of ['a', 'well']) watch.doubt(name, false)
    assert.deepEqual([one.pings.at(-1), well.pings.at(-1)], [time, time])
    await pass(PONG_TIMEOUT_MS * MAX_MISSED_PONGS + 50)
    assert.deepEqual([doubts, silent], [['a'], [`a ${MAX_MISSED_PONGS}`]])
    watch.stop()
  })

  it('looks for all who say nothing when one does not answer: it may be this node that is cut off', async () => {
    const { watch, doubts, silent } = setup(chance(5))
    const peers = Array.from({ length: 40 }, () => peer(10))
    for (const [n, one] of peers.entries()) watch.add(`${n}`, one)
    await pass(60_000)
    for (const one of peers) one.rttMs = undefined
    const from = time
    while (silent.length < peers.length) await pass(100)
    assert.ok(time - from < 12_000, `${time - from} ms`)
    assert.ok(doubts.length > 0)
    watch.stop()
  })

  it('asks none of those who answer the others that one is doubted', async () => {
    const { watch, doubts } = setup(chance(5))
    const peers = Array.from({ length: 40 }, () => peer(10))
    for (const [n, one] of peers.entries()) watch.add(`${n}`, one)
    await pass(60_000)
    const count = (): number => peers.slice(1).reduce((sum, { pings }) => sum + pings.length, 0)
    peers[0]!.rttMs = undefined
    while (doubts.length === 0) {
      await pass(50)
    }
    const before = count()
    await pass(100)
    for (const one of peers.slice(1)) one.lastHeardAt = time
    await pass(PONG_TIMEOUT_MS)
    assert.equal(count(), before)
    watch.stop()
  })

  it('counts whatever is heard while a pong is waited for: it may be behind something large', async () => {
    const { watch, doubts, silent } = setup()
    const one = peer(2 * PONG_TIMEOUT_MS)
    watch.add('a', one)
    for (let n = 0; n < 100; n++) {
      one.lastHeardAt = time
      await pass(500)
    }
    assert.deepEqual([doubts, silent], [[], []])
    watch.stop()
  })

  it('measures as often as is wanted, not more often than it may', async () => {
    const { watch, rtts } = setup()
    const one = peer(10)
    watch.add('a', one)
    for (let n = 0; n < 10; n++) watch.measure('a', 3)
    await pass(2_000)
    assert.equal(rtts.length, 3)
    for (const [n, at] of one.pings.slice(1).entries()) assert.ok(at - one.pings[n]! >= MEASURE_GAP_MS)
    watch.measure('a', 1_000)
    watch.measure('nobody', 3)
    await pass(PING_INTERVAL_MS)
    assert.equal(rtts.length, 3 + MAX_SAMPLES)
    watch.stop()
  })

  it('leaves a session that is over to who holds it', async () => {
    const { watch, doubts, silent } = setup()
    const one = peer(undefined)
    watch.add('a', one)
    one.close()
    await pass(30_000)
    assert.deepEqual([doubts, silent], [[], []])
    watch.stop()
  })

  it('misses a peer that has been keeping a pace of its own when that ends, however many others there are', async () => {
    const { watch, silent } = setup(chance(7))
    const leaf = peer(10)
    watch.add('leaf', leaf)
    for (let n = 0; n < 48; n++) watch.add(`${n}`, peer(10))
    for (let n = 0; n < 20; n++) {
      await pass(PING_INTERVAL_MS)
      leaf.lastHeardAt = time
    }
    leaf.rttMs = undefined
    const from = time
    while (silent.length === 0) await pass(100)
    assert.ok(time - from < 12_000, `${time - from} ms`)
    watch.stop()
  })

  it('takes few pings a node in a mesh of fifty, and one of them finds out early about any that dies', async function () {
    this.timeout(60_000)
    const NODES = 50
    const random = chance(3)
    /** When each of a pair last heard the other; both hear whenever one pings. */
    const heardAt = new Map<string, number>()
    const pair = (a: number, b: number): string => `${Math.min(a, b)} ${Math.max(a, b)}`
    const pings = new Array<number>(NODES).fill(0)
    let longest = 0
    let dead = -1
    const firstDoubt: number[] = []
    const watches = Array.from({ length: NODES }, () =>
      createLinkWatch({
        now: () => time,
        random,
        onRtt: () => undefined,
        onDoubt: (name) => void (firstDoubt[Number(name)] ??= time),
        onSilent: () => undefined
      })
    )
    const session = (from: number, to: number): WatchedSession => ({
      get lastHeardAt() {
        return heardAt.get(pair(from, to))!
      },
      ping() {
        if (to === dead || from === dead) return new Promise(() => undefined)
        longest = Math.max(longest, time - heardAt.get(pair(from, to))!)
        heardAt.set(pair(from, to), time)
        pings[from]!++
        return Promise.resolve(0.2)
      }
    })
    for (let a = 0; a < NODES; a++)
      for (let b = a + 1; b < NODES; b++) {
        heardAt.set(pair(a, b), time)
        watches[a]!.add(`${b}`, session(a, b))
        watches[b]!.add(`${a}`, session(b, a))
      }
    await pass(10_000, LOOK_EVERY_MS)
    pings.fill(0)
    longest = 0
    await pass(300_000, LOOK_EVERY_MS)
    // Each ping is two pieces of news, so a node takes part in twice as many as it sends.
    const perSecond = (2 * pings.reduce((sum, count) => sum + count, 0)) / NODES / 300
    assert.ok(perSecond < 2.3, `${perSecond} a second and node`)
    assert.ok(longest <= (NODES - 1) * LINK_SHARE_MS * (1 + SPREAD) + 2 * LOOK_EVERY_MS, `${longest} ms`)
    dead = 7
    watches[dead]!.stop()
    const from = time
    while (firstDoubt[dead] === undefined) await pass(LOOK_EVERY_MS, LOOK_EVERY_MS)
    assert.ok(firstDoubt[dead]! - from < DOUBT_AFTER_MISSES * PONG_TIMEOUT_MS + 3_000, `${firstDoubt[dead]! - from} ms`)
    for (const watch of watches) watch.stop()
  })
})
