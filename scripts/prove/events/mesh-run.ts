/** The five processes of the mesh, and who kills them. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { clock } from '../fleet.ts'
import { freePort } from '../../../test/fixtures/mosquitto.ts'
import { cpuUsOf, startProcess, type LoadProcess } from './process.ts'
import type { Kill, Run } from './account.ts'

const NODE = fileURLToPath(new URL('./node.mjs', import.meta.url))
/** No event takes longer than this from the last one that was, or something is stuck, in ms. */
const STUCK_MS = 120_000
/** How long it goes on after the last event, in ms. */
const AFTER_MS = 3_000
const SOURCES = ['meter-a', 'meter-b']
const HANDLERS = ['counter-a', 'counter-b']

interface Options {
  dir: string
  events: number
  calm: number
  killMs: number
  seed: number
  subjects: number
}

/** Only the forwarder and one handler listen: the second source reaches that one directly, all others meet over circuits. */
export async function runMesh({ dir, events, calm, killMs, seed, subjects }: Options): Promise<Run> {
  const [forwarderPort, handlerPort] = [await freePort(), await freePort()]
  const address = (port: number): string => `/ip4/127.0.0.1/tcp/${port}`
  const forwarder = { role: 'forwarder', name: 'forwarder', listen: [address(forwarderPort)], peers: [] }
  const peers = [address(forwarderPort)]
  const handlers = HANDLERS.map((name, n) => ({
    role: 'handler',
    name,
    listen: n === 0 ? [address(handlerPort)] : [],
    peers,
    effectsFile: join(dir, `${name}.effects`),
    repeatsFile: join(dir, `${name}.repeats`)
  }))
  const sources = SOURCES.map((name, n) => ({
    role: 'source',
    name,
    listen: [],
    peers: n === 0 ? peers : [...peers, address(handlerPort)],
    handlers: HANDLERS,
    count: Math.ceil(events / SOURCES.length),
    subjects,
    positionFile: join(dir, `${name}.position`)
  }))
  const all = [forwarder, ...handlers, ...sources]
  mkdirSync(dir, { recursive: true })
  const running = new Map<string, LoadProcess>()
  const start = async (options: { name: string }): Promise<void> => {
    const one = startProcess(options.name, NODE, { ...options, dataDir: join(dir, options.name) })
    running.set(options.name, one)
    await one.saw('ready', 60_000)
  }
  const counts = new Map<string, number>()
  const rss: Record<string, number> = {}
  const refused: Record<string, number> = {}
  function look(): number {
    for (const [name, one] of running) {
      rss[name] = Math.max(rss[name] ?? 0, one.peakRss)
      const count = one.last('effects')?.['count']
      if (count !== undefined) counts.set(name, Number(count))
    }
    return [...counts.values()].reduce((sum, count) => sum + count, 0)
  }
  function bury(one: LoadProcess): void {
    for (const { reason } of one.all('refused')) refused[String(reason)] = (refused[String(reason)] ?? 0) + 1
  }

  const kills: Kill[] = []
  try {
    for (const one of all) await start(one)
    let random = seed
    const next = (): number => (random = (random * 48_271) % 0x7fff_ffff) / 0x7fff_ffff
    let killAt = Infinity
    let calmCpuUs: Run['calmCpuUs'] = {}
    let [last, lastAt] = [0, clock()]
    while (last < events && clock() - lastAt < STUCK_MS) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      const count = look()
      if (count > last) [last, lastAt] = [count, clock()]
      if (killAt === Infinity && (count >= calm || count >= events)) {
        killAt = clock()
        calmCpuUs = cpuUsOf(running, count)
      }
      if (clock() < killAt || count >= events) continue
      const who = all[Math.floor(next() * all.length)]!
      const one = running.get(who.name)!
      kills.push({ name: who.name, at: clock() })
      await one.end('SIGKILL')
      bury(one)
      await start(who)
      process.stderr.write(`${look()} of ${events}: ${who.name} was killed, and is back\n`)
      killAt = clock() + killMs * (0.5 + next())
    }
    // What comes twice has time to come.
    for (const { name } of sources) if (last >= events) await running.get(name)!.saw('fired', STUCK_MS)
    await new Promise((resolve) => setTimeout(resolve, AFTER_MS))
    look()
    for (const one of running.values()) bury(one)
    return { kills, handlers, sources: SOURCES, rss, refused, calmCpuUs }
  } finally {
    await Promise.all([...running.values()].map((one) => one.end('SIGKILL')))
  }
}
