/** The models of servers that list them as the API of OpenAI does, each with what its engine says beside that. */
import { MeshError } from '../errors.ts'
import type { JsonObject } from '../../protocols/json.ts'
import { asCount, asName, asObject, eachOnce, isObject, objectsIn, textsIn, typeByName } from './local-ai-model.ts'
import type { FoundModel, ModelType } from './local-ai-model.ts'
import type { Probe } from './local-ai-probe.ts'

/** What a listing says of an answer that is none. */
export function listingError(path: string, status: number): MeshError {
  const locked = status === 401 || status === 403
  const why = locked
    ? 'it wants a key: name it in "servers" of the configuration, with "apiKeyEnv"'
    : `${path} does not list models (HTTP ${status})`
  return new MeshError(locked ? 'permission_denied' : 'protocol_error', why)
}

/** Entries of the list of OpenAI. @throws ProbeError, MeshError `protocol_error`, `permission_denied`. */
export async function openAiEntries(probe: Probe, path = '/v1/models'): Promise<JsonObject[]> {
  const { status, json } = await probe.get(path)
  if (status !== 200 || !isObject(json) || !Array.isArray(json['data'])) throw listingError(path, status)
  return objectsIn(json['data'])
}

function modelsOf(entries: JsonObject[], describe: (entry: JsonObject, id: string) => Partial<FoundModel>): FoundModel[] {
  return eachOnce(
    entries.flatMap((entry) => {
      const id = asName(entry['id'])
      return id === undefined ? [] : [{ model: id, ...typeByName(id), ...describe(entry, id) }]
    })
  )
}

/** Any server: types by the names of the models, and a chat where they say nothing. */
export async function listOpenAi(probe: Probe): Promise<FoundModel[]> {
  return modelsOf(await openAiEntries(probe), (entry) => ({
    contextLength: asCount(entry['max_model_len']) ?? asCount(entry['context_length'])
  }))
}

/** llama.cpp: modalities and sizes with the model, tools in `/props`; whether it embeds shows its route, which answers 501 where it does not. */
export async function listLlamaCpp(probe: Probe): Promise<FoundModel[]> {
  const entries = await openAiEntries(probe)
  const props = asObject((await probe.get('/props').catch(() => undefined))?.json)
  const modalities = asObject(props['modalities'])
  const embeds = await answersTo(probe, '/v1/embeddings', asName(entries[0]?.['id']) ?? '')
  return modelsOf(entries, (entry) => {
    const meta = asObject(entry['meta'])
    const inputs = textsIn(asObject(entry['architecture'])['input_modalities'])
    const common = {
      typeFrom: 'server' as const,
      contextLength: asCount(meta['n_ctx']) ?? asCount(meta['n_ctx_train']),
      loaded: true
    }
    if (embeds) return { ...common, type: 'llm/embed', dimensions: asCount(meta['n_embd']) }
    return {
      ...common,
      type: 'llm/chat',
      vision: inputs.includes('image') || modalities['vision'] === true,
      audio: inputs.includes('audio') || modalities['audio'] === true,
      tools: asObject(props['chat_template_caps'])['supports_tools'] === true
    }
  })
}

/** vLLM and SGLang: one model a server; what it does shows which of its routes there are. */
export async function listVllm(probe: Probe): Promise<FoundModel[]> {
  const entries = await openAiEntries(probe)
  const known = asName(entries[0]?.['id']) ?? ''
  const routes: [ModelType, string][] = [
    ['llm/chat', '/v1/chat/completions'],
    ['llm/embed', '/v1/embeddings'],
    ['audio/transcription', '/v1/audio/transcriptions'],
    ['llm/rerank', '/v1/rerank']
  ]
  let type: ModelType | undefined
  for (const [one, path] of routes) if (type === undefined && (await answersTo(probe, path, known))) type = one
  return modelsOf(entries, (entry) => ({
    ...(type !== undefined && { type, typeFrom: 'server' as const }),
    contextLength: asCount(entry['max_model_len']),
    loaded: true
  }))
}

