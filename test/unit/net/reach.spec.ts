import assert from 'node:assert/strict'
import { mock } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { originId } from '../../../src/core/document.ts'
import type { Outcome } from '../../../src/core/routing/neighbour-trust.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import type { Circuit } from '../../../src/net/circuits.ts'
import {
  ANSWER_WITHIN_MS,
  MAX_MISSED,
  MAX_PAUSES,
  CHECK_EVERY_MS,
  CIRCUIT_AFTER_MS,
  DIAL_PAUSES_MS,
  IDLE_CIRCUIT_MS,
  MAX_SILENT,
  TRY_AGAIN_MS,
  WAY_WITHIN_MS,
  createReach,
  type Reach
} from '../../../src/net/reach.ts'

const NODE = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const OTHER = '12D3KooWJPxFDQJFJ6RkLDd4zHGCKMtx6hAbK3FB1gRThSXyPaan'

/** What a test settles by hand. */
interface Deferred<T> {
  promise: Promise<T>
  resolve(value: T): void
  reject(error: Error): void
}
function deferred<T>(): Deferred<T> {
  let [resolve, reject]: [Deferred<T>['resolve'], Deferred<T>['reject']] = [() => undefined, () => undefined]
  const promise = new Promise<T>((yes, no) => ([resolve, reject] = [yes, no]))
  return { promise, resolve, reject }
}

/** A connection as far as reach sees it. */
class FakeConnection extends EventTarget {
  status = 'open'
  closes = 0
  aborted: Error | undefined
  refusesToClose = false
  async close(): Promise<void> {
    this.closes++
    if (this.refusesToClose) throw new Error('it does not take what is to be sent')
    this.#end('closed')
  }
  abort(error: Error): void {
    this.aborted = error
    this.#end('aborted')
  }
  #end(status: string): void {
    if (this.status !== 'open') return
    this.status = status
    this.dispatchEvent(new Event('close'))
  }
}

