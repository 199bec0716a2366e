/** One process of the suite `calls`: `serve <rival>` or `connect <rival> <address>`. It loads nothing but its own rival. */
import { answerParent, cpuUs } from './answer.ts'
import type { Peer } from './answer.ts'
import { PAYLOAD_BYTES } from './rival.ts'
import type { Connected, Rival, Sample } from './rival.ts'

/** What a client may be asked: calls one at a time, or as many as go in a time with some in flight. */
export type CallsRequest = { do: 'latency'; calls: number } | { do: 'flood'; ms: number; inFlight: number }

const LOAD: Record<string, () => Promise<Rival>> = {
  atmo: async () => (await import('./rivals/atmo.ts')).atmo,
  grpc: async () => (await import('./rivals/grpc.ts')).grpc,
  mcpHttp: async () => (await import('./rivals/mcp-http.ts')).mcpHttp,
  tcp: async () => (await import('./rivals/tcp.ts')).tcp
}

const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat(PAYLOAD_BYTES).slice(0, PAYLOAD_BYTES)

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

await answerParent(async (): Promise<Peer<CallsRequest>> => {
  const [role, name = '', address = ''] = process.argv.slice(2)
  const rival = await LOAD[name]?.()
  if (rival === undefined) throw new Error(`no rival named ${name}`)
  const { settings } = rival
  if (role === 'serve') {
    const serving = await rival.serve()
    const answer = async (): Promise<never> => Promise.reject(new Error('a server makes no calls'))
    return { ready: { address: serving.address, settings }, answer, stop: () => serving.stop() }
  }
  const connected = await rival.connect(address)
  return {
    ready: { settings },
    answer: (request) =>
      request.do === 'latency' ? latency(connected, request.calls) : flood(connected, request.ms, request.inFlight),
    stop: () => connected.stop()
  }
})