const LOCALAI_TYPES: readonly [RegExp, ModelType][] = [
  [/^chat$/, 'llm/chat'],
  [/^embeddings?$/, 'llm/embed'],
  [/^rerank$/, 'llm/rerank'],
  [/^transcript(ion)?$/, 'audio/transcription'],
  [/^(tts|speech)$/, 'audio/speech'],
  [/^image(_generation)?$/, 'image/generation'],
  [/^completion$/, 'llm/chat']
]

/** LocalAI: a list of its own says what each model can; older ones have the list of OpenAI alone. */
export async function listLocalAi(probe: Probe): Promise<FoundModel[]> {
  const { status, json } = await probe.get('/v1/models/capabilities')
  if (status === 401 || status === 403) throw listingError('/v1/models/capabilities', status)
  if (status !== 200 || !isObject(json) || !Array.isArray(json['data'])) return listOpenAi(probe)
  return modelsOf(objectsIn(json['data']), (entry) => {
    const can = textsIn(entry['capabilities']).map((one) => one.toLowerCase())
    const type = LOCALAI_TYPES.find(([pattern]) => can.some((one) => pattern.test(one)))?.[1]
    const inputs = textsIn(entry['input_modalities'])
    if (type === undefined) return { withheld: 'none of what it can do is known here' }
    if (type !== 'llm/chat') return { type, typeFrom: 'server' }
    return {
      ...{ type, typeFrom: 'server', contextLength: asCount(entry['context_size']), audio: inputs.includes('audio') },
      ...{ tools: can.includes('tools'), vision: inputs.includes('image') || can.includes('vision') }
    }
  })
}

/** Speaches says the task of each model. */
export async function listSpeaches(probe: Probe): Promise<FoundModel[]> {
  const types: Record<string, ModelType> = {
    'automatic-speech-recognition': 'audio/transcription',
    'text-to-speech': 'audio/speech'
  }
  return modelsOf(await openAiEntries(probe), ({ task }) => {
    const type = typeof task === 'string' && Object.hasOwn(types, task) ? types[task] : undefined
    return type === undefined ? { withheld: 'its task is not known here' } : { type, typeFrom: 'server' }
  })
}

/** Kokoro-FastAPI: `tts-1` and `tts-1-hd` are other names of its one model. */
export async function listKokoro(probe: Probe): Promise<FoundModel[]> {
  const all = modelsOf(await openAiEntries(probe), () => ({ type: 'audio/speech', typeFrom: 'server' }))
  return all.some(({ model }) => model === 'kokoro') ? all.filter(({ model }) => model === 'kokoro') : all.slice(0, 1)
}

/** whisper.cpp: one model without a name, behind the path of OpenAI only if it was started so. */
export async function listWhisperCpp(probe: Probe): Promise<FoundModel[]> {
  const model: FoundModel = { model: 'whisper', type: 'audio/transcription', typeFrom: 'server', loaded: true }
  if (await answersTo(probe, '/v1/audio/transcriptions', model.model)) return [model]
  return [{ ...model, withheld: 'start it with --inference-path /v1/audio/transcriptions, so that it can be asked' }]
}

/**
 * Whether a route is there: an empty request makes it complain, where one that is missing is not found. Asked once for each model.
 * @param of what has to stay the same for the answer to stay true.
 */
export async function answersTo(probe: Probe, path: string, of: string): Promise<boolean> {
  const key = `${path} ${of}`
  const before = probe.memory.get(key)
  if (typeof before === 'boolean') return before
  const { status } = await probe.post(path, {})
  const there = (status < 300 || status >= 400) && ![404, 405].includes(status) && status < 500
  // What fails now may be there later.
  if (status < 500 || status === 501) probe.memory.set(key, there)
  return there
}
