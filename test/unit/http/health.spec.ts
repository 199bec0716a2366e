import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FREE_BYTES, HEAP, LAG_MS, MANY_EVENTS, healthOf, type NodeReadings } from '../../../src/http/health.ts'
import { createApp } from '../../../src/http/app.ts'
import type { Mesh, MeshStatus } from '../../../src/mesh-api.ts'
import { createReadings } from '../../../src/node-health.ts'
import { createFakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)
const well: NodeReadings = {
  eventLoop: { lagMs: 1, utilization: 0.1 },
  memory: { rssBytes: 1, heapUsedBytes: 1, heapLimitBytes: 1_000 },
  disk: { writable: true, freeBytes: FREE_BYTES }
}

/** A node whose status is as given. */
function nodeWith(change: Partial<MeshStatus> = {}, waiting = 0): Mesh {
  const mesh = createFakeMesh()
  const backends: MeshStatus['backends'] = [{ id: 'shell', kind: 'command', state: 'online' }]
  const status = { ...mesh.status(), backends, ...change }
  return { ...mesh, status: () => status, waitingEvents: () => ({ events: [], total: waiting + 5_000, unaccepted: waiting }) }
}

describe('http health', () => {
  it('is ok when all parts are', () => {
    const { status, parts } = healthOf(nodeWith(), well)
    assert.equal(status, 'ok', JSON.stringify(parts))
    assert.deepEqual(parts.transports, { status: 'ok', listens: 1, connections: { tcp: 1 } })
    assert.deepEqual([parts.events.outbox, parts.events.inbox, parts.events.deadLetters], [5_000, 0, 1])
  })

  const offline: MeshStatus['backends'] = [{ id: 'shell', kind: 'command', state: 'offline', reason: 'not found' }]
  const mesh = createFakeMesh().status().mesh
  const BAD: [part: string, status: string, node: Mesh, readings: NodeReadings, reason: RegExp][] = [
    ['membership', 'failing', nodeWith({ mesh: { ...mesh, revoked: { reason: 'lost', at: '' } } }), well, /revoked: lost/],
    ['transports', 'degraded', nodeWith({ multiaddrs: [] }), well, /listens on no address/],
    ['network', 'degraded', nodeWith({ network: { state: 'no-multicast', message: 'nothing heard' } }), well, /nothing heard/],
    ['backends', 'degraded', nodeWith({ backends: offline }), well, /^shell is offline: not found$/],
    ['events', 'degraded', nodeWith({}, MANY_EVENTS), well, /900 events/],
    ['eventLoop', 'degraded', nodeWith(), { ...well, eventLoop: { lagMs: LAG_MS.degraded, utilization: 1 } }, /250 ms late/],
    ['eventLoop', 'failing', nodeWith(), { ...well, eventLoop: { lagMs: LAG_MS.failing, utilization: 1 } }, /2000 ms late/],
    ['memory', 'degraded', nodeWith(), { ...well, memory: { ...well.memory, heapUsedBytes: 1_000 * HEAP.degraded } }, /90 %/],
    ['memory', 'failing', nodeWith(), { ...well, memory: { ...well.memory, heapUsedBytes: 1_000 * HEAP.failing } }, /98 %/],
    ['disk', 'degraded', nodeWith(), { ...well, disk: { writable: true, freeBytes: FREE_BYTES - 1 } }, /bytes left/],
    ['disk', 'failing', nodeWith(), { ...well, disk: { writable: false, freeBytes: 1e9 } }, /cannot be written/],
    ['disk', 'failing', nodeWith(), { ...well, disk: { writable: true, freeBytes: 0 } }, /is full/]
  ]
  for (const [part, status, node, readings, reason] of BAD)
    it(`${part} is ${status}, and so is the node: ${reason.source}`, () => {
      const health = healthOf(node, readings)
      const found = health.parts[part as keyof typeof health.parts]
      assert.deepEqual([health.status, found?.status], [status, status])
      assert.match(found?.reason ?? '', reason)
      const others = Object.entries(health.parts).filter(([name]) => name !== part)
      for (const [name, other] of others) assert.equal(other.status, 'ok', name)
    })

  it('answers 200 while it works, 503 when a part is failing, and only to who has the token', async () => {
    const answer = async (readings: NodeReadings, headers: Record<string, string> = { authorization: `Bearer ${token}` }) => {
      const app = createApp({ mesh: nodeWith({ multiaddrs: [] }), tokens: [token], readings: async () => readings })
      return app(new Request('http://localhost/health/detailed', { headers }))
    }
    const degraded = await answer(well)
    assert.deepEqual([degraded.status, ((await degraded.json()) as { status: string }).status], [200, 'degraded'])
    const failing = await answer({ ...well, disk: { writable: false, freeBytes: 1 } })
    assert.deepEqual([failing.status, ((await failing.json()) as { status: string }).status], [503, 'failing'])
    assert.equal((await answer(well, {})).status, 401)
  })

  it('reads what this process is like, and a directory that is gone', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'atmo-health-'))
    const read = createReadings(dir)
    const { eventLoop, memory, disk } = await read()
    assert.ok(eventLoop.lagMs >= 0 && eventLoop.utilization >= 0 && eventLoop.utilization <= 1)
    assert.ok(memory.heapUsedBytes > 0 && memory.heapUsedBytes < memory.heapLimitBytes && memory.rssBytes > 0)
    assert.ok(disk?.writable === true && disk.freeBytes > 0)
    await rm(dir, { recursive: true })
    assert.deepEqual((await read()).disk, { writable: false, freeBytes: 0 })
  })
})
