/** The models of LlamaFarm's universal runtime. It lists those in memory alone, by the keys of its cache; others are loaded when they are asked for. */
import { asName, eachOnce, isObject, textsIn } from './local-ai-model.ts'
import type { FoundModel, ModelType } from './local-ai-model.ts'
import { answersTo, listingError } from './local-ai-listings.ts'
import type { Probe } from './local-ai-probe.ts'

/** Routes that have a model of their own, if none is named. */
const BUILT_IN: readonly { type: ModelType; path: string; model: string }[] = [
  { type: 'audio/transcription', path: '/v1/audio/transcriptions', model: 'distil-large-v3' },
  { type: 'audio/speech', path: '/v1/audio/speech', model: 'kokoro' }
]

const TASKS: Record<string, ModelType> = { embedding: 'llm/embed', reranking: 'llm/rerank' }

/** What is loaded, and the speech that it always has. */
export async function listUniversalRuntime(probe: Probe): Promise<FoundModel[]> {
  const { status, json } = await probe.get('/health')
  if (status !== 200 || !isObject(json)) throw listingError('/health', status)
  const loaded = textsIn(json['loaded_models']).flatMap(ofKey)
  for (const { type, path, model } of BUILT_IN) {
    if (loaded.some((one) => one.type === type) || !(await answersTo(probe, path, ''))) continue
    loaded.push({ model, type, typeFrom: 'server', loaded: false })
  }
  return eachOnce(loaded)
}

/** `language:ID:ctx…`, `encoder:TASK:FORMAT:ID:quant…`: what is between is what a request calls it. */
function ofKey(key: string): FoundModel[] {
  const common = { typeFrom: 'server' as const, loaded: true }
  const language = asName(/^language:(.+?):ctx/.exec(key)?.[1])
  if (language !== undefined) return [{ ...common, model: language, type: 'llm/chat' }]
  const [, task = '', id] = /^encoder:([a-z]+):[a-z_]+:(.+?):quant/.exec(key) ?? []
  const model = asName(id)
  const type = Object.hasOwn(TASKS, task) ? TASKS[task] : undefined
  return model === undefined || type === undefined ? [] : [{ ...common, model, type }]
}
