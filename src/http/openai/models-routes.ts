/** `GET /v1/models` and `GET /v1/models/{model}`: https://platform.openai.com/docs/api-reference/models */
import { Hono } from 'hono'
import type { JsonObject } from '../../../protocols/json.ts'
import type { CapabilityView } from '../../mesh-api.ts'
import type { ModelMesh } from './begin-call.ts'
import { AUTO, notFound } from './find-model.ts'
import { byName, refOf } from './model-names.ts'
import { aliasesOf, isCallable, modelOf, useOf } from './model-uses.ts'
import type { OpenAiEnv } from './openai-errors.ts'

/** Lists what can be called now, a model once however many nodes have it, and `auto` while there is one that chats. */
export function modelsRoutes({ mesh }: { mesh: ModelMesh }): Hono<OpenAiEnv> {
  const models = (): CapabilityView[] => mesh.capabilities().filter((one) => useOf(one) !== undefined)
  return new Hono<OpenAiEnv>()
    .get('/', (context) => {
      const all = models()
      const names = new Set(all.filter(isCallable).map((one) => nameOf(one, all)))
      return context.json({
        object: 'list',
        data: [...(names.size === 0 ? [] : [autoObject()]), ...[...names].map((name) => modelObject(name, all))]
      })
    })
    .get('/:model{.+}', (context) => {
      const id = context.req.param('model')
      const all = models()
      if (id === AUTO && all.some(isCallable)) return context.json(autoObject())
      if (!byName(all, id).some(isCallable)) throw notFound(all.filter(isCallable), id)
      return context.json(modelObject(id, all))
    })
}

/** The id, if that means it and nothing of another kind. */
function nameOf(one: CapabilityView, all: readonly CapabilityView[]): string {
  const meant = byName(all, one.id)
  const isOneThing = meant.every(({ type, scope }) => type === one.type && scope !== 'node')
  if (meant.includes(one) && (isOneThing || meant.length === 1)) return one.id
  return refOf(one, all)
}

/** `created` is when its maker made it, which nobody here knows. */
function modelObject(id: string, all: readonly CapabilityView[]): JsonObject {
  const views = byName(all, id).filter(isCallable)
  const [first] = views as [CapabilityView, ...CapabilityView[]]
  const { metadata = {}, type, description } = first
  const nodes = [...new Set(views.map(({ nodeName }) => nodeName))]
  const model = modelOf(first)
  const aliases = aliasesOf(first)
  return {
    id,
    object: 'model',
    created: 0,
    owned_by: nodes.join(', ').slice(0, 256),
    type,
    ...(description !== undefined && { description }),
    ...(model !== undefined && { model }),
    ...(aliases.length > 0 && { aliases }),
    nodes: nodes.slice(0, 64),
    ...pick(metadata, ['tools', 'vision', 'dimensions', 'contextLength'])
  }
}

function autoObject(): JsonObject {
  return {
    id: AUTO,
    object: 'model',
    created: 0,
    owned_by: 'atmosphere',
    description: 'The model of the mesh that fits the request and is expected to answer first.'
  }
}

function pick(metadata: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(keys.flatMap((key) => (metadata[key] === undefined ? [] : [[key, metadata[key]]])))
}
