/**
 * One process of a benchmark, driven by its parent over IPC: `serve <rival>` or `connect <rival> <address>`.
 * It loads nothing but its own rival.
 */
import { PAYLOAD_BYTES } from './rival.ts'
import type { Connected, Rival, Sample, Serving } from './rival.ts'

/** What a parent may ask. `cpu` is for servers, which do not know when a round begins. */
export type Request =
  { do: 'latency'; calls: number } | { do: 'flood'; ms: number; inFlight: number } | { do: 'cpu' } | { do: 'stop' }

const LOAD: Record<string, () => Promise<Rival>> = {
  atmo: async () => (await import('./rivals/atmo.ts')).atmo,
  grpc: async () => (await import('./rivals/grpc.ts')).grpc,
  mcpHttp: async () => (await import('./rivals/mcp-http.ts')).mcpHttp,
  tcp: async () => (await import('./rivals/tcp.ts')).tcp
}

const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat(PAYLOAD_BYTES).slice(0, PAYLOAD_BYTES)

const cpuUs = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

async function once(connected: Connected): Promise<void> {
  const reply = await connected.call(TEXT)
  if (reply !== TEXT) throw new Error('the reply is not what was sent')
}

async function latency(connected: Connected, calls: number): Promise<Sample> {
  const latenciesMs: number[] = []
  const cpuBefore = cpuUs()
  const start = performance.now()
  for (let i = 0; i < calls; i++) {
    const before = performance.now()
    await once(connected)
    latenciesMs.push(performance.now() - before)
  }
  return { latenciesMs, calls, elapsedMs: performance.now() - start, cpuUs: cpuUs() - cpuBefore }
}

async function flood(connected: Connected, ms: number, inFlight: number): Promise<Sample> {
  let calls = 0
  const cpuBefore = cpuUs()
  const start = performance.now()
  const lane = async (): Promise<void> => {
    while (performance.now() - start < ms) {
      await once(connected)
      calls++
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  return { latenciesMs: [], calls, elapsedMs: performance.now() - start, cpuUs: cpuUs() - cpuBefore }
}

async function main(): Promise<void> {
  const [role, name = '', address = ''] = process.argv.slice(2)
  const rival = await LOAD[name]?.()
  if (rival === undefined) throw new Error(`no rival named ${name}`)
  const serving: Serving | undefined = role === 'serve' ? await rival.serve() : undefined
  const connected: Connected | undefined = serving === undefined ? await rival.connect(address) : undefined

  const answer = async (request: Request): Promise<unknown> => {
    if (request.do === 'cpu') return cpuUs()
    if (request.do === 'stop') {
      await (serving ?? connected)?.stop()
      // `disconnect` lets the process end by itself; a rival that leaves a socket or timer behind is ended by the parent.
      setImmediate(() => process.disconnect())
      return undefined
    }
    if (connected === undefined) throw new Error('a server makes no calls')
    return request.do === 'latency' ? latency(connected, request.calls) : flood(connected, request.ms, request.inFlight)
  }
  process.on('message', (request: Request) => {
    void answer(request).then(
      (value) => process.send?.({ value }),
      (error: unknown) => process.send?.({ error: String(error) })
    )
  })
  process.send?.({ value: { address: serving?.address ?? '', settings: rival.settings } })
}

void main().catch((error: unknown) => {
  process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  process.exitCode = 1
  process.disconnect?.()
})
