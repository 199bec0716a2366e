/** What the front door of a node adds to a model of another node: client → node → node → server, beside the server itself, two proxies that only hand on, and a gateway of others. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasProgram } from '../../test/fixtures/system-program.ts'
import { startLlamaServer } from '../../test/fixtures/llama-server.ts'
import type { Request } from './answer.ts'
import { startChild } from './child.ts'
import { PORTKEY, soon, startNodeDoor, startPortkey } from './front-door-doors.ts'
import type { FrontDoorRequest, Way, WaySamples } from './front-door-peer.ts'
import { median, quantile, round } from './statistics.ts'
import type { Suite, SuiteContext } from './suite.ts'

/** Milliseconds that the front door may add at the 95th percentile. */
const LIMIT_ADDED_P95_MS = 5
const PEER = 'scripts/bench/front-door-peer.ts'
const PROMPT = 'What do llamas eat? '.repeat(50)
const WARM_UP = 30

/** A middle and a bad case, in ms. */
interface Spread {
  p50: number
  p95: number
}

/** The figures of one way. `added`: over the median of the direct way, in the same run. */
interface WayFigures {
  wholeMs: Spread
  firstMs: Spread
  tokensPerS: number
  added: { wholeMs: Spread; firstMs: Spread }
  /** To the direct way: times, and tokens per second. */
  ratio: { whole: number; first: number; tokensPerS: number }
}

/** Ways to one model, by name. */
type Figures = Record<string, WayFigures>

const root = join(import.meta.dirname, '../..')

/** See the head of this file. */
export const frontDoor: Suite = {
  name: 'front-door',
  about:
    'what the OpenAI API of a node adds to a model of another node, beside the model itself, two proxies that do nothing, and a gateway from npm [--requests N] [--streams N] [--tokens N]',
  entries: [PEER],
  options: ['requests', 'streams', 'tokens'],
  async run(context) {
    const dir = mkdtempSync(join(tmpdir(), 'atmo-front-door-'))
    const stops: (() => Promise<void>)[] = []
    const keep = <T extends { stop(): Promise<void> }>(one: T): T => (stops.push(() => one.stop()), one)
    try {
      const results = await measureAll(context, dir, keep)
      return { results, table: tableOf(results) }
    } finally {
      for (const stop of stops.reverse()) await stop()
      rmSync(dir, { recursive: true, force: true })
    }
  }
}

type Keep = <T extends { stop(): Promise<void> }>(one: T) => T
type Results = Awaited<ReturnType<typeof measureAll>>

