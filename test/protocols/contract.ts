import assert from 'node:assert/strict'
import type { Connection, Libp2p } from '@libp2p/interface'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MAX_EXCHANGES, MAX_FRAME_BYTES, encodeFrame, type Frame } from '../../protocols/framing/messages.ts'
import { isMeshError, type MeshError } from '../../src/errors.ts'
import type { Protocol } from '../../src/net/protocol.ts'
import { HANDSHAKE_TIMEOUT_MS } from '../../src/net/session-hello.ts'
import type { Session } from '../../src/net/session.ts'
import { MAX_STREAMS_PER_PEER, createSessions, type Sessions } from '../../src/net/sessions.ts'
import { startNode, until, within } from '../fixtures/libp2p-pair.ts'
import { HELLO, openRaw, type RawStream } from './raw-stream.ts'

/** What the contract needs to know of a protocol. */
export interface ContractSubject {
  /** The protocol as a node serves it. */
  protocol: Protocol
  /** Makes one good exchange and checks its answer. */
  good(session: Session): Promise<void>
  /** A request that is answered. */
  request: unknown
  /** A request that stays open until it is cancelled, if there is one; else each is answered at once. */
  holding?: unknown
  /** A request that the protocol does not know. */
  unknown: unknown
}

const MIB = 1024 * 1024
/** Live memory that an attack may cost beside what it was before: the allowances of one session, and what the attacker itself holds. */
const MAX_GROWTH_BYTES = 96 * MIB

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes that are really held: what only waits for the collector is no growth. */
function liveBytes(): number {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/**
 * What every protocol of the mesh must stand, over real libp2p nodes: a peer that is broken, hostile, slow or silent
 * costs a bounded amount, is told why where that is possible, and does the sessions of others no harm.
 */
export function protocolContract(name: string, factory: () => Promise<ContractSubject> | ContractSubject): void {
  describe(`contract of ${name}`, function () {
    this.timeout(30_000)
    let subject: ContractSubject
    let node: Libp2p
    let friend: Libp2p
    let attacker: Libp2p
    let sessions: Sessions
    let friendly: Sessions
    let good: Session
    let connection: Connection
    let faults: MeshError[]

    before(async () => {
      subject = await factory()
      ;[node, friend, attacker] = await Promise.all([startNode(), startNode(), startNode()])
      const now = (): number => performance.now()
      sessions = createSessions(
        { libp2p: node, now, onFault: (peer, error) => peer === attacker.peerId.toString() && faults.push(error) },
        subject.protocol
      )
      friendly = createSessions({ libp2p: friend, now }, subject.protocol)
      await Promise.all([sessions.start(), friendly.start()])
      await friend.dial(node.getMultiaddrs())
      good = await friendly.get(node.peerId.toString())
      connection = await attacker.dial(node.getMultiaddrs())
    })
    after(async () => {
      await Promise.all([sessions.stop(), friendly.stop()])
      await Promise.all([node.stop(), friend.stop(), attacker.stop()])
    })
    beforeEach(() => (faults = []))
    afterEach('does others no harm and leaves nothing behind', async () => {
      await within(subject.good(good), 'the session of a friend works')
      assert.equal(good.active, 0)
      for (const stream of [...connection.streams]) if (stream.protocol === subject.protocol.id) stream.abort(new Error('over'))
      const left = (): number =>
        node
          .getConnections(attacker.peerId)
          .flatMap(({ streams }) => streams.filter(({ protocol }) => protocol === subject.protocol.id)).length
      await until(
        () => left() === 0 && sessions.peek(attacker.peerId.toString()) === undefined,
        'its streams and sessions are gone'
      )
    })

    const raw = async (...first: (Frame | Uint8Array)[]): Promise<RawStream> => {
      const stream = await openRaw(connection, subject.protocol.id)
      stream.send(...first)
      return stream
    }
    const hello: Frame = { type: 'hello', hello: HELLO }
    const accepted = async (): Promise<RawStream> => {
      const stream = await raw(hello)
      await until(() => stream.heard.length > 0, 'accept')
      assert.equal(stream.heard[0]?.type, 'accept')
      return stream
    }
    const endsWith = async (stream: RawStream, code: string): Promise<void> => {
      await until(() => stream.ended && faults.length > 0, `a reset for ${code}`)
      assert.deepEqual(
        faults.map((error) => error.code),
        [code]
      )
    }
    /** Runs an attack and sees that memory stays within bounds. */
    const bounded = async (attack: () => Promise<void>): Promise<void> => {
      const before = liveBytes()
      let most = 0
      const look = (): void => {
        // Collecting takes long in a process of many tests: only where it decides.
        const { heapUsed, external } = process.memoryUsage()
        if (heapUsed + external - before >= MAX_GROWTH_BYTES) most = Math.max(most, liveBytes())
      }
      const watch = setInterval(look, 100)
      await attack().finally(() => clearInterval(watch))
      look()
      assert.ok(most - before < MAX_GROWTH_BYTES, `memory grew by ${Math.round((most - before) / MIB)} MiB`)
    }

    for (const [what, bytes] of [
      ['a frame over the limit', Uint8Array.of(0x81, 0x80, 0x80, 0x02)],
      ['a length of 4 GB', Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f)]
    ] as const) {
      it(`refuses ${what}, before and after hello`, async () => {
        await endsWith(await raw(bytes), 'too_large')
        faults = []
        const stream = await accepted()
        stream.send(bytes)
        await endsWith(stream, 'too_large')
      })
    }

    it('refuses garbage, before and after hello', async () => {
      const garbage = Uint8Array.from({ length: 4_096 }, (_, n) => (n * 131 + 17) & 0x7f)
      await endsWith(await raw(garbage), 'protocol_error')
      faults = []
      const stream = await accepted()
      stream.send(garbage)
      await endsWith(stream, 'protocol_error')
    })

    it('waits on half a frame without harm, and says so when it ends there', async () => {
      const stream = await accepted()
      stream.send(encodeFrame({ type: 'open', id: 1, body: subject.request, more: false }).subarray(0, 4))
      await subject.good(good)
      await stream.stream.close()
      await endsWith(stream, 'protocol_error')
    })

    it('answers a million tiny frames fast and in bounded memory', async () => {
      const stream = await accepted()
      const pings = Buffer.concat(Array.from({ length: 10_000 }, () => encodeFrame({ type: 'ping', nonce: 7 })))
      const start = performance.now()
      await bounded(async () => {
        for (let n = 0; n < 100; n++) if (!stream.send(pings)) await stream.drained()
        stream.send({ type: 'ping', nonce: 8 })
        await until(
          () => stream.heard.some((frame) => frame.type === 'pong' && frame.nonce === 8),
          'the last one is answered',
          20_000
        )
      })
      assert.ok(performance.now() - start < 20_000)
      assert.deepEqual(faults, [])
    })

    it('bounds what it holds for a peer that asks a million times and never reads', async () => {
      const stream = await openRaw(connection, subject.protocol.id, false)
      stream.send(hello)
      const pings = Buffer.concat(Array.from({ length: 10_000 }, () => encodeFrame({ type: 'ping', nonce: 7 })))
      await bounded(async () => {
        for (let n = 0; n < 100 && !stream.ended; n++)
          if (!stream.send(pings)) await Promise.race([stream.drained(), new Promise((resolve) => setTimeout(resolve, 100))])
      })
      await subject.good(good)
    })

    it('bounds what it holds for a peer that wants answers and never reads them', async () => {
      const stream = await openRaw(connection, subject.protocol.id, false)
      stream.send(hello)
      await bounded(async () => {
        for (let id = 1; id < 20_000 && !stream.ended; id += 2) {
          if (stream.send({ type: 'open', id, body: subject.request, more: false })) continue
          await Promise.race([stream.drained(), new Promise((resolve) => setTimeout(resolve, 100))])
          if (stream.stream.writableNeedsDrain) break
        }
      })
      await subject.good(good)
    })

    it(`gives up on a silent peer within ${HANDSHAKE_TIMEOUT_MS} ms, whoever opened the stream`, async () => {
      await attacker.handle(subject.protocol.id, () => undefined, { force: true })
      const inbound = await raw()
      const start = performance.now()
      await assert.rejects(sessions.get(attacker.peerId.toString()), (error) => isMeshError(error, 'unavailable'))
      await until(() => inbound.ended, 'the stream that said no hello is reset')
      assert.ok(performance.now() - start < HANDSHAKE_TIMEOUT_MS + 2_000)
      await attacker.unhandle(subject.protocol.id)
    })

    it('says unsupported of who does not speak it, unavailable of who has spoken it', async () => {
      const stranger = await startNode()
      try {
        await node.dial(stranger.getMultiaddrs())
        await assert.rejects(sessions.get(stranger.peerId.toString()), (error) => isMeshError(error, 'unsupported'))
      } finally {
        await stranger.stop()
      }
      await accepted().then(({ stream }) => stream.close())
      await until(() => sessions.peek(attacker.peerId.toString()) === undefined, 'the session is over')
      await assert.rejects(sessions.get(attacker.peerId.toString()), (error) => isMeshError(error, 'unavailable'))
    })

    it('survives a reset in the middle of a frame, and of an exchange', async () => {
      const stream = await accepted()
      stream.send(
        { type: 'open', id: 1, body: subject.holding ?? subject.request, more: true },
        encodeFrame({ type: 'item', id: 1, body: 'x'.repeat(500) }).subarray(0, 100)
      )
      await new Promise((resolve) => setImmediate(resolve))
      stream.stream.abort(new Error('cable'))
      await until(() => sessions.peek(attacker.peerId.toString()) === undefined, 'the session is gone')
    })

    it('answers a flood of exchanges with busy, or at once, and never runs more than its limit', async () => {
      const stream = await accepted()
      const total = MAX_EXCHANGES + 300
      for (let n = 0; n < total; n++) {
        if (!stream.send({ type: 'open', id: 2 * n + 1, body: subject.holding ?? subject.request, more: false }))
          await stream.drained()
      }
      const answered = (): number => stream.heard.filter(({ type }) => type === 'error' || type === 'end').length
      await until(() => answered() === (subject.holding === undefined ? total : 300), 'the answers', 15_000)
      const active = sessions.peek(attacker.peerId.toString())?.active ?? 0
      assert.equal(active, subject.holding === undefined ? 0 : MAX_EXCHANGES)
      if (subject.holding !== undefined) assert.ok(stream.heard.every((frame) => frame.type !== 'error' || frame.code === 'busy'))
    })

    it('refuses a version of the framing that it does not speak', async () => {
      await endsWith(await raw({ type: 'hello', hello: { ...HELLO, version: 0 } }), 'unsupported')
    })

    it('takes a later version, which must still speak this one', async () => {
      const stream = await raw({ type: 'hello', hello: { ...HELLO, version: 9 } })
      await until(() => stream.heard[0]?.type === 'accept', 'accept')
    })

    it('answers a request that it does not know with protocol_error, and goes on', async () => {
      const stream = await accepted()
      stream.send(
        { type: 'open', id: 1, body: subject.unknown, more: false },
        { type: 'open', id: 3, body: subject.request, more: false }
      )
      await until(() => stream.heard.some(({ type }) => type === 'end' || type === 'item'), 'the second is answered')
      const error = stream.heard.find((frame) => frame.type === 'error')
      assert.deepEqual([error?.id, error?.code], [1, 'protocol_error'])
    })

    for (const [what, frame] of [
      ['an exchange id of the other side', { type: 'open', id: 2, body: null, more: false }],
      ['an accept in the middle', { type: 'accept', hello: HELLO }]
    ] as [string, Frame][]) {
      it(`ends the session at ${what}`, async () => {
        const stream = await accepted()
        stream.send(frame)
        await endsWith(stream, 'protocol_error')
      })
    }

    it('lets one peer open a few streams and no more', async () => {
      const streams = await Promise.all(Array.from({ length: MAX_STREAMS_PER_PEER * 3 }, () => raw(hello).catch(() => undefined)))
      await until(
        () => streams.filter((stream) => stream?.heard[0]?.type === 'accept').length === MAX_STREAMS_PER_PEER,
        'the first are accepted'
      )
      await until(
        () => streams.filter((stream) => stream !== undefined && !stream.ended).length === MAX_STREAMS_PER_PEER,
        'the others are reset'
      )
    })

    it(`carries frames of ${MAX_FRAME_BYTES} bytes`, async () => {
      const stream = await accepted()
      stream.send({ type: 'item', id: 1, body: new Uint8Array(MAX_FRAME_BYTES - 16) }, { type: 'ping', nonce: 5 })
      await until(() => stream.heard.some(({ type }) => type === 'pong'), 'pong')
    })
  })
}
