/**
 * A server of chat completions on loopback, as OpenAI has them, around llama.cpp (by node-llama-cpp): tools, streaming, usage.
 * `llama-server.ts ENTRY MODEL.gguf NAME [LAST…]`: entry file of node-llama-cpp; LAST are ends of names of tools that come after all others.
 * Prints one line of JSON when it listens. Its model knows nothing: a grammar gives each answer its form.
 */
import { randomInt } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json as readJson } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { CONTEXT_TOKENS } from './gguf.ts'
import { grammarOf, type ChatBody } from './chat-grammar.ts'

/** As much of node-llama-cpp as is used: it is no dependency, so its types are not there. */
interface LlamaModule {
  getLlama(options: object): Promise<Llama>
  LlamaCompletion: new (options: { contextSequence: object }) => Completion
  LlamaGrammar: new (llama: Llama, options: { grammar: string }) => object
  LlamaLogLevel: { error: string }
}
interface Llama {
  loadModel(options: object): Promise<{
    tokenize(text: string): number[]
    createContext(options: object): Promise<{ getSequence(): object }>
  }>
}
interface Completion {
  generateCompletionWithMeta(prompt: number[], options: object): Promise<{ response: string; metadata: { stopReason: string } }>
}

const [entry = '', modelPath = '', name = '', ...last] = process.argv.slice(2)
const MAX_ANSWER_TOKENS = 512

const { getLlama, LlamaCompletion, LlamaGrammar, LlamaLogLevel } = (await import(pathToFileURL(entry).href)) as LlamaModule
// More threads than free cores make llama.cpp slower by a hundred times, and this model needs none.
const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: LlamaLogLevel.error })
const model = await llama.loadModel({ modelPath, ignoreMemorySafetyChecks: true })
const context = await model.createContext({ contextSize: CONTEXT_TOKENS, threads: 1, ignoreMemorySafetyChecks: true })
const completion = new LlamaCompletion({ contextSequence: context.getSequence() })

let before: Promise<unknown> = Promise.resolve()

async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const send = (status: number, body: object): void => {
    outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  const refuse = (status: number, message: string): void => send(status, { error: { message, type: 'invalid_request_error' } })
  if (incoming.url === '/v1/models')
    return send(200, { object: 'list', data: [{ id: name, object: 'model', owned_by: 'llamacpp' }] })
  if (incoming.url !== '/v1/chat/completions' || incoming.method !== 'POST') return refuse(404, `there is no ${incoming.url}`)
  const body = (await readJson(incoming).catch(() => undefined)) as ChatBody | undefined
  if (!Array.isArray(body?.messages) || body.messages.length === 0)
    return refuse(400, 'messages must be a list that is not empty')
  let grammar
  try {
    grammar = grammarOf(body, last)
  } catch (error) {
    return refuse(400, (error as Error).message)
  }
  const gone = new AbortController()
  outgoing.on('close', () => gone.abort())
  const stream = body.stream === true ? createChunks(outgoing) : undefined
  // One sequence: one after the other.
  const own = before.then(() => generate(body, grammar.gbnf, gone.signal, grammar.names.length === 0 ? stream?.text : undefined))
  before = own.catch(() => undefined)
  const { text, isCut, usage } = await own
  if (grammar.names.length > 0 && isCut) return refuse(400, 'max_tokens is too small for the call of a tool')
  const tool_calls = grammar.names.length > 0 ? [toolCall(text)] : undefined
  const finish = tool_calls !== undefined ? 'tool_calls' : isCut ? 'length' : 'stop'
  if (stream !== undefined) return stream.end(tool_calls, finish, body.stream_options?.include_usage === true ? usage : undefined)
  const message = { role: 'assistant', content: tool_calls === undefined ? text : null, ...(tool_calls && { tool_calls }) }
  send(200, { ...common('chat.completion'), choices: [{ index: 0, message, finish_reason: finish }], usage })
}

async function generate(body: ChatBody, gbnf: string, signal: AbortSignal, onText: ((text: string) => void) | undefined) {
  signal.throwIfAborted()
  const maxTokens = Math.min(body.max_tokens ?? MAX_ANSWER_TOKENS, MAX_ANSWER_TOKENS)
  const whole = model.tokenize(body.messages.map(({ role, content }) => `${role}: ${textOf(content)}\n`).join(''))
  // Of a conversation that does not fit it reads the end.
  const prompt = whole.slice(-(CONTEXT_TOKENS - MAX_ANSWER_TOKENS - 1))
  const { response, metadata } = await completion.generateCompletionWithMeta(prompt, {
    grammar: new LlamaGrammar(llama, { grammar: gbnf }),
    maxTokens,
    temperature: body.temperature ?? 1,
    // By itself it would take the time in seconds: answers within one would be alike.
    seed: body.seed ?? randomInt(2 ** 31),
    signal,
    onTextChunk: onText
  })
  const [asked, said] = [prompt.length, model.tokenize(response).length]
  const usage = { prompt_tokens: asked, completion_tokens: said, total_tokens: asked + said }
  return { text: response, isCut: metadata.stopReason === 'maxTokens', usage }
}

function toolCall(text: string) {
  const { name: called, arguments: given } = JSON.parse(text) as { name: string; arguments: object }
  return { id: `call_${crypto.randomUUID()}`, type: 'function', function: { name: called, arguments: JSON.stringify(given) } }
}

/** Server-sent events, as OpenAI streams. */
function createChunks(outgoing: ServerResponse) {
  const head = common('chat.completion.chunk')
  const chunk = (delta: object, finish: string | null = null): void =>
    void outgoing.write(`data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`)
  let begun = false
  const begin = (): void => {
    if (begun) return
    begun = true
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' })
    chunk({ role: 'assistant', content: '' })
  }
  return {
    text(content: string): void {
      begin()
      chunk({ content })
    },
    end(calls: object[] | undefined, finish: string, usage: object | undefined): void {
      begin()
      if (calls !== undefined) chunk({ tool_calls: calls.map((call, index) => ({ index, ...call })) })
      chunk({}, finish)
      if (usage !== undefined) outgoing.write(`data: ${JSON.stringify({ ...head, choices: [], usage })}\n\n`)
      outgoing.end('data: [DONE]\n\n')
    }
  }
}

function common(object: string) {
  return { id: `chatcmpl-${crypto.randomUUID()}`, object, created: Math.floor(Date.now() / 1_000), model: name }
}

/** Pictures it cannot see. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  const parts = Array.isArray(content) ? (content as { text?: unknown }[]) : []
  return parts.flatMap(({ text }) => (typeof text === 'string' ? [text] : [])).join(' ')
}

const server = createServer((incoming, outgoing) => void answer(incoming, outgoing).catch(() => outgoing.destroy()))
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}/v1`, model: name })}\n`)
})
