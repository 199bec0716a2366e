import assert from 'node:assert/strict'
import { Cancellation } from '../../../src/core/cancellation.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import { callOver } from '../../../src/net/call.ts'
import { startPair, until, within, type Pair } from '../../fixtures/libp2p-pair.ts'

describe('a call that goes wrong', () => {
  let pair: Pair
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())

  it('leaves no exchange behind when an item does not decode', async () => {
    const [a, b] = await pair.sessions({
      async *b() {
        yield ['an item of a kind that nobody knows']
        await new Promise(() => undefined)
      }
    })
    const call = callOver(a)({ capability: 'c', tool: 't', input: {}, caller: 'me' }, new Cancellation())
    const read = async (): Promise<void> => {
      for await (const item of call) void item
    }
    await assert.rejects(read(), (error) => isMeshError(error, 'protocol_error'))
    await until(() => a.active === 0 && b.active === 0, 'both ends forget it')
    a.abort(new MeshError('cancelled', 'over'))
  })

  it('is told of the deadline of its provider even while it takes nothing', async () => {
    let provider: Cancellation | undefined
    const [a, b] = await pair.sessions({
      async *b({ cancellation }) {
        provider = cancellation
        for (;;) yield new Uint8Array(16 * 1024)
      }
    })
    const exchange = a.request(null, {})
    await exchange.next()
    await until(() => b.active === 1, 'it runs')
    provider!.abort(new MeshError('deadline_exceeded', 'too long'))
    await until(() => b.active === 0, 'the provider forgets it')
    const drain = async (): Promise<void> => {
      for await (const item of exchange) void item
    }
    await assert.rejects(within(drain(), 'its end'), (error) => isMeshError(error, 'deadline_exceeded'))
    a.abort(new MeshError('cancelled', 'over'))
  })

  it('is lost where this node sees its session end, and not where a peer says so', async () => {
    const [a] = await pair.sessions({
      async *b({ body }) {
        if ((body as { t: string }).t === 'liar')
          throw new MeshError('unavailable', 'gone', { lost: true, notStarted: true, why: 1 })
        await new Promise(() => undefined)
      }
    })
    const detailsOf = async (tool: string): Promise<unknown> => {
      try {
        for await (const item of callOver(a)({ capability: 'c', tool, input: {}, caller: 'me' }, new Cancellation())) void item
      } catch (error) {
        return (error as MeshError).details
      }
    }
    assert.deepEqual(await detailsOf('liar'), { notStarted: true, why: 1 })
    const running = detailsOf('holds')
    await until(() => a.active === 1, 'it runs')
    a.abort(new MeshError('protocol_error', 'nonsense', { notStarted: true }))
    assert.deepEqual(await running, { lost: true }, 'it may have begun')
    assert.deepEqual(await detailsOf('later'), { lost: true, notStarted: true })
  })

  it('is lost and did not start where the peer is stopping', async () => {
    const [a, b] = await pair.sessions({
      async *b() {
        await new Promise(() => undefined)
      }
    })
    const closing = b.close()
    await until(() => !a.open, 'it says so')
    const call = callOver(a)({ capability: 'c', tool: 't', input: {}, caller: 'me' }, new Cancellation())
    await assert.rejects(call[Symbol.asyncIterator]().next(), (error) => {
      assert.ok(isMeshError(error, 'unavailable'))
      assert.deepEqual(error.details, { lost: true, notStarted: true })
      return true
    })
    await closing
  })
})
