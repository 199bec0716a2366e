import assert from 'node:assert/strict'
import type { Logger, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { MAX_FORWARD_BYTES } from '../../../protocols/forward/messages.ts'
import { MeshError } from '../../../src/errors.ts'
import { ExchangeConnection, WRITE_HIGH_WATER_BYTES } from '../../../src/net/exchange-connection.ts'
import { until, within } from '../../fixtures/libp2p-pair.ts'

const log: Logger = Object.assign(() => undefined, {
  error: () => undefined,
  trace: () => undefined,
  newScope: () => log,
  enabled: false
})
const KIB = 1024

/** One end, and what it told. */
interface End {
  wire: ExchangeConnection
  heard: Buffer[]
  /** Names of events, in order. */
  events: string[]
  closed: StreamCloseEvent | undefined
}

function end(direction: 'inbound' | 'outbound' = 'outbound'): End {
  const wire = new ExchangeConnection({ remoteAddr: multiaddr('/memory/1'), direction, log })
  const one: End = { wire, heard: [], events: [], closed: undefined }
  wire.addEventListener('message', ({ data }: StreamMessageEvent) => {
    one.events.push('message')
    one.heard.push(Buffer.from(data.subarray()))
  })
  wire.addEventListener('close', (event: StreamCloseEvent) => {
    one.events.push('close')
    one.closed = event
  })
  return one
}

/** Two ends, each of which takes what the other sends. */
function pair(): [End, End] {
  const [near, far] = [end('outbound'), end('inbound')]
  void near.wire.take(far.wire.outgoing())
  void far.wire.take(near.wire.outgoing())
  return [near, far]
}

const heardBy = ({ heard }: End): Buffer => Buffer.concat(heard)
const numbered = (length: number, from = 0): Buffer => Buffer.from(Uint8Array.from({ length }, (_, n) => (from + n) % 251))
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Writes all, as libp2p does: it waits where it is told to. */
async function write({ wire }: End, chunks: Iterable<Uint8Array>): Promise<void> {
  for (const chunk of chunks) if (!wire.send(chunk)) await wire.onDrain()
}

/** An incoming side that a test feeds. */
interface Feed {
  items: AsyncGenerator<Uint8Array, void, void>
  push(bytes: Uint8Array): void
  end(error?: Error): void
  /** Nobody reads it any more. */
  isLeft(): boolean
}

function feed(): Feed {
  const waiting: Uint8Array[] = []
  let over: { error: Error | undefined } | undefined
  let wake: (() => void) | undefined
  let left = false
  async function* items(): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (;;) {
        for (let bytes = waiting.shift(); bytes !== undefined; bytes = waiting.shift()) yield bytes
        if (over?.error !== undefined) throw over.error
        if (over !== undefined) return
        await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      left = true
    }
  }
  return {
    items: items(),
    push(bytes) {
      waiting.push(bytes)
      wake?.()
    },
    end(error) {
      over = { error }
      wake?.()
    },
    isLeft: () => left
  }
}

