import assert from 'node:assert/strict'
import { isMeshError } from '../../../src/errors.ts'
import type { Protocol } from '../../../src/net/protocol.ts'
import { createSessions, type Sessions } from '../../../src/net/sessions.ts'
import { startPair, until, type Pair } from '../../fixtures/libp2p-pair.ts'

const now = (): number => performance.now()
const protocol: Protocol = {
  id: '/test/said/1',
  async *handle() {
    return null
  }
}

describe('sessions', () => {
  let pair: Pair
  let [here, there]: Sessions[] = []
  beforeEach(async () => {
    pair = await startPair()
    ;[here, there] = [pair.a, pair.b].map((libp2p) => createSessions({ libp2p, now }, protocol))
  })
  afterEach(async () => {
    await Promise.all([here!.stop(), there!.stop()])
    await pair.stop()
  })
  const refusal = async (): Promise<unknown> => {
    const peer = pair.b.peerId.toString()
    await until(() => here!.peek(peer) === undefined, 'the session is over')
    return here!.get(peer).then(
      () => assert.fail('it was opened'),
      (error: unknown) => error
    )
  }

  it('a peer that has never spoken the protocol does not speak it', async () => {
    assert.ok(isMeshError(await refusal(), 'unsupported'))
  })

  for (const [who, opens] of [
    ['this side', () => here!.get(pair.b.peerId.toString())],
    ['the other side', () => there!.get(pair.a.peerId.toString())]
  ] as const)
    it(`a peer that stops is away, and may be asked in vain no more, where ${who} had opened the session`, async () => {
      await Promise.all([here!.start(), there!.start()])
      await until(() => pair.b.getConnections().length > 0, 'the connection at its other end')
      await opens()
      await until(() => here!.peek(pair.b.peerId.toString()) !== undefined, 'the session')
      await there!.stop()
      const error = await refusal()
      assert.ok(isMeshError(error, 'unavailable'))
      assert.equal(error.details['notStarted'], true)
    })
})
