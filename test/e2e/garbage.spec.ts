import assert from 'node:assert/strict'
import { Session } from 'node:inspector/promises'
import type { HeapProfiler } from 'node:inspector'
import { createNode } from '../../src/index.ts'
import type { Mesh } from '../../src/mesh-api.ts'

const CALLS = 10_000
const IN_FLIGHT = 32
/** What a call makes is some 10 kB. Samples that are alive when the profile ends, and what else the process does, come to some 400 bytes. */
const MAX_OLD_BYTES_PER_CALL = 1_500

/**
 * A call must be garbage that a minor collection takes. V8 keeps more than one thinks: the map of a generator function made per call,
 * of a getter in an object literal, of a copy by spread; the outgrown tables of a Map. Each of them once kept whole calls to the next
 * major collection, and cost half the calls per second.
 */
describe('garbage of a call', function () {
  this.timeout(60_000)
  let provider: Mesh
  let caller: Mesh

  before(async () => {
    const listen = ['/ip4/127.0.0.1/tcp/0']
    provider = await createNode({ name: 'provider', listen, mdns: false })
    const plain = { name: 'plain', input: { type: 'object' }, concurrency: IN_FLIGHT }
    const slow = { ...plain, name: 'slow' }
    provider.register(
      { id: 'echo', type: 'test/echo', tools: [plain, slow] },
      { plain: (input) => input, slow: (input) => new Promise((resolve) => setImmediate(resolve, input)) }
    )
    const signal = AbortSignal.timeout(10_000)
    caller = await createNode({ name: 'caller', listen, mdns: false, peers: provider.multiaddrs() })
    for await (const event of caller.events({ signal })) if (event.event === 'capability:available') break
  })

  after(async () => {
    await caller.stop()
    await provider.stop()
  })

  async function flood(tool: string, calls: number): Promise<void> {
    const text = 'x'.repeat(1_000)
    let made = 0
    const worker = async (): Promise<void> => {
      while (made++ < calls) await caller.call('echo', tool, { text }).result
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
  }

  for (const tool of ['plain', 'slow']) {
    it(`is gone with a minor collection (${tool})`, async () => {
      await flood(tool, 3_000)
      const session = new Session()
      session.connect()
      try {
        // Of all that is allocated, the profile keeps what a minor collection did not take.
        await session.post('HeapProfiler.startSampling', {
          samplingInterval: 8_192,
          ...{ includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: false }
        })
        await flood(tool, CALLS)
        const { profile } = await session.post('HeapProfiler.stopSampling')
        const perCall = bytesOf(profile.head) / CALLS
        assert.ok(perCall < MAX_OLD_BYTES_PER_CALL, `${Math.round(perCall)} bytes of each call outlived a minor collection`)
      } finally {
        session.disconnect()
      }
    })
  }
})

function bytesOf(node: HeapProfiler.SamplingHeapProfileNode): number {
  return node.children.reduce((sum, child) => sum + bytesOf(child), node.selfSize)
}
