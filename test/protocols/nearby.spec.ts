import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Welcome } from '../../protocols/join/messages.ts'
import {
  NEARBY_PROTOCOL,
  authenticationString,
  commitmentTo,
  decodeNearbyNonce,
  decodeNearbySight,
  encodeNearbyNonce,
  encodeNearbyRequest,
  isCommitted
} from '../../protocols/nearby/messages.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { originBytes } from '../../src/core/document.ts'
import {
  MAX_NEARBY_ASKING,
  askNearby,
  lookNearby,
  nearbyProtocol,
  type NearbyAsker,
  type NearbyHost
} from '../../src/net/nearby.ts'
import { createChannel } from '../../src/net/channel.ts'
import { openSession, type Session } from '../../src/net/session.ts'
import { answerSingle } from '../../src/net/single-exchange.ts'
import { startNode, startPair, until, within, type Pair } from '../fixtures/libp2p-pair.ts'
import { protocolContract } from './contract.ts'

const ID = '12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR'
const MESH = originBytes('12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5')
const SIGHT = { mesh: MESH, meshName: 'home', nodeName: 'laptop' }
const WELCOME: Welcome = { mesh: MESH, name: 'home', secret: new Uint8Array(32), chain: [], now: 7 }
const now = (): number => performance.now()

protocolContract('nearby', () => {
  const request = encodeNearbyRequest({ op: 'look' })
  return {
    protocol: nearbyProtocol({ self: ID, sight: () => SIGHT, begin: () => undefined, admit: async () => WELCOME }),
    async good(session) {
      const { value } = await session.request(request, { signal: new AbortController().signal }).next()
      assert.deepEqual(decodeNearbySight(value), SIGHT)
    },
    request,
    unknown: { o: 'what' }
  }
})

describe('authentication strings', () => {
  const nonce = fc.uint8Array({ minLength: 16, maxLength: 16 })
  const id = fc.uint8Array({ minLength: 2, maxLength: 64 })

  it('are six digits, the same on both sides, and of this meeting alone', () => {
    fc.assert(
      fc.property(id, id, id, nonce, nonce, (mesh, asks, answers, a, b) => {
        const meeting = { mesh, asks, answers, nonces: { asks: a, answers: b } }
        const code = authenticationString(meeting)
        assert.match(code, /^\d{6}$/)
        assert.equal(authenticationString(meeting), code)
      })
    )
    const fixed = { mesh: MESH, asks: MESH, answers: originBytes(ID), nonces: { asks: MESH, answers: MESH } }
    const swapped = { ...fixed, asks: fixed.answers, answers: fixed.asks }
    assert.notEqual(authenticationString(fixed), authenticationString(swapped))
  })

  it('are spread evenly enough', () => {
    const counts = new Array<number>(10).fill(0)
    for (let n = 0; n < 10_000; n++) {
      const nonces = { asks: Uint8Array.of(n >> 8, n), answers: MESH }
      counts[Number(authenticationString({ mesh: MESH, asks: MESH, answers: MESH, nonces })[0])]!++
    }
    for (const count of counts) assert.ok(count > 800 && count < 1_200, String(counts))
  })

  it('stand on nonces that are committed to', () => {
    fc.assert(
      fc.property(nonce, nonce, (a, b) => {
        assert.ok(isCommitted(commitmentTo(a), a))
        assert.equal(isCommitted(commitmentTo(a), b), Buffer.from(a).equals(Buffer.from(b)))
      })
    )
    assert.ok(!isCommitted(new Uint8Array(0), new Uint8Array(16)))
  })
})