describe('reaching a node', () => {
  let time: number
  let reach: Reach
  let dials: { target: unknown; signal: AbortSignal; dial: Deferred<void> }[]
  let opens: { signal: AbortSignal; circuit: Deferred<Circuit> }[]
  let addresses: string[]
  let waits: Deferred<void> | undefined
  let hasWay: boolean
  let isNeighbour: boolean
  let active: number
  let pings: Deferred<number>[]
  let heardAt: number
  let came: [string, string, Outcome][]
  let names: Map<string, string>
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
    heardAt = 0
    ;[time, dials, opens, addresses, hasWay, isNeighbour, active, pings, came] = [0, [], [], [], true, false, 0, [], []]
    waits = undefined
    names = new Map([[NODE, 'far']])
    reach = createReach({
      libp2p: {
        dial: async (target, { signal } = {}) => {
          const dial = deferred<void>()
          dials.push({ target, signal: signal!, dial })
          await dial.promise
          return new FakeConnection() as unknown as Connection
        }
      },
      circuits: {
        open(_node, signal) {
          const circuit = deferred<Circuit>()
          opens.push({ signal, circuit })
          return circuit.promise
        }
      },
      addressesOf: () => addresses,
      nameOf: (node) => names.get(node) ?? node,
      isNeighbour: () => isNeighbour,
      hasWay: () => hasWay,
      waitForWay: async () => waits?.promise,
      overCircuit: () => ({
        active,
        get lastHeardAt() {
          return heardAt
        },
        ping() {
          const ping = deferred<number>()
          pings.push(ping)
          return ping.promise
        }
      }),
      came: (neighbour, node, outcome) => came.push([neighbour, node, outcome]),
      now: () => time
    })
  })
  afterEach(() => {
    reach.stop()
    mock.timers.reset()
  })

  const settled = async (): Promise<void> => {
    for (let n = 0; n < 3; n++) await new Promise((resolve) => setImmediate(resolve))
  }
  async function pass(ms: number): Promise<void> {
    time += ms
    mock.timers.tick(ms)
    await settled()
  }
  const refused = (reason = 'no_route'): MeshError => new MeshError('unavailable', 'nobody is there', { reason })

  /** What becomes of a connect: undefined as long as nothing has. */
  function connect(node = NODE): { outcome: 'connected' | MeshError | undefined } {
    const one: { outcome: 'connected' | MeshError | undefined } = { outcome: undefined }
    reach.connect(node).then(
      () => (one.outcome = 'connected'),
      (error: unknown) => (one.outcome = isMeshError(error) ? error : assert.fail(String(error)))
    )
    return one
  }

  /** Opens a circuit as the only way. */
  async function withCircuit(neighbour = 'next'): Promise<FakeConnection> {
    const connection = new FakeConnection()
    const one = connect()
    await settled()
    dials.at(-1)?.dial.reject(refused())
    await settled()
    opens.at(-1)!.circuit.resolve({ connection: connection as unknown as Connection, neighbour, path: [neighbour, NODE] })
    await settled()
    assert.equal(one.outcome, 'connected')
    return connection
  }

  // ---- which one -----------------------------------------------------------------------------
  it('dials first, and opens no circuit where that succeeds', async () => {
    const one = connect()
    await pass(CIRCUIT_AFTER_MS - 1)
    assert.deepEqual([dials.length, opens.length, one.outcome], [1, 0, undefined])
    dials[0]!.dial.resolve()
    await settled()
    await pass(10_000)
    assert.deepEqual([one.outcome, opens.length], ['connected', 0])
  })

  it('dials what the node announces, if it is a plain address of that node; else the node', async () => {
    addresses = ['/ip4/192.0.2.7/tcp/4001', `/ip4/192.0.2.7/tcp/4002/p2p/${OTHER}`, '/dns4/intranet.example/tcp/80', 'nonsense']
    connect()
    await settled()
    assert.deepEqual((dials[0]!.target as unknown[]).map(String), [`/ip4/192.0.2.7/tcp/4001/p2p/${NODE}`])
    dials[0]!.dial.resolve()
    await settled()
    addresses = ['/dns4/intranet.example/tcp/80']
    connect()
    await settled()
    assert.equal(String(dials[1]!.target), NODE)
  })

  it('opens a circuit beside a dial that is slow, and takes whichever is there first', async () => {
    for (const first of ['dial', 'circuit'] as const) {
      const one = connect()
      await pass(CIRCUIT_AFTER_MS)
      assert.deepEqual([dials.length, opens.length, one.outcome], [1, 1, undefined], first)
      if (first === 'dial') dials[0]!.dial.resolve()
      else opens[0]!.circuit.resolve({ connection: new FakeConnection() as unknown as Connection, neighbour: 'next', path: [] })
      await settled()
      assert.equal(one.outcome, 'connected', first)
      ;[dials, opens] = [[], []]
    }
  })

  it('opens one at once when the dial has failed', async () => {
    connect()
    await settled()
    assert.equal(opens.length, 0)
    dials[0]!.dial.reject(refused())
    await settled()
    assert.equal(opens.length, 1)
  })

  it('waits for the dial alone where no way is known', async () => {
    hasWay = false
    const one = connect()
    await pass(CIRCUIT_AFTER_MS)
    assert.equal(opens.length, 0)
    dials[0]!.dial.resolve()
    await settled()
    assert.equal(one.outcome, 'connected')
  })

  it('looks for a way once the dial has failed, also where none was known, and needs none if it becomes a neighbour', async () => {
    hasWay = false
    waits = deferred()
    const one = connect()
    await settled()
    dials[0]!.dial.reject(refused())
    await settled()
    assert.deepEqual([opens.length, one.outcome], [0, undefined])
    isNeighbour = true
    waits.resolve()
    await settled()
    assert.deepEqual([opens.length, one.outcome], [0, 'connected'])
  })

  it('says why neither came about, and that nothing has begun', async () => {
    const one = connect()
    await settled()
    dials[0]!.dial.reject(new Error('ECONNREFUSED'))
    await settled()
    await pass(WAY_WITHIN_MS)
    opens[0]!.circuit.reject(new MeshError('unavailable', 'no circuit', { reason: 'no_route' }))
    // That took so long that it may be the neighbour: once more, perhaps over another.
    await settled()
    await pass(TRY_AGAIN_MS[0])
    opens[1]!.circuit.reject(new MeshError('unavailable', 'no circuit', { reason: 'no_route' }))
    await settled()
    assert.ok(isMeshError(one.outcome, 'unavailable'))
    assert.deepEqual(one.outcome.details, { peer: NODE, notStarted: true })
    assert.equal(one.outcome.message, 'cannot reach far (…oaMtimQ5): ECONNREFUSED; no circuit')
  })

  for (const [reason, outcomes] of [
    ['stale', ['useless']],
    ['busy', []]
  ] as const) {
    it(`holds it against a neighbour if it refuses as ${reason} for as long as anybody tries, unless that was counted`, async () => {
      const one = connect()
      await settled()
      dials[0]!.dial.reject(refused())
      await settled()
      for (let n = 0; one.outcome === undefined; n++) {
        opens[n]!.circuit.reject(new MeshError('unavailable', 'no circuit', { reason, via: OTHER }))
        await settled()
        if (one.outcome === undefined) assert.deepEqual(came, [])
        await pass(TRY_AGAIN_MS.at(-1)!)
      }
      assert.ok(isMeshError(one.outcome, 'unavailable'))
      assert.deepEqual(
        came,
        outcomes.map((outcome) => [OTHER, NODE, outcome])
      )
    })
  }

  it('names nodes for people, who find whole PeerIds in the details alone', async () => {
    const tell = async (circuit: string): Promise<MeshError> => {
      const one = connect()
      await settled()
      dials.at(-1)?.dial.reject(new Error(`nobody at /ip4/192.0.2.7/tcp/4001/p2p/${NODE}`))
      await settled()
      opens.at(-1)!.circuit.reject(new MeshError('unavailable', circuit, { reason: 'permission_denied' }))
      await settled()
      reach.forgive(NODE)
      assert.ok(isMeshError(one.outcome, 'unavailable'))
      return one.outcome
    }
    const short = `…${NODE.slice(-8)}`
    // An address stays as it is: it is there to be tried by hand.
    const dial = `nobody at /ip4/192.0.2.7/tcp/4001/p2p/${NODE}`
    const circuit = `no circuit to ${NODE} over ${OTHER}: gone`
    const named = await tell(circuit)
    assert.equal(named.message, `cannot reach far (${short}): ${dial}; no circuit to far over …${OTHER.slice(-8)}: gone`)
    assert.equal(named.details['peer'], NODE)
    names.set(OTHER, 'next')
    assert.match((await tell(circuit)).message, /; no circuit to far over next: gone$/)
    names.delete(NODE)
    const nameless = await tell(circuit)
    assert.equal(nameless.message, `cannot reach ${short}: ${dial}; no circuit to ${short} over next: gone`)
  })

  // ---- again ---------------------------------------------------------------------------------
  it('tries again what is refused, soon and then less soon, as long as tables may take to agree', async () => {
    const one = connect()
    await settled()
    dials[0]!.dial.reject(refused())
    await settled()
    let tries = 0
    while (time < WAY_WITHIN_MS) {
      assert.deepEqual([opens.length, one.outcome], [tries + 1, undefined])
      opens[tries]!.circuit.reject(refused())
      await settled()
      const waitMs = TRY_AGAIN_MS[Math.min(tries++, TRY_AGAIN_MS.length - 1)]!
      await pass(waitMs - 1)
      assert.equal(opens.length, tries)
      await pass(1)
    }
    opens.at(-1)!.circuit.reject(refused())
    await settled()
    assert.ok(isMeshError(one.outcome, 'unavailable'))
  })

  it('takes another way when that is there', async () => {
    const one = connect()
    await settled()
    dials[0]!.dial.reject(refused())
    await settled()
    waits = deferred()
    opens[0]!.circuit.reject(refused())
    await settled()
    await pass(TRY_AGAIN_MS[0])
    assert.equal(opens.length, 1, 'there is none')
    waits.resolve()
    await settled()
    opens[1]!.circuit.resolve({ connection: new FakeConnection() as unknown as Connection, neighbour: 'b', path: ['b', NODE] })
    await settled()
    assert.deepEqual([one.outcome, reach.pathTo(NODE)], ['connected', ['b', NODE]])
  })

  it('tries so many that say nothing, however long that takes, that a neighbour that swallows them is avoided', async () => {
    const one = connect()
    await settled()
    dials[0]!.dial.reject(refused())
    await settled()
    for (let n = 0; n < MAX_SILENT; n++) {
      assert.deepEqual([opens.length, one.outcome], [n + 1, undefined])
      await pass(WAY_WITHIN_MS)
      opens[n]!.circuit.reject(new MeshError('unavailable', 'nothing came back', { reason: 'silent' }))
      await settled()
      await pass(TRY_AGAIN_MS.at(-1)!)
    }
    assert.ok(isMeshError(one.outcome, 'unavailable'))
    assert.equal(opens.length, MAX_SILENT)
  })

  it('gives up at once what is refused for good', async () => {
    const one = connect()
    await settled()
    dials[0]!.dial.reject(refused())
    await settled()
    opens[0]!.circuit.reject(refused('permission_denied'))
    await settled()
    assert.ok(isMeshError(one.outcome, 'unavailable'))
    assert.equal(opens.length, 1)
  })

  it('leaves a node that cannot be dialled alone for longer and longer, until something new is known of it', async () => {
    /** Wants a connection; the dial, if there is one, and the circuit come to nothing. @returns whether there was a dial. */
    async function tryIt(): Promise<boolean> {
      const before = dials.length
      const one = connect()
      await settled()
      const dialled = dials.length > before
      if (dialled) dials.at(-1)!.dial.reject(refused())
      await settled()
      // No time passes: what ends it is that this node gives it up.
      for (let n = 0; n < MAX_SILENT; n++) {
        opens.at(-1)!.circuit.reject(new MeshError('unavailable', 'nothing came back', { reason: 'silent' }))
        await settled()
        mock.timers.tick(TRY_AGAIN_MS.at(-1)!)
        await settled()
      }
      assert.ok(isMeshError(one.outcome, 'unavailable'))
      assert.equal(one.outcome.message.includes('a moment ago'), !dialled)
      return dialled
    }
    for (const [n, pauseMs] of [...DIAL_PAUSES_MS, DIAL_PAUSES_MS.at(-1)!].entries()) {
      assert.equal(await tryIt(), true, `dial ${n}`)
      time += pauseMs - 1
      assert.equal(await tryIt(), false, `not within ${pauseMs} ms`)
      time += 1
    }
    assert.deepEqual([await tryIt(), await tryIt()], [true, false])
    reach.forgive(NODE)
    assert.equal(await tryIt(), true)
    // One that succeeds counts anew, and so does what comes after it.
    time += DIAL_PAUSES_MS[0]
    connect()
    await settled()
    dials.at(-1)!.dial.resolve()
    await settled()
    assert.equal(await tryIt(), true)
    time += DIAL_PAUSES_MS[0]
    assert.equal(await tryIt(), true)
  })

  it('remembers so many that cannot be dialled, and forgets first who failed longest ago', async () => {
    const idOf = (n: number): string => originId(Uint8Array.of(0, 36, 8, 1, 18, 32, n >> 8, n & 255, ...new Uint8Array(30)))
    const dialled = async (n: number): Promise<boolean> => {
      const before = dials.length
      connect(idOf(n))
      await settled()
      if (dials.length > before) dials.at(-1)!.dial.reject(refused())
      await settled()
      opens.at(-1)!.circuit.reject(refused('permission_denied'))
      await settled()
      return dials.length > before
    }
    for (let n = 0; n < MAX_PAUSES; n++) assert.equal(await dialled(n), true)
    assert.deepEqual([await dialled(0), await dialled(1)], [false, false])
    assert.equal(await dialled(MAX_PAUSES), true)
    assert.deepEqual([await dialled(0), await dialled(2)], [true, false])
  })

  it('does it once for all who want it at a time', async () => {
    const [one, other] = [connect(), connect()]
    await settled()
    assert.equal(dials.length, 1)
    dials[0]!.dial.resolve()
    await settled()
    assert.deepEqual([one.outcome, other.outcome], ['connected', 'connected'])
    connect()
    await settled()
    assert.equal(dials.length, 2)
  })

  // ---- circuits ------------------------------------------------------------------------------
  it('closes a circuit on which nothing runs for long, and no other', async () => {
    const connection = await withCircuit()
    assert.deepEqual(reach.pathTo(NODE), ['next', NODE])
    active = 1
    for (let ms = 0; ms < 2 * IDLE_CIRCUIT_MS; ms += CHECK_EVERY_MS) {
      await pass(CHECK_EVERY_MS)
      pings.splice(0).forEach((ping) => ping.resolve(1))
    }
    assert.equal(connection.closes, 0)
    active = 0
    for (let ms = 0; ms < IDLE_CIRCUIT_MS; ms += CHECK_EVERY_MS) await pass(CHECK_EVERY_MS)
    assert.equal(connection.closes, 0)
    await pass(CHECK_EVERY_MS)
    assert.deepEqual([connection.closes, reach.pathTo(NODE), came], [1, undefined, []])
    // Nothing is asked any more.
    const asked = pings.length
    active = 1
    await pass(10 * CHECK_EVERY_MS)
    assert.equal(pings.length, asked)
  })

  it('keeps a circuit over which the other end sends something', async () => {
    const connection = await withCircuit()
    for (let n = 0; n < 3; n++) {
      for (let ms = 0; ms < IDLE_CIRCUIT_MS; ms += CHECK_EVERY_MS) await pass(CHECK_EVERY_MS)
      heardAt = time
    }
    assert.equal(connection.closes, 0)
    for (let ms = 0; ms <= IDLE_CIRCUIT_MS + CHECK_EVERY_MS; ms += CHECK_EVERY_MS) await pass(CHECK_EVERY_MS)
    assert.equal(connection.closes, 1)
  })

  it('ends a circuit that does not close by itself', async () => {
    const connection = await withCircuit()
    connection.refusesToClose = true
    for (let ms = 0; ms <= IDLE_CIRCUIT_MS; ms += CHECK_EVERY_MS) await pass(CHECK_EVERY_MS)
    assert.deepEqual([connection.status, reach.pathTo(NODE)], ['aborted', undefined])
  })

  it('ends a circuit over which calls run and nothing comes any more, and tells who swallowed it', async () => {
    const connection = await withCircuit()
    await pass(10 * CHECK_EVERY_MS)
    assert.equal(pings.length, 0, 'nobody is asked while nothing runs')
    active = 1
    await pass(CHECK_EVERY_MS)
    assert.equal(pings.length, 1)
    await pass(ANSWER_WITHIN_MS - 1)
    assert.deepEqual([pings.length, connection.status], [1, 'open'], 'one question at a time')
    pings[0]!.resolve(1)
    await settled()
    await pass(CHECK_EVERY_MS)
    assert.equal(pings.length, 2)
    // Whatever comes is a sign of life.
    heardAt = 1
    await pass(ANSWER_WITHIN_MS)
    assert.equal(connection.status, 'open')
    await pass(CHECK_EVERY_MS)
    for (let missed = 0; missed < MAX_MISSED; missed++) await pass(ANSWER_WITHIN_MS)
    assert.ok(isMeshError(connection.aborted, 'unavailable'))
    assert.deepEqual([came, reach.pathTo(NODE)], [[['next', NODE, 'silent']], undefined])
  })

  it('leaves a circuit to itself whose session has ended, and does not blame it for that of another', async () => {
    const connection = await withCircuit('first')
    active = 1
    await pass(CHECK_EVERY_MS)
    pings[0]!.reject(new MeshError('unavailable', 'the session has ended'))
    await settled()
    await pass(ANSWER_WITHIN_MS)
    assert.equal(connection.status, 'open')
    // Asked over one, which is not there any more when the time is over.
    connection.abort(new Error('gone'))
    const second = await withCircuit('second')
    await pass(ANSWER_WITHIN_MS)
    assert.deepEqual([came, second.status], [[], 'open'])
  })

  it('has one circuit to a node, and opens a new one as soon as it does not hold any more', async () => {
    const first = await withCircuit('first')
    const again = connect()
    await settled()
    assert.deepEqual([again.outcome, opens.length], ['connected', 1])
    first.status = 'closing'
    const second = await withCircuit('second')
    assert.deepEqual([opens.length, reach.pathTo(NODE)], [2, ['second', NODE]])
    first.dispatchEvent(new Event('close'))
    assert.deepEqual([second.status, reach.pathTo(NODE)], ['open', ['second', NODE]])
    second.abort(new Error('gone'))
    assert.equal(reach.pathTo(NODE), undefined)
  })

  it('keeps none that ended before it was there', async () => {
    const gone = new FakeConnection()
    await gone.close()
    const one = connect()
    await settled()
    dials[0]!.dial.reject(refused())
    await settled()
    opens[0]!.circuit.resolve({ connection: gone as unknown as Connection, neighbour: 'next', path: [] })
    await settled()
    assert.deepEqual([one.outcome, reach.pathTo(NODE)], [undefined, undefined])
    await pass(TRY_AGAIN_MS[0])
    assert.equal(opens.length, 2, 'it tries another one')
  })

  it('stops with all that it has open, and all that it is about to open', async () => {
    const connection = await withCircuit()
    connect(OTHER)
    await pass(CIRCUIT_AFTER_MS)
    assert.deepEqual([dials.length, opens.length], [2, 2])
    reach.stop()
    await settled()
    assert.deepEqual([dials[1]!.signal.aborted, opens[1]!.signal.aborted, connection.status], [true, true, 'closed'])
  })
})