describe('a connection over an exchange', () => {
  it('carries any chunks both ways, in order, whoever pauses when', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 200 * KIB }), { maxLength: 12 })
    const pauses = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(sizes, sizes, pauses, async (one, other, pausing) => {
        const ends = pair()
        const sent = [one, other].map((list) => list.map((length, n) => numbered(length, n * 7)))
        for (const { wire } of ends) {
          let at = 0
          wire.addEventListener('message', () => {
            if (pausing[at++ % pausing.length] !== true || wire.readStatus !== 'readable') return
            wire.pause()
            setImmediate(() => wire.readStatus === 'paused' && wire.resume())
          })
        }
        await Promise.all(ends.map((from, n) => write(from, sent[n]!)))
        const wanted = sent.map((list) => Buffer.concat(list))
        const came = (): boolean =>
          ends.every((_, n) => ends[1 - n]!.heard.reduce((sum, { length }) => sum + length, 0) === wanted[n]!.length)
        await until(came, 'all has come')
        for (const [n, bytes] of wanted.entries()) assert.ok(heardBy(ends[1 - n]!).equals(bytes))
        await Promise.all(ends.map(({ wire }) => wire.close()))
      }),
      { numRuns: 25 }
    )
  })

  it('cuts what is too large for an item, and sends small writes together', async () => {
    const { wire } = end()
    const items = wire.outgoing()
    const large = numbered(3 * MAX_FORWARD_BYTES + 5)
    wire.send(large)
    const cut: Buffer[] = []
    for (let n = 0; n < 4; n++) cut.push(Buffer.from((await items.next()).value!))
    assert.deepEqual(
      cut.map(({ length }) => length),
      [MAX_FORWARD_BYTES, MAX_FORWARD_BYTES, MAX_FORWARD_BYTES, 5]
    )
    assert.ok(Buffer.concat(cut).equals(large))
    for (let n = 0; n < 100; n++) wire.send(Uint8Array.of(n))
    assert.deepEqual(
      [...(await items.next()).value!],
      Array.from({ length: 100 }, (_, n) => n)
    )
  })

  it('tells its writer to wait at its high water mark, and once to go on when half of it has left', async () => {
    const { wire } = end()
    let drains = 0
    wire.addEventListener('drain', () => drains++)
    let written = 0
    while (wire.send(numbered(16 * KIB))) written += 16 * KIB
    assert.equal(written + 16 * KIB, WRITE_HIGH_WATER_BYTES)
    assert.equal(wire.send(numbered(16 * KIB)), false)
    const items = wire.outgoing()
    let left = WRITE_HIGH_WATER_BYTES
    while (drains === 0) left -= (await items.next()).value!.length
    assert.ok(
      left < WRITE_HIGH_WATER_BYTES / 2 && left + MAX_FORWARD_BYTES >= WRITE_HIGH_WATER_BYTES / 2,
      `${left} bytes are left`
    )
    await within(wire.onDrain(), 'writing goes on')
    // What was written while it had to wait goes out as well.
    for (left += 16 * KIB; left > 0;) left -= (await items.next()).value!.length
    assert.deepEqual([left, drains], [0, 1])
  })

  it('takes no more than an item while its reader pauses', async () => {
    const one = end()
    const source = feed()
    void one.wire.take(source.items)
    one.wire.pause()
    for (let n = 0; n < 10; n++) source.push(numbered(KIB))
    await settled()
    assert.deepEqual([one.heard.length, one.wire.readBufferLength], [0, KIB])
    one.wire.resume()
    await until(() => heardBy(one).length === 10 * KIB, 'the rest comes')
  })

  it('stays paused if its reader pauses in the very message that resuming brings', async () => {
    const one = end()
    const source = feed()
    void one.wire.take(source.items)
    one.wire.pause()
    one.wire.addEventListener('message', () => one.wire.pause())
    for (let n = 0; n < 10; n++) source.push(numbered(KIB))
    await settled()
    for (let n = 1; n <= 10; n++) {
      one.wire.resume()
      await settled()
      assert.deepEqual([heardBy(one).length <= n * KIB, one.wire.readBufferLength <= KIB], [true, true], `${n}`)
    }
  })

  for (const side of [0, 1] as const) {
    it(`brings all that was written before it was closed, then the end, by the ${side === 0 ? 'near' : 'far'} side`, async () => {
      const ends = pair()
      const [closer, other] = [ends[side], ends[1 - side]!]
      const bytes = numbered(700 * KIB)
      for (let at = 0; at < bytes.length; at += 100 * KIB) closer.wire.send(bytes.subarray(at, at + 100 * KIB))
      // What comes meanwhile is no reason to drop what is to be sent.
      other.wire.send(numbered(KIB))
      await within(closer.wire.close(), 'it closes')
      await until(() => other.closed !== undefined, 'the other side sees it')
      assert.ok(heardBy(other).equals(bytes), `${heardBy(other).length} of ${bytes.length} bytes`)
      assert.deepEqual([closer.closed?.error, other.closed?.error], [undefined, undefined])
      assert.deepEqual([closer.wire.status, other.wire.status], ['closed', 'closed'])
      for (const { events } of ends)
        assert.deepEqual([events.at(-1), events.filter((name) => name === 'close').length], ['close', 1])
    })
  }

  it('is not closed before all has left, and reads on until then', async () => {
    const one = end()
    const source = feed()
    void one.wire.take(source.items)
    const items = one.wire.outgoing()
    one.wire.send(numbered(KIB))
    const closing = one.wire.close()
    source.push(numbered(3))
    await settled()
    assert.deepEqual([one.closed, one.events, source.isLeft()], [undefined, ['message'], false])
    assert.equal((await items.next()).value?.length, KIB)
    assert.equal((await items.next()).done, true)
    await within(closing, 'it closes')
    assert.equal(one.events.at(-1), 'close')
  })

  it('gives up closing when it may wait no longer, or when there is nothing below any more', async () => {
    const [late, lost] = [end(), end()]
    for (const { wire } of [late, lost]) wire.send(numbered(KIB))
    await assert.rejects(within(late.wire.close({ signal: AbortSignal.timeout(5) }), 'it gives up'))
    const closing = lost.wire.close()
    lost.wire.lost(new MeshError('unavailable', 'cut'))
    await within(closing, 'it ends')
    assert.equal((lost.closed?.error as MeshError | undefined)?.code, 'unavailable')
  })

  it('sends nothing more once it is aborted, and says why, once', async () => {
    const one = end()
    const items = one.wire.outgoing()
    const next = items.next()
    await settled()
    one.wire.send(numbered(300 * KIB))
    assert.equal((await next).value?.length, MAX_FORWARD_BYTES)
    const why = new MeshError('unavailable', 'enough')
    one.wire.abort(why)
    one.wire.abort(new Error('again'))
    one.wire.lost(new MeshError('unavailable', 'also gone'))
    assert.equal((await items.next()).done, true)
    assert.deepEqual([one.events, one.closed?.error, one.wire.status], [['close'], why, 'aborted'])
    assert.throws(() => one.wire.send(Uint8Array.of(1)))
  })

  it('says nothing after its end, whatever still comes, and lets go of where that comes from', async () => {
    const one = end()
    const source = feed()
    const taking = one.wire.take(source.items)
    source.push(numbered(3))
    await until(() => one.heard.length === 1, 'the first')
    one.wire.abort(new MeshError('unavailable', 'over'))
    source.push(numbered(3))
    source.push(numbered(3))
    await within(taking, 'it takes no more')
    assert.deepEqual([one.events, source.isLeft()], [['message', 'close'], true])
  })

  it('ends with the error that its incoming side ends with, and cleanly without one', async () => {
    for (const [error, code] of [
      [new MeshError('unavailable', 'a node on the way is gone'), 'unavailable'],
      [new TypeError('odd'), 'internal'],
      [undefined, undefined]
    ] as const) {
      const one = end()
      const source = feed()
      const items = one.wire.outgoing()
      const taking = one.wire.take(source.items)
      source.push(numbered(3))
      source.end(error)
      await within(taking, 'it ends')
      assert.deepEqual(one.events, ['message', 'close'])
      assert.equal((one.closed?.error as MeshError | undefined)?.code, code)
      assert.equal((await within(items.next(), 'nothing is sent any more')).done, true)
    }
  })

  it('shows a paused reader what had come before the end', async () => {
    const one = end()
    const source = feed()
    void one.wire.take(source.items)
    one.wire.pause()
    source.push(numbered(KIB))
    source.push(numbered(KIB))
    source.end()
    await settled()
    assert.deepEqual(one.events, [])
    one.wire.resume()
    await until(() => one.closed !== undefined, 'the end')
    assert.equal(heardBy(one).length, 2 * KIB)
  })
})
