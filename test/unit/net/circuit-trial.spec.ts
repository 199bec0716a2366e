import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { CARRIED_TURNS, createCircuitTrial, type CircuitTrial } from '../../../src/net/circuit-trial.ts'

const OPENING = new TextEncoder().encode('\x13/multistream/1.0.0\n')
const SILENT_MS = 1_000

describe('trial of a circuit', () => {
  let time: number
  let carried: number
  let trial: CircuitTrial
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] })
    ;[time, carried] = [0, 0]
    trial = createCircuitTrial({ silentAfterMs: SILENT_MS, now: () => time, onCarried: () => carried++ })
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
    assert.deepEqual([trial.silent.aborted, trial.begunForMs], [false, undefined])
    void source.next()
    await settled()
    pass(SILENT_MS - 1)
    assert.deepEqual([trial.silent.aborted, trial.begunForMs], [false, SILENT_MS - 1])
    pass(1)
    assert.equal(trial.silent.aborted, true)
  })

  it('knows the first bytes in pieces, and with more behind them; waits for nothing after others', async () => {
    for (const [parts, isBegun] of [
      [[OPENING.subarray(0, 3), OPENING.subarray(3)], true],
      [[Uint8Array.of(...OPENING, 1, 2), Uint8Array.of(3)], true],
      [[OPENING.subarray(0, -1)], false],
      [[Uint8Array.of(1), OPENING], false],
      [[Uint8Array.of(...OPENING.subarray(0, -1), 0, ...OPENING)], false]
    ] as const) {
      trial = createCircuitTrial({ silentAfterMs: SILENT_MS, now: () => time, onCarried: () => carried++ })
      await take(passing(...parts), parts.length)
      pass(SILENT_MS)
      assert.deepEqual([trial.silent.aborted, trial.begunForMs], isBegun ? [true, SILENT_MS] : [false, undefined])
    }
  })

  it('waits no more once anything has come, also before the first bytes have left', async () => {
    await take(passing(OPENING))
    trial.heard()
    pass(10 * SILENT_MS)
    assert.equal(trial.silent.aborted, false)
    trial = createCircuitTrial({ silentAfterMs: SILENT_MS, now: () => time, onCarried: () => carried++ })
    trial.heard()
    await take(passing(OPENING))
    pass(10 * SILENT_MS)
    assert.deepEqual([trial.silent.aborted, trial.begunForMs], [false, 10 * SILENT_MS])
  })

  it('counts how often the source has spoken after an answer, however many items that are', async () => {
    const source = passing(...new Array<Uint8Array>(4 * CARRIED_TURNS).fill(Uint8Array.of(1)))
    for (let turn = 1; turn <= CARRIED_TURNS + 1; turn++) {
      assert.equal(trial.isCarried, turn > CARRIED_TURNS)
      await source.next()
      await source.next()
      trial.heard()
      trial.heard()
    }
    assert.deepEqual([trial.isCarried, carried], [true, 1])
  })
})
