import assert from 'node:assert/strict'
import type { Backend } from '../../../src/backends/backend.ts'
import { isMeshError, type ErrorCode } from '../../../src/errors.ts'
import type { Mesh } from '../../../src/mesh-api.ts'
import { createNode } from '../../../src/node.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

const fails = (code: ErrorCode) => (error: unknown) => isMeshError(error, code)
const TOO_LONG = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`k${n}`, 'x'.repeat(4_000)]))

describe('register', () => {
  let node: Mesh
  before(async () => {
    const backend: Backend = {
      id: 'other',
      kind: 'test',
      async *discover() {
        yield [{ id: 'taken', type: 'demo/taken', tools: [] }]
        await new Promise(() => undefined)
      },
      async *call() {}
    }
    node = await createNode({ name: 'node', open: true, listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false })
    node.addBackend(backend)
    await until(() => node.capabilities().length === 1, 'the other backend offers')
  })
  after(() => node.stop())

  it('throws what speaks against a capability, and keeps nothing of it', () => {
    for (let n = 0; n < 2; n++) {
      assert.throws(() => node.register({ id: 'taken', type: 'demo/mine' }), fails('conflict'))
      assert.throws(() => node.register({ id: 'big', type: 'demo/big', metadata: TOO_LONG }), fails('too_large'))
    }
    assert.deepEqual(
      node.capabilities().map(({ id, type }) => `${id} ${type}`),
      ['taken demo/taken']
    )
    node.register({ id: 'big', type: 'demo/big' }).remove()
  })

  const described = (text: string): Promise<void> =>
    until(() => node.capabilities().find(({ id }) => id === 'mine')?.description === text, text)

  it('goes on with what was there if a change cannot be offered', async () => {
    const registration = node.register({ id: 'mine', type: 'demo/mine', description: 'before' })
    await described('before')
    assert.throws(() => registration.update({ description: 'after', metadata: TOO_LONG }), fails('too_large'))
    assert.throws(() => registration.update({ type: 'NO TYPE' }), fails('invalid_argument'))
    await described('before')
    registration.update({ description: 'after' })
    await described('after')
    registration.remove()
  })
})
