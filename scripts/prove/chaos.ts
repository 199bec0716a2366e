/** Ten thousand calls at random with random cancels over four nodes that are killed and started again: each ends once, nothing is left. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFleet } from './fleet.ts'

interface Storm {
  issued: number
  settled: number
  twice: number
  outcomes: Record<string, number>
}

interface Usage {
  rss: number
  heapUsed: number
  handles: number
}

/** @param calls made by the first node. @param killMs between two kills. */
export async function proveChaos({
  calls = 10_000,
  killMs = 500,
  seed = 1
}: { calls?: number; killMs?: number; seed?: number } = {}): Promise<object> {
  const dirs = mkdtempSync(join(tmpdir(), 'atmo-chaos-'))
  const fleet = await createFleet(
    Array.from({ length: 4 }, () => ({})),
    ['--expose-gc']
  )
  const start = async (n: number): Promise<void> => {
    const node = fleet.nodes[n]!
    await node.ask('start', { name: node.name, dataDir: join(dirs, node.name), watch: n === 0 })
    await node.ask('register', { id: 'shared', type: 'test/shared', tool: { idempotent: true, concurrency: 32, queue: 64 } })
    await node.ask('register', { id: `own-${n}`, tool: { concurrency: 8, queue: 16 } })
  }
  try {
    for (let n = 0; n < 4; n++) await start(n)
    const caller = fleet.nodes[0]!
    for (let n = 1; n < 4; n++)
      await caller.saw((e) => e.seen === 'capability:available' && e.id === `own-${n}`, 20_000, `own-${n}`)
    await caller.ask('storm', { calls: 500, seed: 0 }, 120_000)
    const before = await settled(caller)
    let running = true
    let kills = 0
    let random = seed
    const next = (): number => (random = (random * 48_271) % 0x7fff_ffff) / 0x7fff_ffff
    const storm = caller.ask<Storm>('storm', { calls, seed }, 600_000).finally(() => (running = false))
    while (running) {
      await Promise.race([storm, new Promise((resolve) => setTimeout(resolve, killMs * (0.5 + next())))])
      if (!running) break
      const n = 1 + Math.floor(next() * 3)
      await fleet.nodes[n]!.process.end('SIGKILL')
      kills++
      const node = fleet.spawn(n)
      await node.saw(({ event }) => event === 'hello', 30_000, 'hello')
      await start(n)
    }
    const result = await storm
    const statuses = await Promise.all(fleet.nodes.map((node) => idleStatus(node)))
    const after = await settled(caller)
    const again = await caller.ask<Storm>('storm', { calls: 1_000, seed: seed + 1 }, 120_000)
    const last = await settled(caller)
    return {
      ...result,
      kills,
      stillInFlight: statuses,
      heapMb: [before, after, last].map(({ heapUsed }) => Math.round((heapUsed / 1024 / 1024) * 10) / 10),
      rssMb: [before, after, last].map(({ rss }) => Math.round(rss / 1024 / 1024)),
      handles: [before, after, last].map(({ handles }) => handles),
      settledAfterwards: again.settled,
      pass:
        result.settled === result.issued &&
        result.twice === 0 &&
        (result.outcomes['untyped'] ?? 0) === 0 &&
        statuses.every((count) => count === 0) &&
        after.heapUsed - before.heapUsed < 16 * 1024 * 1024 &&
        after.handles <= before.handles + 4
    }
  } finally {
    await fleet.close()
    rmSync(dirs, { recursive: true, force: true })
  }

  /** Calls still running there once it had time to notice that nobody waits. */
  async function idleStatus(node: { ask<T>(verb: string): Promise<T> }): Promise<number> {
    let inFlight = NaN
    for (let n = 0; n < 50 && inFlight !== 0; n++) {
      inFlight = (await node.ask<{ calls: { inFlight: number } }>('status')).calls.inFlight
      if (inFlight !== 0) await new Promise((resolve) => setTimeout(resolve, 100))
    }
    return inFlight
  }

  async function settled(node: { ask<T>(verb: string): Promise<T> }): Promise<Usage> {
    await idleStatus(node)
    await node.ask('collect')
    return node.ask<Usage>('usage')
  }
}
