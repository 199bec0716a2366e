/** The same over MQTT: two sources, a broker that keeps what it has on disk, two handlers. Nobody is killed. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startBroker } from '../../../test/fixtures/mosquitto.ts'
import type { Run } from './account.ts'
import { cpuUsOf, createProcesses } from './process.ts'

const CLIENT = fileURLToPath(new URL('./mqtt.mjs', import.meta.url))
const STUCK_MS = 60_000

/** @param options where its files are, how many events, how many subjects each source has. */
export async function runMqtt({ dir, events, subjects }: { dir: string; events: number; subjects: number }): Promise<Run> {
  mkdirSync(dir, { recursive: true })
  const broker = await startBroker({ persistenceDir: dir })
  const processes = createProcesses('mqtt', 30_000)
  const start = (options: { name: string }) => processes.start(CLIENT, { ...options, port: broker.port })
  const handlers = ['counter-a', 'counter-b'].map((name) => ({
    role: 'handler',
    name,
    effectsFile: join(dir, `${name}.effects`),
    repeatsFile: join(dir, `${name}.repeats`)
  }))
  const sources = ['meter-a', 'meter-b'].map((name) => ({
    role: 'source',
    name,
    handlers: handlers.map((one) => one.name),
    count: Math.ceil(events / 2),
    subjects
  }))
  try {
    for (const one of handlers) await start(one)
    const [first] = await Promise.all(sources.map(start))
    const last = await processes.until(events, STUCK_MS)
    return {
      kills: [],
      handlers,
      sources: sources.map(({ name }) => name),
      subjects,
      payloadBytes: Number(first!.last('ready')!['payloadBytes']),
      rss: processes.rss(),
      refused: {},
      calmCpuUs: { ...cpuUsOf(processes.all, last), broker: Math.round((broker.cpuMs() * 1_000) / last) }
    }
  } finally {
    await processes.kill()
    await broker.stop()
  }
}
