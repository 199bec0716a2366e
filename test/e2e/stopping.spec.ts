/** A node that stops while it does something for others, or has them do it. */
import assert from 'node:assert/strict'
import { serveApi, type ApiServer } from '../../src/http/serve.ts'
import type { Mesh } from '../../src/index.ts'
import { ask } from '../fixtures/api-request.ts'
import { until, within } from '../fixtures/libp2p-pair.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'

const token = 'T'.repeat(43)

describe('a node that stops', function () {
  this.timeout(60_000)
  let mesh: TestMesh
  let caller: Mesh
  let api: ApiServer
  let running = 0
  const cancelled: string[] = []
  before(async () => {
    mesh = await createTestMesh('stopping')
    const provider = await mesh.join('owner')
    const hang =
      (name: string) =>
      (_input: unknown, { signal }: { signal: AbortSignal }): Promise<null> =>
        new Promise((end) => {
          running++
          signal.addEventListener('abort', () => (cancelled.push(name), end(null)))
        })
    provider.register(
      {
        id: 'press',
        type: 'demo/press',
        tools: [
          { name: 'once', idempotent: false },
          { name: 'again', idempotent: true }
        ]
      },
      { once: hang('once'), again: hang('again') }
    )
    caller = await mesh.join('member', { peers: provider.multiaddrs() })
    await until(() => caller.capabilities({ id: 'press' }).length === 1, 'the caller knows the press', 20_000)
    api = await serveApi({ mesh: caller, token })
  })
  after(async () => {
    await api.close()
    await mesh.stop()
  })

  it('while it runs calls of others: they learn that, and never that nothing was begun', async () => {
    const kiln = await mesh.join('member', { name: 'kiln', peers: caller.multiaddrs() })
    let begun = 0
    const burn = (): Promise<null> => (begun++, new Promise(() => undefined))
    const tools = [{ name: 'once', idempotent: false }, { name: 'burn' }]
    kiln.register({ id: 'kiln', type: 'demo/kiln', tools }, { once: burn, burn })
    await until(() => caller.capabilities({ id: 'kiln' }).length === 1, 'the caller knows the kiln', 20_000)
    const once = caller.call('kiln', 'once', {}).result
    const again = ask(api.url, '/capabilities/kiln/tools/burn', { token, json: {} })
    await until(() => begun === 2, 'both run')
    const stopped = kiln.stop()
    const message = `kiln (…${kiln.peerId.slice(-8)}) stopped while it ran the call`
    const details = { lost: true, begun: true, peer: kiln.peerId, reason: 'provider_stopped' }
    await assert.rejects(within(once, 'it ends', 20_000), { code: 'unavailable', message, details })
    const { status, json } = await within(again, 'the other ends', 20_000)
    const error = json.error as { message: string; details: Record<string, unknown> }
    assert.equal(error.message, `${message}, and cannot be reached now (after 3 tries at it)`)
    assert.deepEqual([status, error.details['begun'], error.details['notStarted'], begun], [503, true, undefined, 2])
    await stopped
  })

  it('while it calls others: says so of calls that it cuts, in its program and at its API, and does not blame who did them', async () => {
    const calls = ['once', 'again'].map((tool) => caller.call('press', tool, {}).result)
    const asked = ask(api.url, '/capabilities/press/tools/again', { token, json: {} })
    await until(() => running === 3, 'all run')
    const stopped = caller.stop()
    const isStopping = { code: 'unavailable', message: 'this node is stopping', details: { reason: 'stopping' } }
    for (const call of calls) await assert.rejects(within(call, 'it ends'), isStopping)
    const { status, json } = await asked
    assert.deepEqual([status, json.error], [503, isStopping])
    // What was asked of the other one is not asked again.
    await until(() => cancelled.length === 3, 'the provider is told')
    assert.deepEqual([running, cancelled.sort()], [3, ['again', 'again', 'once']])
    await stopped
  })
})
