/** The same over MQTT: two sources, a broker that keeps what it has on disk, two handlers. Nobody is killed. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { clock } from '../fleet.ts'
import { startBroker } from '../../../test/fixtures/mosquitto.ts'
import type { Run } from './account.ts'
import { cpuUsOf, startProcess, type LoadProcess } from './process.ts'

const CLIENT = fileURLToPath(new URL('./mqtt.mjs', import.meta.url))
const STUCK_MS = 60_000

/** @param options where its files are, how many events, how many subjects each source has. */
export async function runMqtt({ dir, events, subjects }: { dir: string; events: number; subjects: number }): Promise<Run> {
  mkdirSync(dir, { recursive: true })
  const broker = await startBroker({ persistenceDir: dir })
  const processes = new Map<string, LoadProcess>()
  const start = async (options: { name: string }): Promise<LoadProcess> => {
    const one = startProcess(options.name, CLIENT, { ...options, port: broker.port })
    processes.set(options.name, one)
    await one.saw('ready', 30_000)
    return one
  }
  const handlers = ['counter-a', 'counter-b'].map((name) => ({
    role: 'handler',
    name,
    effectsFile: join(dir, `${name}.effects`),
    repeatsFile: join(dir, `${name}.repeats`)
  }))
  const names = handlers.map(({ name }) => name)
  const sources = ['meter-a', 'meter-b']
  try {
    const counters: LoadProcess[] = []
    for (const one of handlers) counters.push(await start(one))
    await Promise.all(
      sources.map((name) =>
        start({ role: 'source', name, handlers: names, count: Math.ceil(events / sources.length), subjects } as { name: string })
      )
    )
    const handled = (): number => counters.reduce((sum, one) => sum + Number(one.last('effects')?.['count'] ?? 0), 0)
    let [last, lastAt] = [0, clock()]
    while (last < events && clock() - lastAt < STUCK_MS) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      const count = handled()
      if (count > last) [last, lastAt] = [count, clock()]
    }
    const rss = Object.fromEntries([...processes].map(([name, { peakRss }]) => [name, peakRss]))
    return {
      kills: [],
      handlers,
      sources,
      rss,
      refused: {},
      calmCpuUs: { ...cpuUsOf(processes, last), broker: Math.round((broker.cpuMs() * 1_000) / last) }
    }
  } finally {
    await Promise.all([...processes.values()].map((one) => one.end('SIGKILL')))
    await broker.stop()
  }
}
