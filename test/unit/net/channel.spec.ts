import assert from 'node:assert/strict'
import type { Stream } from '@libp2p/interface'
import { MAX_CHUNKS } from '../../../src/net/frame-buffer.ts'
import { encodeFrame } from '../../../protocols/framing/messages.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import { READ_HIGH_WATER_BYTES, createChannel, type Channel } from '../../../src/net/channel.ts'
import { createDefer } from '../../../src/net/defer.ts'
import { FLUSH_BYTES, WRITE_HIGH_WATER_BYTES, WRITE_LIMIT_BYTES, WRITE_LIMIT_FRAMES } from '../../../src/net/send-queue.ts'
import { openSession } from '../../../src/net/session.ts'
import { startPair, until, within, type Pair } from '../../fixtures/libp2p-pair.ts'

const KIB = 1024
const item = (bytes: number): Uint8Array => encodeFrame({ type: 'item', id: 1, body: new Uint8Array(bytes) })
const ping = (nonce: number): Uint8Array => encodeFrame({ type: 'ping', nonce })

async function readAll(channel: Channel): Promise<number> {
  let frames = 0
  for await (const batch of channel.batches()) frames += batch.length
  return frames
}

/** Sends as fast as `ready()` allows until the channel ends; `sent()` tells how many bytes it took. */
function sendForEver(channel: Channel, frame: Uint8Array): { sent(): number; ended: Promise<void> } {
  let sent = 0
  const run = async (): Promise<void> => {
    for (;;) {
      await channel.ready()
      channel.send(frame)
      sent += frame.length
    }
  }
  return { sent: () => sent, ended: run().catch(() => undefined) }
}

/** Resolves when the value has not changed for `turns` looks in a row. */
async function settled(value: () => number, turns = 60): Promise<void> {
  let last = -1
  let same = 0
  await until(
    () => {
      same = value() === last ? same + 1 : 0
      last = value()
      return same >= turns
    },
    'the sender stalls',
    10_000
  )
}

