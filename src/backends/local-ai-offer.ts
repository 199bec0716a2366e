/**
 * One model of a server as one capability. What a backend does already is left to it: it is made for the model, says its tools, and is given the calls.
 */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { JsonObject } from '../../protocols/json.ts'
import type { Invoke, Item } from '../core/invoke.ts'
import { MeshError } from '../errors.ts'
import type { Backend } from './backend.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import type { FoundModel, ModelType } from './local-ai-model.ts'
import type { FoundServer } from './local-ai-servers.ts'
import { documentsTool, rerankTool } from './local-ai-tools.ts'
import type { LocalAiTool, ToolTimes } from './local-ai-tools.ts'
import { MAX_ANSWER_BYTES, createOpenAiChatBackend } from './openai-chat.ts'
import { createOpenAiEmbeddingsBackend } from './openai-embeddings.ts'
import { createOpenAiEndpoint } from './openai-endpoint.ts'
import type { OpenAiChatConfig } from './openai-config.ts'
import type { OpenAiEndpoint, OpenAiEndpointConfig } from './openai-endpoint.ts'
import { createOpenAiImageBackend } from './openai-image.ts'
import { speakTool } from './local-ai-speech.ts'
import { createTranscriptionBackend } from './transcription.ts'

/** A model that is offered. */
export interface Offer {
  readonly id: string
  /** Calls that run. */
  readonly running: number
  /** Where its server is. */
  readonly url: string
  /** What it says of itself now. @param problem why it may not work. */
  declare(model: FoundModel, problem?: string): CapabilityDeclaration
  call: Invoke
  /** Ends its calls. */
  stop(): Promise<void>
}

/** What an offer is made of. */
export interface OfferInit extends ToolTimes {
  id: string
  server: Pick<FoundServer, 'url' | 'engine' | 'name'>
  apiKeyEnv?: string
  env?: Record<string, string | undefined>
}

/** Its own look at the server is not wanted: who has found the model looks for all of them. */
const NEVER_MS = 2 ** 31 - 1

/** Makes one; it is ready when its server has answered once. */
export async function createOffer(found: FoundModel, init: OfferInit, signal: AbortSignal): Promise<Offer> {
  const { id } = init
  const base = partFor(found, init)
  const snapshots = base?.discover(signal)[Symbol.asyncIterator]()
  // The rest of the iteration waits until it is left: its calls are good as long.
  const first = (await snapshots?.next())?.value as CapabilityDeclaration[] | undefined
  const own = ownTools(found, init)
  const names = new Set(own.map(({ declaration }) => declaration.name))
  const calls = createHandlerCalls(lookupIn(id, new Map(own.map(({ declaration, handler }) => [declaration.name, handler]))))
  const tools = [...(first?.[0]?.tools ?? []), ...own.map(({ declaration }) => declaration)]

  let running = 0
  async function* counted(items: ReturnType<Invoke>): AsyncGenerator<Item, void, void> {
    running++
    try {
      yield* items
    } finally {
      running--
    }
  }
  const invoke: Invoke = (request, options) =>
    base === undefined || names.has(request.tool) ? calls.call(request, options) : base.call(request, options)

  return {
    id,
    url: init.server.url,
    get running() {
      return running
    },
    declare: (model, problem) => ({ ...declarationOf(model, init, problem), tools }),
    call: (request, options) => counted(invoke(request, options)),
    async stop() {
      await Promise.all([calls.stop(new MeshError('unavailable', 'the provider is stopping')), snapshots?.return?.()])
    }
  }
}

