/** `POST /v1/embeddings`: https://platform.openai.com/docs/api-reference/embeddings */
import { Hono } from 'hono'
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { vectorsInOrder } from '../../../protocols/vectors-in-order.ts'
import { MeshError } from '../../errors.ts'
import { toBase64 } from '../base64.ts'
import { readJsonObject } from '../json-body.ts'
import { answeredBy, beginCall, type BegunCall, type ModelMesh } from './begin-call.ts'
import { itemsOf } from './event-stream.ts'
import { MODEL_USES, modelOf } from './model-uses.ts'
import { refused, wrongField, type OpenAiEnv } from './openai-errors.ts'
import { givenFields, isObject, modelIn } from './request-fields.ts'

/** Most texts of one request, as of OpenAI. */
export const MAX_TEXTS = 2_048
/** Texts of one call: the vectors of so many fit into one result. */
export const TEXTS_PER_CALL = 64

/** Vectors of texts, in base64 where a client asks for that, as those of OpenAI do. */
export function embeddingsRoutes({ mesh }: { mesh: ModelMesh }): Hono<OpenAiEnv> {
  return new Hono<OpenAiEnv>().post('/', async (context) => {
    const body = await readJsonObject(context.req.raw)
    const {
      model: _model,
      input,
      encoding_format: format = 'float',
      ...more
    } = givenFields(body, { encoding_format: 'text', dimensions: 'count' })
    const model = modelIn(body)
    if (format !== 'float' && format !== 'base64') throw wrongField('encoding_format', 'float or base64')
    const { signal } = context.req.raw
    const { traceparent } = context.var
    const all: JsonObject[] = []
    const used = { prompt_tokens: 0, total_tokens: 0 }
    let first: BegunCall | undefined
    for (const texts of callsOf(input)) {
      // All vectors of an answer are of one model: those after the first go where that went.
      const chosen = first && { ...first.target, node: first.call.provider!.node }
      const asked = () => ({ ...more, input: texts })
      const call = await beginCall({ mesh, use: MODEL_USES.embed, model, chosen, input: asked, options: { signal, traceparent } })
      first ??= call
      const answer = await resultOf(call)
      const vectors = vectorsInOrder(answer['data'], textsIn(texts))
      if (vectors === undefined) throw noVectors()
      for (const vector of vectors)
        all.push({ object: 'embedding', index: all.length, embedding: format === 'float' ? vector : base64Of(vector) })
      for (const key of ['prompt_tokens', 'total_tokens'] as const) used[key] += countOf(answer['usage'], key)
    }
    const { target } = first!
    return context.json(
      { object: 'list', data: all, model: modelOf(target.view) ?? target.id, usage: used },
      200,
      answeredBy(first!)
    )
  })
}

/** The inputs of the calls for one request. @throws a refusal. */
function callsOf(input: JsonValue | undefined): JsonValue[] {
  if (input === undefined) throw refused(400, 'input is missing', 'input', 'missing_required_parameter')
  if (typeof input === 'string') return [input]
  if (!Array.isArray(input) || input.length === 0) throw wrongField('input', 'a string, or an array of one or more')
  if (isTokens(input)) return [input]
  if (input.length > MAX_TEXTS) throw wrongField('input', `an array of at most ${MAX_TEXTS}`)
  const wrong = input.findIndex((one) => typeof one !== 'string' && !isTokens(one))
  if (wrong >= 0) throw wrongField(`input[${wrong}]`, 'a string, or an array of tokens')
  return Array.from({ length: Math.ceil(input.length / TEXTS_PER_CALL) }, (_, n) =>
    input.slice(n * TEXTS_PER_CALL, (n + 1) * TEXTS_PER_CALL)
  )
}

/** A list of numbers is one text. */
function isTokens(value: JsonValue): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'number')
}

function textsIn(input: JsonValue): number {
  return Array.isArray(input) && !isTokens(input) ? input.length : 1
}

async function resultOf(call: BegunCall): Promise<JsonObject> {
  const items = itemsOf(call)
  for (;;) {
    const step = await items.next()
    if (step.done !== true) continue
    if (isObject(step.value)) return step.value
    throw noVectors()
  }
}

/** Little-endian 32-bit floats, on any machine. */
function base64Of(vector: readonly number[]): string {
  const bytes = new DataView(new ArrayBuffer(vector.length * 4))
  for (const [at, value] of vector.entries()) bytes.setFloat32(at * 4, value, true)
  return toBase64(new Uint8Array(bytes.buffer))
}

function countOf(usage: JsonValue | undefined, key: string): number {
  const count = isObject(usage) ? usage[key] : undefined
  return typeof count === 'number' ? count : 0
}

function noVectors(): MeshError {
  return new MeshError('protocol_error', 'the model has answered with something that is no vector for each text')
}
