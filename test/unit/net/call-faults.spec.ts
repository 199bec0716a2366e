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
})