async function measureAll({ compiled, option, execArgv, log }: SuiteContext, dir: string, keep: Keep) {
  const count = (name: string, standard: number): number => Number(option(name) ?? standard)
  const [requests, streams, tokens] = [count('requests', 300), count('streams', 40), count('tokens', 500)]
  const peer = compiled[PEER] ?? ''
  const upstream = keep(await startChild<Request<FrontDoorRequest>>(peer, ['upstream'], execArgv))
  const hasLlama = hasProgram('llama-server')
  if (!hasLlama) log('llama-server is not installed: only the server that computes nothing is measured')
  const llama = hasLlama ? keep(await startLlamaServer({ name: 'llama' })) : undefined
  const servers = { fixed: String(upstream.ready['url']), ...(llama && { llama: llama.url }) }

  const backends = Object.entries(servers).map(([id, url]) => ({ kind: 'openai-chat', id, model: id, baseUrl: `${url}/v1` }))
  const behind = keep(await startNodeDoor(root, { dir, name: 'behind', config: { backends }, execArgv }))
  const front = keep(await startNodeDoor(root, { dir, name: 'front', config: { backends: [] }, peer: behind.address, execArgv }))
  const headersOf = ({ token }: { token: string }) => ({ authorization: `Bearer ${token}` })
  await soon(async () => {
    const answer = await fetch(`${front.url}/models`, { headers: headersOf(front) })
    const { data } = (await answer.json()) as { data: { id: string }[] }
    return Object.keys(servers).every((id) => data.some((model) => model.id === id))
  }, 'the models at the other node')
  const portkey = await startPortkey(log)
  if (portkey !== undefined) keep(portkey)

  const client = keep(await startChild<Request<FrontDoorRequest>>(peer, ['client'], execArgv))
  const all: Record<string, Figures> = {}
  for (const [model, server] of Object.entries(servers)) {
    // The floor: what two processes cost that only hand bytes on.
    const inner = keep(await startChild<Request<FrontDoorRequest>>(peer, ['proxy', server], execArgv))
    const outer = keep(await startChild<Request<FrontDoorRequest>>(peer, ['proxy', String(inner.ready['url'])], execArgv))
    const trusted = { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${server}/v1`, authorization: 'Bearer none' }
    const ways: Way[] = [
      { name: 'direct', url: `${server}/v1`, headers: {}, model },
      { name: 'atmo', url: front.url, headers: headersOf(front), model },
      { name: 'atmoOneNode', url: behind.url, headers: headersOf(behind), model },
      { name: 'twoProxies', url: `${String(outer.ready['url'])}/v1`, headers: {}, model },
      ...(portkey === undefined ? [] : [{ name: 'portkey', url: portkey.url, headers: trusted, model }])
    ]
    const asked = { do: 'ask' as const, ways, prompt: PROMPT, tokens: { whole: 16, stream: tokens } }
    await client.ask({ ...asked, whole: WARM_UP, streams: Math.ceil(WARM_UP / 10) })
    log(`${model}: warm; ${requests} answers and ${streams} streams of ${tokens} tokens by each of ${ways.length} ways`)
    all[model] = figuresOf(await client.ask<Record<string, WaySamples>>({ ...asked, whole: requests, streams }))
  }
  const worst = Math.max(...Object.values(all).map((ways) => ways['atmo']!.added.wholeMs.p95))
  const versions = { node: process.version, portkey: portkey === undefined ? null : PORTKEY.version }
  const settings = { requests, streams, tokens, hops: { atmo: 2, atmoOneNode: 1, twoProxies: 2, portkey: 1 } }
  const limit = { addedP95Ms: LIMIT_ADDED_P95_MS, worstAddedP95Ms: worst, ok: worst < LIMIT_ADDED_P95_MS }
  return { versions, settings, upstreams: all, limit }
}

function figuresOf(samples: Record<string, WaySamples>): Figures {
  const direct = samples['direct']!
  const base = { whole: median(direct.wholeMs), first: median(direct.firstMs), rate: median(direct.tokensPerS) }
  const spread = (values: number[], less = 0): Spread => ({
    p50: round(quantile(values, 0.5) - less),
    p95: round(quantile(values, 0.95) - less)
  })
  return Object.fromEntries(
    Object.entries(samples).map(([name, { wholeMs, firstMs, tokensPerS }]) => [
      name,
      {
        wholeMs: spread(wholeMs),
        firstMs: spread(firstMs),
        tokensPerS: round(median(tokensPerS), 0),
        added: { wholeMs: spread(wholeMs, base.whole), firstMs: spread(firstMs, base.first) },
        ratio: {
          whole: round(median(wholeMs) / base.whole, 2),
          first: round(median(firstMs) / base.first, 2),
          tokensPerS: round(median(tokensPerS) / base.rate, 2)
        }
      }
    ])
  )
}

function tableOf({ upstreams, limit, versions }: Results): string {
  const cell = (value: number, digits = 2): string => value.toFixed(digits).padStart(8)
  const lines = Object.entries(upstreams).flatMap(([model, ways]) => [
    `${model.padEnd(12)} added ms p50     p95   first p50     p95   tokens/s   of direct`,
    ...Object.entries(ways).map(([name, { added, tokensPerS, ratio }]) =>
      [
        `  ${name.padEnd(12)}`,
        `${cell(added.wholeMs.p50)} ${cell(added.wholeMs.p95)} ${cell(added.firstMs.p50)} ${cell(added.firstMs.p95)}`,
        `${cell(tokensPerS, 0)}   ${cell(ratio.tokensPerS)}`
      ].join('  ')
    )
  ])
  const verdict = `added at p95, worst: ${limit.worstAddedP95Ms} ms of ${limit.addedP95Ms} (${limit.ok ? 'within' : 'OVER'})`
  return [
    ...lines,
    `portkey: ${PORTKEY.name} ${versions.portkey ?? 'not installed'}; atmo has two nodes in between, twoProxies two that only hand bytes on`,
    verdict
  ].join('\n')
}