describe('channel', function () {
  this.timeout(30_000)
  let pair: Pair
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())

  const channels = async (): Promise<[Channel, Channel, Stream, Stream]> => {
    const [a, b] = await pair.streams()
    return [createChannel(a), createChannel(b), a, b]
  }
  const stop = async (...all: Channel[]): Promise<void> => {
    for (const channel of all) channel.abort(new MeshError('cancelled', 'the test is over'))
    await Promise.all(all.map(({ closed }) => closed))
  }

  it('sends at once what is past the flush limit, the rest after the tick', async () => {
    const [a, b, stream] = await channels()
    let writes = 0
    const send = stream.send.bind(stream)
    stream.send = (data) => (writes++, send(data))
    for (let i = 0; i < 3; i++) a.send(item(1 * KIB))
    assert.equal(writes, 0)
    a.send(item(FLUSH_BYTES))
    assert.equal(writes, 1)
    a.send(item(1 * KIB))
    assert.equal(writes, 1)
    const reader = b.batches()
    for (let got = 0; got < 5;) got += ((await reader.next()).value as Uint8Array[]).length
    assert.equal(writes, 2)
    await stop(a, b)
  })

  it('opens the window of yamux to its largest: nothing measures round trips for it', async () => {
    const [a, b, sending] = await channels()
    void readAll(b).catch(() => undefined)
    for (let i = 0; i < 4; i++) a.send(item(128 * KIB))
    await until(
      () => (sending as unknown as { sendWindowCapacity: number }).sendWindowCapacity > 256 * KIB,
      'the window stays as small as it began'
    )
    await stop(a, b)
  })

  it('trap 1: a slow reader really pauses the sender', async () => {
    const [a, b] = await channels()
    const sender = sendForEver(a, item(64 * KIB))
    const reader = b.batches()
    let taken = 0
    for (let round = 0; round < 4; round++) {
      await settled(sender.sent)
      const ahead = sender.sent() - taken
      assert.ok(ahead < 4 * KIB * KIB, `${ahead} bytes are on the way after ${taken} were taken`)
      assert.ok(b.bufferedBytes < 2 * READ_HIGH_WATER_BYTES + 1024 * KIB, `the reader holds ${b.bufferedBytes}`)
      const batch = await reader.next()
      taken += (batch.value as Uint8Array[]).reduce((sum, { length }) => sum + length, 0)
    }
    // It goes on where it was, at full speed, as soon as the reader does.
    const before = taken
    while (taken < before + 16 * KIB * KIB) {
      const batch = await within(reader.next(), 'the sender resumes')
      taken += (batch.value as Uint8Array[]).reduce((sum, { length }) => sum + length, 0)
    }
    await stop(a, b)
    await sender.ended
  })

  it('trap 2: waiting for drain works a thousand times, and never more than the high-water mark is queued', async () => {
    const [a, b, stream] = await channels()
    const read = readAll(b)
    const frame = item(200 * KIB)
    let waits = 0
    let most = 0
    for (let n = 0; waits < 1_000 && n < 20_000; n++) {
      if (!a.writable) waits++
      await a.ready()
      a.send(frame)
      // What libp2p itself holds back counts as well: it was 892 MB when the sender trusted onDrain().
      most = Math.max(most, (stream as unknown as { writeBuffer: { byteLength: number } }).writeBuffer.byteLength)
    }
    assert.ok(waits >= 1_000, `waited only ${waits} times`)
    assert.ok(most <= WRITE_HIGH_WATER_BYTES + 2 * frame.length, `libp2p queued ${most} bytes`)
    await a.close()
    await b.close()
    assert.ok((await read) >= 1_000)
  })

  it('trap 3: a pause decided inside a message listener survives', async () => {
    const [a, b, , stream] = await channels()
    const sender = sendForEver(a, item(64 * KIB))
    // Never read: the pause must hold, or the buffer grows and libp2p resets the stream at 4 MiB.
    await settled(sender.sent)
    assert.equal(stream.readStatus, 'paused')
    assert.ok(b.bufferedBytes < 2 * KIB * KIB)
    const reader = b.batches()
    // Each resume delivers what was held back within the call: the listener pauses again, and that must stay.
    for (let round = 0; round < 20; round++) {
      await reader.next()
      await settled(sender.sent, 5)
      assert.ok(b.bufferedBytes < 3 * KIB * KIB, `${b.bufferedBytes} bytes after round ${round}`)
    }
    assert.equal(stream.status, 'open')
    await stop(a, b)
    await sender.ended
  })

  it('trap 4: a reset or a cancel of the remote reaches the source generator', async () => {
    for (const how of ['reset', 'cancel'] as const) {
      let finished = false
      let made = 0
      const [a, b] = await pair.sessions({
        async *b() {
          try {
            for (;;) {
              made++
              yield 'x'.repeat(1_000)
            }
          } finally {
            finished = true
          }
        }
      })
      const reply = a.request(null, { signal: new AbortController().signal })
      await reply.next()
      if (how === 'cancel') await reply.return(undefined)
      else a.abort(new MeshError('cancelled', 'gone'))
      await until(() => finished, `the source ends after a ${how}`)
      const then = made
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(made, then)
      assert.equal(b.active, 0)
      a.abort(new MeshError('cancelled', 'over'))
      await b.closed
    }
  })

  it('trap 4: a generator that waits on its own is told by its signal', async () => {
    let aborted = false
    const [a, b] = await pair.sessions({
      async *b({ cancellation: { signal } }) {
        yield 1
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
        aborted = true
      }
    })
    const reply = a.request(null, { signal: new AbortController().signal })
    await reply.next()
    a.abort(new MeshError('cancelled', 'gone'))
    await until(() => aborted, 'the handler hears of it')
    await b.closed
  })

  it('trap 5: bytes before the handler listens do not reset the stream', async () => {
    const [mine, theirs] = await pair.streams()
    const now = (): number => performance.now()
    const handler = async function* (): AsyncGenerator<unknown, unknown, void> {
      yield 1
      return 'answer'
    }
    // The opening side is ready long before the other listens: it must send its small hello, and then wait.
    const opening = openSession({ channel: createChannel(mine), initiator: true, handler, now })
    const pending = opening.then((session) => {
      const reply = session.request(new Uint8Array(3 * KIB * KIB), { signal: new AbortController().signal })
      return reply.next()
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    const held = (theirs as unknown as { readBuffer: { byteLength: number } }).readBuffer.byteLength
    assert.ok(held > 0 && held < 100, `${held} bytes came before anyone listened`)
    const accepting = openSession({ channel: createChannel(theirs), initiator: false, handler, now })
    const [a, b] = await Promise.all([opening, accepting])
    assert.deepEqual(await pending, { value: 1, done: false })
    a.abort(new MeshError('cancelled', 'over'))
    await b.closed
  })

  it('delivers frames in order, whatever the chunks', async () => {
    const [mine, theirs] = await pair.streams()
    const b = createChannel(theirs)
    const frames = [ping(1), item(100), ping(2), item(70_000), ping(3)]
    const all = Buffer.concat(frames)
    const sizes: number[] = []
    const reading = (async () => {
      for await (const batch of b.batches()) sizes.push(...batch.map(({ length }) => length))
    })()
    for (let at = 0; at < all.length; at += 37) {
      if (!mine.send(all.subarray(at, at + 37)))
        await new Promise((resolve) => mine.addEventListener('drain', resolve, { once: true }))
    }
    await mine.close()
    await reading
    const prefix = (length: number): number => (length < 0x80 ? 1 : length < 0x4000 ? 2 : 3)
    assert.deepEqual(
      sizes.map((length) => length + prefix(length)),
      frames.map(({ length }) => length)
    )
    await b.close()
  })

  it('joins the crumbs of a large frame, so that they cost their bytes and no more', async () => {
    const [mine, theirs] = await pair.streams()
    const b = createChannel(theirs)
    const frame = item(8 * KIB)
    const reader = b.batches()
    const batch = reader.next()
    for (const byte of frame) {
      if (!mine.send(Uint8Array.of(byte))) await new Promise((resolve) => mine.addEventListener('drain', resolve, { once: true }))
    }
    assert.ok(frame.length > 4 * MAX_CHUNKS)
    const step = await within(batch, 'the frame comes')
    assert.equal((step.value as Uint8Array[]).length, 1)
    await stop(b)
  })

  it('refuses a frame over the limit at its first bytes', async () => {
    const [mine, theirs] = await pair.streams()
    const b = createChannel(theirs)
    mine.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f))
    await assert.rejects(b.batches().next(), (error) => isMeshError(error, 'too_large'))
    await until(() => mine.status !== 'open', 'the stream is reset')
    assert.equal((await b.closed)?.code, 'too_large')
  })

  it('tells a frame that was cut off by a close', async () => {
    const [mine, theirs] = await pair.streams()
    const b = createChannel(theirs)
    mine.send(item(1_000).subarray(0, 500))
    await Promise.all([mine.close(), assert.rejects(b.batches().next(), (error) => isMeshError(error, 'protocol_error'))])
    await stop(b)
  })

  it('gives up on a peer that makes it send and never reads: by bytes, and by frames', async () => {
    for (const [frame, count] of [
      [item(1024 * KIB), WRITE_LIMIT_BYTES / (1024 * KIB) + 8],
      [ping(1), WRITE_LIMIT_FRAMES + 1]
    ] as [Uint8Array, number][]) {
      const [mine] = await pair.streams()
      const a = createChannel(mine)
      for (let n = 0; n < 8; n++) {
        // First until the other side's window is full and the stream is blocked.
        a.send(item(512 * KIB))
        await new Promise((resolve) => setImmediate(resolve))
      }
      for (let n = 0; n < count; n++) a.send(frame)
      assert.equal((await within(a.closed, 'the channel ends'))?.code, 'protocol_error')
      assert.equal(a.writable, false)
      await assert.rejects(a.ready())
    }
  })

  it('sends what is queued before it closes, blocked or not', async () => {
    const [a, b] = await channels()
    for (let n = 0; n < 20; n++) {
      a.send(item(256 * KIB))
      await new Promise((resolve) => setImmediate(resolve))
    }
    const read = readAll(b)
    await Promise.all([a.close(), read.then(() => b.close())])
    assert.equal(await read, 20)
    assert.equal(await a.closed, undefined)
  })

  it('lets a stream have its turn while calls fill the queue at every drain, and calls while streams do', async () => {
    const [a, b] = await channels()
    const sent = { call: 0, stream: 0 }
    const keepSending = async (kind: 'call' | 'stream', turn: () => Promise<void>, bytes: number): Promise<void> => {
      for (;;) {
        await turn()
        a.send(item(bytes))
        sent[kind]++
      }
    }
    const senders = Array.from({ length: 16 }, (_, n) =>
      n % 2 === 0 ? keepSending('call', a.room, 256 * KIB) : keepSending('stream', a.ready, 64 * KIB)
    )
    const read = readAll(b)
    await until(() => Math.min(sent.call, sent.stream) >= 100, 'both kinds are sent', 15_000)
    await stop(a, b)
    await Promise.allSettled([...senders, read])
  })

  it('defers past the microtasks of woken senders also where there is no setImmediate', async () => {
    const ports: MessagePort[] = []
    class Noted extends MessageChannel {
      constructor() {
        super()
        ports.push(this.port1, this.port2)
      }
    }
    const defer = createDefer({ MessageChannel: Noted })
    const ran: string[] = []
    const done = new Promise<void>((resolve) => {
      defer(() => ran.push('first'))
      defer(() => resolve(void ran.push('second')))
    })
    for (let n = 0; n < 10; n++) await Promise.resolve()
    assert.deepEqual(ran, [])
    await within(done, 'the tasks run')
    assert.deepEqual(ran, ['first', 'second'])
    for (const port of ports) port.close()
  })

  it('does not wait for ever for a remote that does not close', async () => {
    const [a] = await channels()
    await within(a.close(), 'close gives up', 4_000)
    assert.equal((await a.closed)?.code, 'unavailable')
  })

  it('rejects who waits when the stream is reset', async () => {
    const [a, b] = await channels()
    const sender = sendForEver(a, item(512 * KIB))
    await settled(sender.sent, 10)
    b.abort(new MeshError('cancelled', 'enough'))
    await within(sender.ended, 'the sender ends')
    assert.equal((await a.closed)?.code, 'unavailable')
  })
})
