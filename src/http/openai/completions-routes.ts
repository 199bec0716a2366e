/** `POST /v1/completions`, the older API (https://platform.openai.com/docs/api-reference/completions): a prompt is a conversation of one message. */
import { Hono } from 'hono'
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { readJsonObject } from '../json-body.ts'
import { answeredBy, type ModelMesh } from './begin-call.ts'
import { beginChat, chatChunks, headFor, wholeAnswer } from './chat-routes.ts'
import { chatAsked, type ChatAsked } from './chat-request.ts'
import { eventStream } from './event-stream.ts'
import { refused, wrongField, type OpenAiEnv } from './openai-errors.ts'
import { isObject, refuseFields } from './request-fields.ts'

/** Most prompts of one request: each is a call, one after the other. */
export const MAX_PROMPTS = 32
/** What a conversation cannot have. */
const NOT_OF_CHAT = ['suffix', 'best_of', 'logprobs']

/** Completions of prompts, by models that chat. Of several prompts none is streamed. */
export function completionsRoutes({ mesh }: { mesh: ModelMesh }): Hono<OpenAiEnv> {
  return new Hono<OpenAiEnv>().post('/', async (context) => {
    const { prompt, echo = null, ...body } = await readJsonObject(context.req.raw)
    const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
    refuseFields(given, NOT_OF_CHAT, 'is not supported: prompts are answered by models that chat')
    if (echo !== null && typeof echo !== 'boolean') throw wrongField('echo', 'true or false')
    const prompts = promptsIn(prompt)
    const asked = prompts.map((content) => chatAsked({ ...given, messages: [{ role: 'user', content }] }))
    const [first] = asked as [ChatAsked]
    if (first.isStream && prompts.length > 1)
      throw refused(400, 'several prompts are answered without a stream', 'prompt', 'unsupported_parameter')
    const abort = new AbortController()
    const init = { mesh, signal: AbortSignal.any([context.req.raw.signal, abort.signal]), ...context.var }
    const begun = await beginChat(first, init)
    const head = { ...headFor(begun, context.var.requestId), id: `cmpl-${context.var.requestId}` }
    const start = (at: number): string => (echo === true ? prompts[at]! : '')
    if (first.isStream) {
      return eventStream(textChunks(chatChunks(begun, head, first.withUsage), start(0)), {
        headers: answeredBy(begun),
        onCancel: () => abort.abort(),
        end: '[DONE]'
      })
    }
    const answers = [await wholeAnswer(begun, head)]
    for (const one of asked.slice(1)) answers.push(await wholeAnswer(await beginChat(one, init), head))
    const choices = answers.flatMap((answer, at) => choicesOf(answer).map((choice) => textChoice(choice, 'message', start(at))))
    const { created, model } = answers[0]!
    const whole = { id: head.id, object: 'text_completion', created: created!, model: model!, usage: usageOf(answers) }
    return context.json({ ...whole, choices: choices.map((choice, index) => ({ ...choice, index })) }, 200, answeredBy(begun))
  })
}

/** @throws a refusal. */
function promptsIn(prompt: JsonValue | undefined): string[] {
  if (prompt === undefined || prompt === null) throw refused(400, 'prompt is missing', 'prompt', 'missing_required_parameter')
  const prompts = Array.isArray(prompt) ? prompt : [prompt]
  if (prompts.length === 0 || prompts.length > MAX_PROMPTS || !prompts.every((one) => typeof one === 'string'))
    throw wrongField('prompt', `a string, or an array of 1 to ${MAX_PROMPTS} strings; tokens are not supported`)
  return prompts
}

async function* textChunks(chunks: AsyncIterable<JsonObject>, start: string): AsyncGenerator<JsonObject, void, void> {
  const begun = new Set<JsonValue>()
  for await (const chunk of chunks) {
    const choices = choicesOf(chunk).map((choice) => {
      const { index = 0 } = choice
      const before = begun.has(index) ? '' : start
      begun.add(index)
      return textChoice(choice, 'delta', before)
    })
    yield { ...chunk, object: 'text_completion', choices }
  }
}

function textChoice(
  { index = 0, finish_reason: reason = null, ...choice }: JsonObject,
  key: 'message' | 'delta',
  start: string
): JsonObject {
  const said = choice[key]
  const content = isObject(said) ? said['content'] : undefined
  return { text: `${start}${typeof content === 'string' ? content : ''}`, index, logprobs: null, finish_reason: reason }
}

function choicesOf({ choices }: JsonObject): JsonObject[] {
  return Array.isArray(choices) ? choices.filter(isObject) : []
}

function usageOf(answers: readonly JsonObject[]): JsonObject {
  const sum = (key: string): number =>
    answers.reduce((total, { usage }) => total + (isObject(usage) && typeof usage[key] === 'number' ? usage[key] : 0), 0)
  return { prompt_tokens: sum('prompt_tokens'), completion_tokens: sum('completion_tokens'), total_tokens: sum('total_tokens') }
}
