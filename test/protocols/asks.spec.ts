import assert from 'node:assert/strict'
import type { Welcome } from '../../protocols/join/messages.ts'
import { originBytes } from '../../src/core/document.ts'
import { isMeshError } from '../../src/errors.ts'
import { createJoinDesk, requestWelcome } from '../../src/net/join.ts'
import type { NodeServices } from '../../src/net/node-preset.ts'
import { createNearbyDesk, lookNearby } from '../../src/net/nearby.ts'
import { ASK_RATE } from '../../src/net/single-exchange.ts'
import { startNode, startPair, type Pair } from '../fixtures/libp2p-pair.ts'
import type { Libp2p } from '@libp2p/interface'

const MESH = originBytes('12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5')
const WELCOME: Welcome = { mesh: MESH, name: 'home', secret: new Uint8Array(32), chain: [], now: 7 }
const now = (): number => performance.now()

describe('asking to be let in, or to be renewed', function () {
  this.timeout(30_000)
  let pair: Pair
  let time: number
  beforeEach(async () => {
    time = 0
    pair = await startPair()
  })
  afterEach(() => pair.stop())
  const server = (): Libp2p<NodeServices> => pair.b as Libp2p<NodeServices>

  it('has a rate for each peer, and says when to try again', async () => {
    let given = 0
    const desk = createJoinDesk({
      libp2p: server(),
      now: () => time,
      isOpen: () => true,
      welcome: async () => (given++, WELCOME)
    })
    await desk.start()
    const renew = (connection = pair.connection): Promise<Welcome> => requestWelcome(connection, { op: 'renew' }, now)
    for (let n = 0; n < ASK_RATE.burst; n++) await renew()
    await assert.rejects(renew(), (error) => {
      assert.ok(isMeshError(error, 'busy'), String(error))
      assert.deepEqual(error.details, { reason: 'limit', retryAfterMs: 1_000 / ASK_RATE.perSecond })
      return true
    })
    assert.equal(given, ASK_RATE.burst, 'nothing was signed')
    const other = await startNode()
    await renew(await other.dial(server().getMultiaddrs()))
    await other.stop()
    time += 1_000 / ASK_RATE.perSecond
    await renew()
    await assert.rejects(renew(), (error) => isMeshError(error, 'busy'))
  })

  it('has one for nodes nearby as well', async () => {
    let looks = 0
    const never = async (): Promise<never> => assert.fail('nobody asks')
    const desk = createNearbyDesk({
      libp2p: server(),
      now: () => time,
      self: server().peerId.toString(),
      isOpen: () => true,
      excuse: () => undefined,
      sight: () => (looks++, { mesh: MESH, meshName: 'home', nodeName: 'laptop' }),
      begin: () => undefined,
      admit: never
    })
    server().services.gate.admit(pair.a.peerId.toString())
    await desk.start()
    for (let n = 0; n < ASK_RATE.burst; n++) assert.ok(await lookNearby(pair.connection, now))
    assert.equal(await lookNearby(pair.connection, now), undefined)
    assert.equal(looks, ASK_RATE.burst)
  })
})
