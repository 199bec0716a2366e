/** The models of Ollama. Its own list says more than that of the API of OpenAI: https://github.com/ollama/ollama/blob/main/docs/api.md */
import type { JsonObject } from '../../protocols/json.ts'
import { asCount, asName, asObject, eachOnce, isObject, objectsIn, textsIn, typeByName } from './local-ai-model.ts'
import type { FoundModel } from './local-ai-model.ts'
import { listingError } from './local-ai-listings.ts'
import type { Probe } from './local-ai-probe.ts'

/** What is shown of a model once. */
interface Shown {
  capabilities: string[]
  contextLength?: number
  dimensions?: number
}

/** Models on its disk, those that it passes on to a cloud marked as not to be shared. */
export async function listOllama(probe: Probe): Promise<FoundModel[]> {
  const { status, json } = await probe.get('/api/tags')
  if (status !== 200 || !isObject(json) || !Array.isArray(json['models'])) throw listingError('/api/tags', status)
  const running = await loadedModels(probe)
  const models: FoundModel[] = []
  for (const entry of objectsIn(json['models'])) {
    const model = asName(entry['model']) ?? asName(entry['name'])
    if (model === undefined) continue
    const loaded = running?.get(model)
    models.push({
      ...(await kindOf(probe, model, entry)),
      loaded: running === undefined ? undefined : loaded !== undefined,
      servedContextLength: asCount(loaded?.['context_length'])
    })
  }
  return eachOnce(models)
}

async function kindOf(probe: Probe, model: string, entry: JsonObject): Promise<FoundModel> {
  if (isOfCloud(model, entry))
    return { model, ...typeByName(model), withheld: 'Ollama passes it on to a cloud: it does not run on this machine' }
  const shown = await showModel(probe, model, entry)
  const { capabilities, contextLength, dimensions } = shown
  const has = (name: string): boolean => capabilities.includes(name)
  const common = { model, contextLength, typeFrom: 'server' as const }
  if (has('completion')) return { ...common, type: 'llm/chat', tools: has('tools'), vision: has('vision'), audio: has('audio') }
  if (has('embedding')) return { ...common, type: 'llm/embed', dimensions }
  // Ollama makes images, but not by the API of OpenAI.
  if (has('image')) return { ...common, type: 'image/generation', withheld: 'Ollama has no API of OpenAI for its images' }
  return byFamily(model, entry, contextLength)
}

/** Cloud models: https://docs.ollama.com/cloud. Names end so by custom; the fields are what counts, and servers before them had none. */
function isOfCloud(model: string, entry: JsonObject): boolean {
  const remote = [entry['remote_host'], entry['remote_model']].some((one) => typeof one === 'string' && one !== '')
  return remote || /[:-]cloud$/.test(model)
}

/** Servers that say nothing of capabilities. */
function byFamily(model: string, entry: JsonObject, contextLength: number | undefined): FoundModel {
  const details = asObject(entry['details'])
  const families = [...textsIn(details['families']), asName(details['family']) ?? '']
  const common = { model, contextLength, typeFrom: 'name' as const }
  if (families.some((family) => /^(nomic-)?bert/.test(family)) || /embed/.test(model)) return { ...common, type: 'llm/embed' }
  return { ...common, type: 'llm/chat', vision: families.some((family) => ['clip', 'mllama'].includes(family)), tools: false }
}

/** Newer servers say it all in the list; older ones are asked for each model, once. */
async function showModel(probe: Probe, model: string, entry: JsonObject): Promise<Shown> {
  const details = asObject(entry['details'])
  const listed = textsIn(entry['capabilities'])
  const contextLength = asCount(details['context_length'])
  const dimensions = asCount(details['embedding_length'])
  if (listed.length > 0 && contextLength !== undefined) return { capabilities: listed, contextLength, dimensions }
  const key = `show ${model} ${asName(entry['digest']) ?? ''}`
  const before = probe.memory.get(key)
  const shown = isObject(before) ? before : asObject((await probe.post('/api/show', { model })).json)
  const info = asObject(shown['model_info'])
  const architecture = asName(info['general.architecture']) ?? ''
  const kept = {
    capabilities: [...listed, ...textsIn(shown['capabilities'])],
    context: asCount(shown['context']) ?? asCount(info[`${architecture}.context_length`]) ?? 0,
    vectors: asCount(shown['vectors']) ?? asCount(info[`${architecture}.embedding_length`]) ?? 0
  }
  probe.memory.set(key, { capabilities: kept.capabilities, context: kept.context, vectors: kept.vectors })
  return {
    capabilities: kept.capabilities,
    contextLength: contextLength ?? asCount(kept.context),
    dimensions: dimensions ?? asCount(kept.vectors)
  }
}

/** What is in memory; undefined where the server does not say. */
async function loadedModels(probe: Probe): Promise<Map<string, JsonObject> | undefined> {
  const { status, json } = await probe.get('/api/ps')
  if (status !== 200 || !isObject(json) || !Array.isArray(json['models'])) return undefined
  return new Map(objectsIn(json['models']).map((entry) => [asName(entry['model']) ?? asName(entry['name']) ?? '', entry]))
}
