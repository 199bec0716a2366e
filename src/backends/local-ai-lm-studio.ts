/** The models of LM Studio, by its own API: https://lmstudio.ai/docs/developer/rest */
import type { JsonObject } from '../../protocols/json.ts'
import { listingError } from './local-ai-listings.ts'
import { asCount, asName, asObject, asText, eachOnce, isObject, objectsIn } from './local-ai-model.ts'
import type { FoundModel } from './local-ai-model.ts'
import type { Probe } from './local-ai-probe.ts'

/** Models on its disk, loaded or not. */
export async function listLmStudio(probe: Probe): Promise<FoundModel[]> {
  const { status, json } = await probe.get('/api/v1/models')
  if (status === 200 && isObject(json) && Array.isArray(json['models'])) return eachOnce(objectsIn(json['models']).flatMap(ofV1))
  const { status: before, json: old } = await probe.get('/api/v0/models')
  if (before !== 200 || !isObject(old) || !Array.isArray(old['data'])) throw listingError('/api/v1/models', status)
  return eachOnce(objectsIn(old['data']).flatMap(ofV0))
}

function ofV1(entry: JsonObject): FoundModel[] {
  const model = asName(entry['key'])
  if (model === undefined) return []
  const instances = objectsIn(entry['loaded_instances'])
  const capabilities = asObject(entry['capabilities'])
  const common = {
    model,
    typeFrom: 'server' as const,
    description: asText(entry['display_name']),
    contextLength: asCount(entry['max_context_length']),
    servedContextLength: asCount(asObject(instances[0]?.['config'])['context_length']),
    loaded: instances.length > 0
  }
  if (entry['type'] === 'embedding') return [{ ...common, type: 'llm/embed' }]
  const chat: FoundModel = {
    ...common,
    type: 'llm/chat',
    vision: capabilities['vision'] === true,
    tools: capabilities['trained_for_tool_use'] === true
  }
  return [entry['type'] === 'llm' ? chat : { ...chat, withheld: 'its type is not known here' }]
}

function ofV0(entry: JsonObject): FoundModel[] {
  const model = asName(entry['id'])
  if (model === undefined) return []
  const common = {
    model,
    typeFrom: 'server' as const,
    contextLength: asCount(entry['max_context_length']),
    servedContextLength: asCount(entry['loaded_context_length']),
    loaded: entry['state'] === 'loaded'
  }
  if (entry['type'] === 'embeddings') return [{ ...common, type: 'llm/embed' }]
  const tools = Array.isArray(entry['capabilities']) && entry['capabilities'].includes('tool_use')
  const chat: FoundModel = { ...common, type: 'llm/chat', vision: entry['type'] === 'vlm', tools }
  return [['llm', 'vlm'].includes(asName(entry['type']) ?? '') ? chat : { ...chat, withheld: 'its type is not known here' }]
}
