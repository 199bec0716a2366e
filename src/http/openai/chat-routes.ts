/** `POST /v1/chat/completions`: https://platform.openai.com/docs/api-reference/chat */
import { Hono } from 'hono'
import type { JsonObject } from '../../../protocols/json.ts'
import { MeshError } from '../../errors.ts'
import { readJsonObject } from '../json-body.ts'
import { lastSaid } from './meant-model.ts'
import { answeredBy, beginCall, type BegunCall, type ModelMesh } from './begin-call.ts'
import { chatAsked, type ChatAsked } from './chat-request.ts'
import { chunksOf, createChunkShape, shapeCompletion, type AnswerHead } from './completion-shape.ts'
import { eventStream, itemsOf } from './event-stream.ts'
import { MODEL_USES, modelOf } from './model-uses.ts'
import type { OpenAiEnv } from './openai-errors.ts'
import { isObject } from './request-fields.ts'

/** What a call of a model is made of, beside what it is asked. */
export interface CallContext {
  mesh: ModelMesh
  requestId: string
  traceparent: string
  signal: AbortSignal
}

/** Chat completions, streamed or not. */
export function chatRoutes({ mesh }: { mesh: ModelMesh }): Hono<OpenAiEnv> {
  return new Hono<OpenAiEnv>().post('/completions', async (context) => {
    const asked = chatAsked(await readJsonObject(context.req.raw))
    const abort = new AbortController()
    const signal = AbortSignal.any([context.req.raw.signal, abort.signal])
    const call = await beginChat(asked, { mesh, signal, ...context.var })
    const head = headFor(call, context.var.requestId)
    if (!asked.isStream) return context.json(await wholeAnswer(call, head), 200, answeredBy(call))
    return eventStream(chatChunks(call, head, asked.withUsage), {
      headers: answeredBy(call),
      onCancel: () => abort.abort(),
      end: '[DONE]'
    })
  })
}

/** Calls a model that chats, up to the first that it says. */
export function beginChat({ model, needs, input }: ChatAsked, { mesh, signal, traceparent }: CallContext): Promise<BegunCall> {
  return beginCall({ mesh, use: MODEL_USES.chat, model, needs, input, words: lastSaid, options: { signal, traceparent } })
}

/** What an answer is called if its server gives it no name. */
export function headFor({ target }: BegunCall, requestId: string): AnswerHead {
  return { id: `chatcmpl-${requestId}`, created: Math.floor(Date.now() / 1_000), model: modelOf(target.view) ?? target.id }
}

/** The whole answer of a call. @throws MeshError `protocol_error` if it is none. */
export async function wholeAnswer(call: BegunCall, head: AnswerHead): Promise<JsonObject> {
  const items = itemsOf(call)
  for (;;) {
    const { done, value } = await items.next()
    if (done !== true) continue
    if (!isObject(value) || !Array.isArray(value['choices']))
      throw new MeshError('protocol_error', 'the model has answered with something that is no chat completion')
    return shapeCompletion(value, head)
  }
}

/** The chunks of an answer; one that came whole is cut into some. */
export async function* chatChunks(call: BegunCall, head: AnswerHead, withUsage: boolean): AsyncGenerator<JsonObject, void, void> {
  const shape = createChunkShape(head)
  const items = itemsOf(call)
  let isStreamed = false
  let step = await items.next()
  try {
    for (; step.done !== true; step = await items.next()) {
      const chunk = isObject(step.value) ? shape.shape(step.value) : undefined
      if (chunk === undefined) continue
      isStreamed = true
      yield chunk
    }
  } finally {
    await items.return(null)
  }
  const result = step.value
  if (!isObject(result) || (!isStreamed && !Array.isArray(result['choices'])))
    throw new MeshError('protocol_error', 'the model has answered with something that is no chat completion')
  if (!isStreamed) for (const chunk of chunksOf(result)) yield shape.shape(chunk)!
  const { usage } = result
  if (withUsage && usage !== undefined && usage !== null) yield shape.usage(usage)
}
