import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { CARRIED_TURNS, LATE_MS, createCircuitTrial, type CircuitTrial } from '../../../src/net/circuit-trial.ts'

const OPENING = new TextEncoder().encode('\x13/multistream/1.0.0\n')
const SILENT_MS = 1_000

describe('trial of a circuit', () => {
  let time: number
  let trial: CircuitTrial
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] })
    time = 0
    trial = createCircuitTrial({ silentAfterMs: SILENT_MS, now: () => time })
  })
  afterEach(() => {
    trial.stop()
    mock.timers.reset()
  })
  function pass(ms: number): void {
    time += ms
    mock.timers.tick(ms)
  }
  /** What the source sends, as the next hop takes it: asking for the next says that this one has left. */
  function passing(...items: Uint8Array[]): AsyncGenerator<Uint8Array, void, void> {
    return trial.passing(
      (async function* () {
        yield* items
        await new Promise(() => undefined)
      })()
    )
  }
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  /** Takes one, and lets it leave. */
  async function take(from: AsyncGenerator<Uint8Array, void, void>, count = 1): Promise<void> {
    for (let n = 0; n < count; n++) await from.next()
    void from.next()
    await settled()
  }

  it('waits for an answer from when the first bytes have left, not from when they came', async () => {
    const source = passing(OPENING)
    assert.deepEqual((await source.next()).value, OPENING)
    pass(10 * SILENT_MS)
    assert.deepEqual([trial.silent.aborted, trial.outcome(false)], [false, undefined])
    void source.next()
    await settled()
    pass(SILENT_MS - 1)
    assert.deepEqual([trial.silent.aborted, trial.outcome(true)], [false, undefined])
    pass(1)
    assert.equal(trial.silent.aborted, true)
  })

  it('waits once more where this node was held up, since an answer may lie here unread', async () => {
    await take(passing(OPENING))
    time += LATE_MS + 1
    pass(SILENT_MS)
    assert.equal(trial.silent.aborted, false)
    time += LATE_MS + 1
    pass(SILENT_MS)
    assert.equal(trial.silent.aborted, true, 'but once')
  })

  it('knows the first bytes in pieces, and with more behind them; waits for nothing after others', async () => {
    for (const [parts, isBegun] of [
      [[OPENING.subarray(0, 3), OPENING.subarray(3)], true],
      [[Uint8Array.of(...OPENING, 1, 2), Uint8Array.of(3)], true],
      [[OPENING.subarray(0, -1)], false],
      [[Uint8Array.of(1), OPENING], false],
      [[Uint8Array.of(...OPENING.subarray(0, -1), 0, ...OPENING)], false]
    ] as const) {
      trial = createCircuitTrial({ silentAfterMs: SILENT_MS, now: () => time })
      await take(passing(...parts), parts.length)
      pass(SILENT_MS)
      assert.deepEqual([trial.silent.aborted, trial.outcome(true)], isBegun ? [true, 'failed'] : [false, undefined])
    }
  })

  it('waits no more once anything has come, also before the first bytes have left', async () => {
    await take(passing(OPENING))
    trial.heard()
    pass(10 * SILENT_MS)
    assert.equal(trial.silent.aborted, false)
    trial = createCircuitTrial({ silentAfterMs: SILENT_MS, now: () => time })
    trial.heard()
    await take(passing(OPENING))
    pass(10 * SILENT_MS)
    assert.deepEqual([trial.silent.aborted, trial.outcome(true)], [false, 'failed'])
  })

  it('counts how often the source has spoken after an answer, however many items that are', async () => {
    const source = passing(OPENING, ...new Array<Uint8Array>(4 * CARRIED_TURNS).fill(Uint8Array.of(1)))
    for (let turn = 1; turn <= CARRIED_TURNS + 1; turn++) {
      if (turn > 1) assert.equal(trial.outcome(false), turn > CARRIED_TURNS ? 'ok' : 'failed')
      await source.next()
      await source.next()
      trial.heard()
      trial.heard()
    }
    assert.equal(trial.outcome(true), 'ok')
  })

  it('does not take for carried what has reached its destination, and then left its source without an answer', async () => {
    const source = passing(OPENING, ...new Array<Uint8Array>(2 * CARRIED_TURNS).fill(Uint8Array.of(1)))
    for (let turn = 1; turn <= CARRIED_TURNS; turn++) {
      await source.next()
      trial.heard()
    }
    void source.next()
    await settled()
    pass(SILENT_MS - 1)
    assert.deepEqual([trial.outcome(true), trial.outcome(false)], ['ok', 'ok'], 'it may be on its way')
    void source.next()
    await settled()
    pass(SILENT_MS)
    assert.deepEqual([trial.outcome(true), trial.outcome(false)], ['failed', 'failed'])
    trial.heard()
    assert.equal(trial.outcome(true), 'ok')
  })
})
