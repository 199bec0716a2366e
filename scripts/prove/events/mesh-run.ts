/** The five processes of the mesh, and who kills them. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { clock } from '../fleet.ts'
import { freePort } from '../../../test/fixtures/mosquitto.ts'
import { ROLES, type Kill, type Run } from './account.ts'
import { cpuUsOf, createProcesses, type LoadProcess } from './process.ts'

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
  kills: number
  seed: number
  subjects: number
}

/** Only the forwarder and one handler listen: the second source reaches that one directly, all others meet over circuits. */
export async function runMesh({ dir, events, calm, kills, seed, subjects }: Options): Promise<Run> {
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
  const processes = createProcesses('mesh', 60_000)
  const start = (options: { name: string }) => processes.start(NODE, { ...options, dataDir: join(dir, options.name) })
  const refused: Record<string, number> = {}
  function bury(one: LoadProcess): void {
    for (const { reason } of one.all('refused')) refused[String(reason)] = (refused[String(reason)] ?? 0) + 1
  }

  const next = randomOf(seed)
  const dueAt = Array.from({ length: kills }, (_, n) => calm + ((events - calm) * (n + next())) / kills)
  const killed: Kill[] = []
  /** Of the roles, who is not killed yet in this round. */
  let round: string[] = []
  let calmCpuUs: Run['calmCpuUs'] | undefined
  async function look(count: number): Promise<void> {
    if (count >= calm || count >= events) calmCpuUs ??= cpuUsOf(processes.all, count)
    if (count < (dueAt[killed.length] ?? Infinity) || count >= events) return
    if (round.length === 0) round = [...ROLES]
    const [role] = round.splice(Math.floor(next() * round.length), 1)
    const those = all.filter((one) => one.role === role)
    const who = those[Math.floor(next() * those.length)]!
    const one = processes.all.get(who.name)!
    killed.push({ name: who.name, role: who.role, at: clock() })
    await one.end('SIGKILL')
    bury(one)
    await start(who)
    process.stderr.write(
      `mesh: ${count} of ${events} handled: ${who.name} was killed, and is back (${killed.length} of ${kills})\n`
    )
  }

  try {
    for (const one of all) await start(one)
    const last = await processes.until(events, STUCK_MS, look)
    // What comes twice has time to come.
    for (const { name } of sources) if (last >= events) await processes.all.get(name)!.saw('fired', STUCK_MS)
    await new Promise((resolve) => setTimeout(resolve, AFTER_MS))
    for (const one of processes.all.values()) bury(one)
    const payloadBytes = Number(processes.all.get(SOURCES[0]!)!.last('ready')!['payloadBytes'])
    const account = { handlers, sources: SOURCES, subjects, payloadBytes, refused }
    return { ...account, kills: killed, rss: processes.rss(), calmCpuUs: calmCpuUs ?? {} }
  } finally {
    await processes.kill()
  }
}

/** Numbers from 0 to 1, the same for the same seed. */
function randomOf(seed: number): () => number {
  let random = seed
  return () => (random = (random * 48_271) % 0x7fff_ffff) / 0x7fff_ffff
}