/** The backend that knows this type, for this model. */
function partFor(found: FoundModel, { id, server, apiKeyEnv, env, timeoutMs, concurrency }: OfferInit): Backend | undefined {
  const { model, headers } = found
  const baseUrl = baseUrlOf(found, server.url)
  const common = { id, model, ...(apiKeyEnv !== undefined && { apiKeyEnv }) }
  const secrets = { baseDir: '.', env, recheckMs: NEVER_MS }
  switch (found.type) {
    case 'llm/chat':
      return createOpenAiChatBackend(
        // Models of a project may have tools of MCP servers, which LlamaFarm runs.
        chatConfig({ ...common, baseUrl, headers, timeoutMs, concurrency, runsTools: server.engine === 'llamafarm' }, found),
        { env, everyMs: NEVER_MS }
      )
    case 'llm/embed':
      return createOpenAiEmbeddingsBackend({ ...common, kind: 'openai-embeddings', baseUrl, timeoutMs, concurrency }, secrets)
    case 'image/generation':
      // Events are for who has set up a server by itself.
      return createOpenAiImageBackend(
        { ...common, kind: 'openai-image', baseUrl, timeoutMs, concurrency, triggers: { image_complete: false } },
        secrets
      )
    case 'audio/transcription':
      return createTranscriptionBackend({ ...common, kind: 'transcription', url: baseUrl, timeoutMs, concurrency }, secrets)
    default:
      return undefined
  }
}

/** Its configuration goes on to its endpoint, which knows headers. */
function chatConfig(
  given: Omit<OpenAiChatConfig, 'kind'> & Pick<OpenAiEndpointConfig, 'headers'>,
  { tools, vision }: FoundModel
): OpenAiChatConfig & Pick<OpenAiEndpointConfig, 'headers'> {
  return { ...given, kind: 'openai-chat', tools, vision }
}

function ownTools(found: FoundModel, init: OfferInit): LocalAiTool[] {
  const { timeoutMs, concurrency } = init
  const times = { timeoutMs, concurrency }
  const endpointAt = (baseUrl: string): OpenAiEndpoint =>
    createOpenAiEndpoint(
      { baseUrl, apiKeyEnv: init.apiKeyEnv, timeoutMs, maxAnswerBytes: MAX_ANSWER_BYTES, headers: found.headers },
      { baseDir: '.', env: init.env }
    )
  const baseUrl = baseUrlOf(found, init.server.url)
  const tools: LocalAiTool[] = []
  if (found.type === 'llm/rerank') tools.push(rerankTool(endpointAt(baseUrl), found.model, times))
  if (found.type === 'audio/speech') tools.push(speakTool({ ...init, baseUrl, model: found.model }))
  if (found.documents === true) tools.push(documentsTool(endpointAt(baseUrl), times))
  if (found.voicePath !== undefined)
    tools.push(speakTool({ ...init, baseUrl: `${init.server.url}${found.voicePath}`, headers: found.headers }))
  return tools
}

const baseUrlOf = ({ path = '/v1' }: FoundModel, url: string): string => `${url}${path}`

const SAYS: Record<ModelType, (model: string) => string> = {
  'llm/chat': (model) => `The language model ${model}: answers a conversation.`,
  'llm/embed': (model) => `The model ${model}: vectors of texts.`,
  'llm/rerank': (model) => `The model ${model}: orders documents by how well they answer.`,
  'audio/transcription': (model) => `The model ${model}: turns speech into text.`,
  'audio/speech': (model) => `The model ${model}: turns texts into speech.`,
  'image/generation': (model) => `The model ${model}: makes images of words.`
}

function declarationOf(found: FoundModel, { id, server }: OfferInit, problem: string | undefined): CapabilityDeclaration {
  const { name, model, type, description, degraded } = found
  const called = name ?? model
  const isProject = server.engine === 'llamafarm'
  const standard = isProject ? `The LlamaFarm project ${called}: answers a conversation.` : SAYS[type](model)
  const status = problem ?? degraded
  return {
    id,
    type,
    name: called,
    description: description === undefined ? standard : isProject ? `${standard} ${description}` : standard,
    ...(status === undefined ? { status: 'online' } : { status: 'degraded', statusReason: status }),
    // Of one name on two machines, prompts and documents are two different things.
    ...(isProject && { scope: 'node' as const }),
    metadata: metadataOf(found, server)
  }
}

/** For who chooses: what the model can, and whether it is in memory. Absent is what nobody knows. */
function metadataOf(found: FoundModel, server: Pick<FoundServer, 'engine'>): JsonObject {
  const { model, name, contextLength, servedContextLength, dimensions, tools, vision, audio, loaded, typeFrom, documents } = found
  const all = {
    ...{ model: name ?? model, engine: server.engine, typeFrom, contextLength, servedContextLength, dimensions },
    ...{ tools, vision, audio, loaded, documents: documents === true ? true : undefined }
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as JsonObject
}
