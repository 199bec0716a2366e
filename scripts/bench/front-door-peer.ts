/**
 * Processes of the suite `front-door`: `upstream`, a server of chat completions that computes nothing; `proxy URL`, which hands each request on as it came and its answer back;
 * `client`, which asks by one way after the other.
 */
import { Agent, createServer, request, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { json as readJson } from 'node:stream/consumers'
import { answerParent } from './answer.ts'
import type { Peer } from './answer.ts'

/** A way to the same model. */
export interface Way {
  name: string
  /** Up to `/chat/completions`. */
  url: string
  headers: Record<string, string>
  model: string
}

/** What one way took, an entry a request. Times in ms. */
export interface WaySamples {
  /** Answers in one piece. */
  wholeMs: number[]
  /** Streams: until the first text, and texts a second from the request to the end. */
  firstMs: number[]
  tokensPerS: number[]
}

/** Asks `whole` times for an answer in one piece and `streams` times for a stream, by each way, in turns. */
export interface FrontDoorRequest {
  do: 'ask'
  ways: Way[]
  whole: number
  streams: number
  /** Of an answer in one piece, and of a stream. */
  tokens: { whole: number; stream: number }
  prompt: string
}

const WORD = 'token '
/** One connection for each way, which is kept. */
const agents = new Map<string, Agent>()

function startUpstream(): Promise<Peer<FrontDoorRequest>> {
  return serve((asked, answer) => void reply(asked, answer))
}

/** What any way over a node costs here that reads nothing, checks nothing and encrypts nothing: two sockets, and twice `node:http`. */
function startProxy(to: string): Promise<Peer<FrontDoorRequest>> {
  const agent = new Agent({ keepAlive: true, noDelay: true })
  return serve((asked, answer) => {
    const { method, headers } = asked
    const onward = request(`${to}${asked.url}`, { method, headers, agent }, (come) => {
      answer.writeHead(come.statusCode!, come.headers)
      come.pipe(answer)
    })
    onward.on('error', () => answer.destroy())
    asked.pipe(onward)
  })
}

async function serve(listener: RequestListener): Promise<Peer<FrontDoorRequest>> {
  const server = createServer({ noDelay: true, keepAliveTimeout: 600_000 }, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    ready: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
    answer: () => Promise.reject(new Error('a server asks nothing')),
    async stop() {
      server.closeAllConnections()
      server.close()
    }
  }
}

async function reply(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
  const head = { id: 'chatcmpl-1', created: 1, model: 'fixed' }
  const send = (body: object): void => {
    answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  if (asked.method === 'GET') return send({ object: 'list', data: [{ id: 'fixed', object: 'model', owned_by: 'bench' }] })
  const { stream, max_tokens: tokens = 1 } = (await readJson(asked)) as { stream?: boolean; max_tokens?: number }
  const usage = { prompt_tokens: 1, completion_tokens: tokens, total_tokens: 1 + tokens }
  if (stream !== true) {
    const message = { role: 'assistant', content: WORD.repeat(tokens) }
    return send({ ...head, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }], usage })
  }
  answer.writeHead(200, { 'content-type': 'text/event-stream' })
  const write = (delta: object, reason: string | null = null): void => {
    const choices = [{ index: 0, delta, finish_reason: reason }]
    answer.write(`data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices })}\n\n`)
  }
  write({ role: 'assistant', content: '' })
  for (let n = 0; n < tokens; n++) {
    write({ content: WORD })
    // Each token is a piece of its own, as a model makes them.
    await nextTurn()
  }
  write({}, 'stop')
  answer.end('data: [DONE]\n\n')
}

interface Asked {
  text: string
  firstMs: number
  endMs: number
  tokens: number
}

/** One answer. @throws Error if its status is not 200. */
function askOnce(way: Way, body: object, isStream: boolean): Promise<Asked> {
  const agent = agents.get(way.name) ?? new Agent({ keepAlive: true, maxSockets: 1, noDelay: true })
  agents.set(way.name, agent)
  const payload = JSON.stringify({ ...body, model: way.model, ...(isStream && { stream: true }) })
  const headers = { ...way.headers, 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) }
  return new Promise((resolve, reject) => {
    const startedAt = performance.now()
    const asked = request(`${way.url}/chat/completions`, { method: 'POST', agent, headers }, (answer) => {
      const result: Asked = { text: '', firstMs: 0, endMs: 0, tokens: 0 }
      let rest = ''
      answer.setEncoding('utf8')
      answer.on('data', (piece: string) => {
        rest += piece
        if (!isStream) return
        const events = rest.split('\n\n')
        rest = events.pop()!
        for (const event of events) addEvent(result, event, startedAt)
      })
      answer.on('error', reject)
      answer.on('end', () => {
        result.endMs = performance.now() - startedAt
        if (answer.statusCode !== 200) return reject(new Error(`${way.name} says ${answer.statusCode}: ${rest}`))
        if (!isStream)
          result.text = (JSON.parse(rest) as { choices: { message: { content: string } }[] }).choices[0]!.message.content
        resolve(result)
      })
    })
    asked.on('error', reject)
    asked.end(payload)
  })
}

function addEvent(result: Asked, event: string, startedAt: number): void {
  if (!event.startsWith('data: {')) return
  const { choices } = JSON.parse(event.slice('data: '.length)) as { choices: { delta: { content?: string | null } }[] }
  const text = choices[0]?.delta.content
  if (!text) return
  if (result.tokens++ === 0) result.firstMs = performance.now() - startedAt
  result.text += text
}

/** Each turn asks by each way once, beginning with another one; all must say the same. */
async function measure({ ways, whole, streams, tokens, prompt }: FrontDoorRequest): Promise<Record<string, WaySamples>> {
  const samples = Object.fromEntries(
    ways.map(({ name }): [string, WaySamples] => [name, { wholeMs: [], firstMs: [], tokensPerS: [] }])
  )
  const body = { messages: [{ role: 'user', content: prompt }], temperature: 0 }
  const turn = async (at: number, isStream: boolean): Promise<void> => {
    let expected: string | undefined
    for (let k = 0; k < ways.length; k++) {
      const way = ways[(at + k) % ways.length]!
      const asked = await askOnce(way, { ...body, max_tokens: isStream ? tokens.stream : tokens.whole }, isStream)
      expected ??= asked.text
      if (asked.text !== expected || expected === '')
        throw new Error(`${way.name} says something else than the others: ${asked.text}`)
      const own = samples[way.name]!
      if (!isStream) own.wholeMs.push(asked.endMs)
      else {
        own.firstMs.push(asked.firstMs)
        own.tokensPerS.push(asked.tokens / (asked.endMs / 1_000))
      }
    }
  }
  for (let at = 0; at < whole; at++) await turn(at, false)
  for (let at = 0; at < streams; at++) await turn(at, true)
  return samples
}

await answerParent(async (): Promise<Peer<FrontDoorRequest>> => {
  const [, , role, to = ''] = process.argv
  if (role === 'upstream') return startUpstream()
  if (role === 'proxy') return startProxy(to)
  return Promise.resolve({
    ready: {},
    answer: measure,
    stop: async () => {
      for (const agent of agents.values()) agent.destroy()
      return Promise.resolve()
    }
  })
})