describe('nearby protocol', function () {
  this.timeout(30_000)
  let pair: Pair
  let asked: NearbyAsker[]
  let begun: string[]
  /** How the person at the other side answers. */
  let answer: (asker: NearbyAsker, signal: AbortSignal) => Promise<Welcome>
  beforeEach(async () => {
    asked = []
    begun = []
    answer = async () => WELCOME
    pair = await startPair()
    const host: NearbyHost = {
      self: pair.b.peerId.toString(),
      sight: () => SIGHT,
      begin: (peer, op) => begun.push(`${op} ${peer}`),
      admit(asker, signal) {
        asked.push(asker)
        return answer(asker, signal)
      }
    }
    const protocol = nearbyProtocol(host)
    await pair.b.handle(
      NEARBY_PROTOCOL,
      async (stream, connection) => void (await answerSingle(stream, connection.remotePeer.toString(), protocol, now)),
      { maxInboundStreams: 16 }
    )
  })
  afterEach(async () => pair.stop())

  const ask = (
    confirm: (code: string, signal: AbortSignal) => Promise<boolean>,
    signal = new AbortController().signal
  ): Promise<Welcome> =>
    askNearby({ connection: pair.connection, self: pair.a.peerId.toString(), name: 'pi', mesh: MESH, now, signal, confirm })
  const waits = (_: unknown, signal: AbortSignal): Promise<never> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))

  it('shows what can be seen, and the same digits on both sides', async () => {
    assert.deepEqual(await lookNearby(pair.connection, now), SIGHT)
    const shown: string[] = []
    assert.deepEqual(await ask(async (code) => shown.push(code) > 0), { ...WELCOME, meshKey: undefined, successions: undefined })
    assert.deepEqual(asked, [{ peer: pair.a.peerId.toString(), name: 'pi', code: shown[0] }])
  })

  it('joins nothing if the person here says that the digits differ, whatever the other side says', async () => {
    await assert.rejects(
      ask(async () => false),
      (error) => isMeshError(error, 'permission_denied') && error.details['reason'] === 'not_approved'
    )
  })

  it('ends the question here when the other side says no', async () => {
    answer = () => Promise.reject(new MeshError('permission_denied', 'no', { reason: 'not_approved' }))
    let ended = false
    const confirm = async (_: string, signal: AbortSignal): Promise<boolean> => {
      signal.addEventListener('abort', () => (ended = true), { once: true })
      return waits(_, signal)
    }
    await assert.rejects(ask(confirm), { code: 'permission_denied' })
    assert.ok(ended)
  })

  it('takes the request back when whoever asks gives up or is gone', async () => {
    let gone = 0
    answer = (_, signal) => waits(_, signal).finally(() => gone++)
    const controller = new AbortController()
    const asking = ask(async () => true, controller.signal)
    await until(() => asked.length === 1, 'asked')
    controller.abort()
    await assert.rejects(asking, { code: 'cancelled' })
    await until(() => gone === 1, 'taken back')
    const again = ask(async () => true)
    await until(() => asked.length === 2, 'asked again')
    pair.connection.abort(new Error('cut'))
    await assert.rejects(again, { code: 'unavailable' })
    await until(() => gone === 2, 'taken back again')
  })

  it('shows other digits on both sides when somebody stands in between', async () => {
    // The one in between asks the mesh in its own name, and answers who asks as if it were the mesh.
    const victim = await startNode()
    const shown: { victim?: string; mesh?: string } = {}
    try {
      const inBetween = nearbyProtocol({
        self: pair.a.peerId.toString(),
        sight: () => SIGHT,
        begin: () => undefined,
        admit: () => ask(async () => true)
      })
      await pair.a.handle(NEARBY_PROTOCOL, async (stream, connection) => {
        await answerSingle(stream, connection.remotePeer.toString(), inBetween, now)
      })
      answer = async ({ code }) => {
        shown.mesh = code
        return WELCOME
      }
      await askNearby({
        connection: await victim.dial(pair.a.getMultiaddrs()),
        self: victim.peerId.toString(),
        name: 'pi',
        mesh: MESH,
        now,
        signal: new AbortController().signal,
        async confirm(code) {
          shown.victim = code
          return true
        }
      })
      assert.match(`${shown.victim} ${shown.mesh}`, /^\d{6} \d{6}$/)
      assert.notEqual(shown.victim, shown.mesh)
    } finally {
      await victim.stop()
    }
  })

  it('refuses a nonce that was not committed to: nobody may choose it when the other one is known', async () => {
    const mine = await open()
    const exchange = mine.request(encodeNearbyRequest({ op: 'ask', commitment: commitmentTo(new Uint8Array(16)), name: '' }), {
      signal: new AbortController().signal,
      input: (async function* () {
        yield encodeNearbyNonce(new Uint8Array(16).fill(1))
      })()
    })
    assert.equal(decodeNearbyNonce((await exchange.next()).value).length, 16)
    await assert.rejects(exchange.next(), { code: 'protocol_error' })
    assert.deepEqual(asked, [])
  })

  it('lets a few ask at once, and no more; one stream is for one exchange', async () => {
    answer = waits
    const controller = new AbortController()
    const one = async (): Promise<AsyncGenerator<unknown, unknown, void>> => {
      const nonce = new Uint8Array(16)
      return (await open()).request(encodeNearbyRequest({ op: 'ask', commitment: commitmentTo(nonce), name: '' }), {
        signal: controller.signal,
        input: (async function* () {
          yield encodeNearbyNonce(nonce)
        })()
      })
    }
    for (let n = 0; n < MAX_NEARBY_ASKING; n++) {
      const exchange = await one()
      await exchange.next()
      void exchange.next().catch(() => undefined)
    }
    await assert.rejects((await one()).next(), { code: 'busy' })
    assert.equal(begun.length, MAX_NEARBY_ASKING, 'who finds no room has had no try')
    controller.abort()
    const never = { signal: new AbortController().signal }
    const again = async (): Promise<unknown> => {
      const exchange = (await open()).request(
        encodeNearbyRequest({ op: 'ask', commitment: commitmentTo(new Uint8Array(16)), name: '' }),
        never
      )
      try {
        return await exchange.next()
      } catch (error) {
        if (!isMeshError(error, 'busy')) throw error
        return await again()
      } finally {
        await exchange.return(undefined)
      }
    }
    await within(again(), 'room again')
    const session = await open()
    const look = encodeNearbyRequest({ op: 'look' })
    assert.deepEqual(decodeNearbySight((await session.request(look, never).next()).value), SIGHT)
    await assert.rejects(session.request(look, never).next())
  })

  it('counts each that learns a nonce, also if it goes without showing its own', async () => {
    for (let n = 1; n <= 3; n++) {
      const exchange = (await open()).request(
        encodeNearbyRequest({ op: 'ask', commitment: commitmentTo(new Uint8Array(16)), name: '' }),
        { signal: new AbortController().signal }
      )
      await exchange.next()
      await exchange.return(undefined)
      assert.deepEqual(begun, Array<string>(n).fill(`ask ${pair.a.peerId.toString()}`))
    }
    assert.deepEqual(asked, [])
  })

  /** Not openSingle: who attacks opens as many streams as it likes. */
  const open = async (): Promise<Session> => {
    const stream = await pair.connection.newStream(NEARBY_PROTOCOL, { maxOutboundStreams: 64 })
    const refuse: Parameters<typeof openSession>[0]['handler'] = async function* () {
      throw new Error('this side only asks')
    }
    return openSession({ channel: createChannel(stream), initiator: true, handler: refuse, now })
  }
})
