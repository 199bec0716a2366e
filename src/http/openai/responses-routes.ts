/** `POST /v1/responses`: https://platform.openai.com/docs/api-reference/responses */
import { Hono } from 'hono'
import type { JsonObject } from '../../../protocols/json.ts'
import { readJsonObject } from '../json-body.ts'
import { answeredBy, type ModelMesh } from './begin-call.ts'
import { beginChat, chatChunks, headFor } from './chat-routes.ts'
import { eventStream } from './event-stream.ts'
import { refused, type OpenAiEnv } from './openai-errors.ts'
import { messagesOfOutput } from './responses-input.ts'
import { createResponsesMemory, type ResponsesMemory } from './responses-memory.ts'
import { responseAsked, type ResponseAsked } from './responses-request.ts'
import { createResponseShape, type ResponseShape } from './responses-shape.ts'

/** Responses, streamed or not, by models that chat. What is to be stored is remembered by this node alone, for a while. */
export function responsesRoutes({
  mesh,
  memory = createResponsesMemory()
}: {
  mesh: ModelMesh
  memory?: ResponsesMemory
}): Hono<OpenAiEnv> {
  return new Hono<OpenAiEnv>()
    .post('/', async (context) => {
      const asked = responseAsked(await readJsonObject(context.req.raw), memory)
      const abort = new AbortController()
      const signal = AbortSignal.any([context.req.raw.signal, abort.signal])
      const call = await beginChat(asked.chat, { mesh, signal, ...context.var })
      const head = headFor(call, context.var.requestId)
      // Not the id of the request: that is the trace of its client, which may have several responses.
      const id = `resp_${crypto.randomUUID().replaceAll('-', '')}`
      const shape = createResponseShape({ id, created_at: head.created, model: head.model, ...asked.echo })
      const chunks = chatChunks(call, head, true)
      if (asked.chat.isStream)
        return eventStream(events(shape, chunks, asked), { headers: answeredBy(call), onCancel: () => abort.abort() })
      for await (const chunk of chunks) shape.add(chunk)
      shape.end()
      return context.json(kept(shape, asked), 200, answeredBy(call))
    })
    .get('/:id', (context) => {
      const { id } = context.req.param()
      const found = memory.find(id)
      if (found === undefined) throw gone(id)
      return context.json(found.response)
    })
    .delete('/:id', (context) => {
      const { id } = context.req.param()
      if (!memory.forget(id)) throw gone(id)
      return context.json({ id, object: 'response', deleted: true })
    })

  async function* events(
    shape: ResponseShape,
    chunks: ReturnType<typeof chatChunks>,
    asked: ResponseAsked
  ): AsyncGenerator<JsonObject, void, void> {
    yield* shape.begin()
    try {
      for await (const chunk of chunks) yield* shape.add(chunk)
    } catch (error) {
      return void (yield* shape.fail(error))
    }
    const last = shape.end()
    // Before its client hears of its end: it may refer to it at once.
    kept(shape, asked)
    yield* last
  }

  function kept(shape: ResponseShape, { messages, store }: ResponseAsked): JsonObject {
    const response = shape.response()
    if (store) memory.keep(response['id'] as string, { response, messages: [...messages, ...messagesOfOutput(response.output)] })
    return response
  }
}

function gone(id: string): ReturnType<typeof refused> {
  const message = `there is no response "${id.slice(0, MAX_SHOWN)}" at this node: it keeps those of the last hour in memory, up to a bound, and none with store: false`
  return refused(404, message, 'response_id', 'not_found')
}
const MAX_SHOWN = 128
