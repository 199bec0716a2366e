/** `/v1/audio/speech`, `/v1/audio/transcriptions` and `/v1/images/generations`: https://platform.openai.com/docs/api-reference/audio and `images` */
import { Hono } from 'hono'
import { readAtMost } from '../../../protocols/bytes-at-most.ts'
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { MeshError } from '../../errors.ts'
import type { CallItem, CapabilityView } from '../../mesh-api.ts'
import { toBase64 } from '../base64.ts'
import { MAX_BODY_BYTES, readBytes, readJsonObject } from '../json-body.ts'
import { answeredBy, beginCall, nextItem, type BegunCall, type ModelMesh, type ModelRequest } from './begin-call.ts'
import { MODEL_USES, toolFor } from './model-uses.ts'
import { refused, wrongField, type OpenAiEnv } from './openai-errors.ts'
import { givenFields, isObject, modelIn } from './request-fields.ts'

/** Most bytes of speech or images in one answer. */
export const MAX_MEDIA_BYTES = 64 * 1024 * 1024
/** Words a minute at speed 1, and the bounds that the tool has. */
const RATE = { normal: 175, least: 80, most: 450 }
/** Names that OpenAI gives to its voices: no other server has them, and clients must send one. */
const VOICES_OF_OPENAI = [
  'alloy',
  'ash',
  'ballad',
  'cedar',
  'coral',
  'echo',
  'fable',
  'marin',
  'nova',
  'onyx',
  'sage',
  'shimmer',
  'verse'
]
const NO_STREAM = 'the answer comes whole here; leave stream out'
/** Bytes of one item of a stream. */
const PIECE_BYTES = 64 * 1024

/** Speech as WAV, transcriptions as JSON or text, images in base64. */
export function mediaRoutes({ mesh }: { mesh: ModelMesh }): Hono<OpenAiEnv> {
  return new Hono<OpenAiEnv>()
    .post('/audio/speech', async (context) => {
      const body = await readJsonObject(context.req.raw)
      const asked = speechAsked(body)
      const call = await begin({ use: 'speech', body, input: asked, signal: context.req.raw.signal, ...context.var })
      const { bytes, result } = await contentOf(call)
      if (bytes.length === 0) throw new MeshError('protocol_error', 'the model has answered with no speech')
      const headers = { 'content-type': audioTypeOf(result), ...answeredBy(call) }
      return context.body(bytes as Uint8Array<ArrayBuffer>, 200, headers)
    })
    .post('/audio/transcriptions', async (context) => {
      const form = await formOf(context.req.raw)
      const text = (key: string): string | undefined => {
        const value = form.get(key)
        return typeof value === 'string' && value !== '' ? value : undefined
      }
      const file = form.get('file')
      if (file === null || typeof file === 'string')
        throw refused(400, 'file must be a file', 'file', 'missing_required_parameter')
      if (text('stream') === 'true') throw refused(400, NO_STREAM, 'stream', 'unsupported_parameter')
      const unheard = ['timestamp_granularities[]', 'include[]'].find((key) => form.has(key))
      if (unheard !== undefined) throw refused(400, `${unheard} is not known here`, unheard.slice(0, -2), 'unsupported_parameter')
      const format = text('response_format') ?? 'json'
      if (format !== 'json' && format !== 'text') throw wrongField('response_format', 'json or text')
      const [language, prompt] = [text('language'), text('prompt')]
      const input = {
        name: file.name,
        ...(file.type !== '' && { mediaType: file.type }),
        ...(language !== undefined && { language }),
        ...(prompt !== undefined && { prompt })
      }
      const bytes = new Uint8Array(await file.arrayBuffer())
      const asked = { use: 'transcription', body: { model: text('model') ?? '' }, stream: () => piecesOf(bytes) } as const
      const call = await begin({ ...asked, input: () => input, signal: context.req.raw.signal, ...context.var })
      const { result } = await contentOf(call)
      const said = isObject(result) ? result['text'] : undefined
      if (typeof said !== 'string')
        throw new MeshError('protocol_error', 'the model has answered with something that is no transcription')
      return format === 'text' ? context.text(said, 200, answeredBy(call)) : context.json({ text: said }, 200, answeredBy(call))
    })
    .post('/images/generations', async (context) => {
      const body = await readJsonObject(context.req.raw)
      if (body['stream'] === true) throw refused(400, NO_STREAM, 'stream', 'unsupported_parameter')
      const fields = { prompt: 'text', n: 'count', size: 'text', response_format: 'text' } as const
      const { prompt, n, size, response_format: format = 'b64_json' } = givenFields(body, fields)
      if (prompt === undefined || prompt === '') throw refused(400, 'prompt is missing', 'prompt', 'missing_required_parameter')
      if (format !== 'b64_json') throw wrongField('response_format', 'b64_json: images are at no address')
      const input = { prompt, ...(n !== undefined && { n }), ...(size !== undefined && { size }) }
      const call = await begin({ use: 'image', body, input: () => input, signal: context.req.raw.signal, ...context.var })
      const { bytes, result } = await contentOf(call)
      const data = imagesIn(bytes, result)
      return context.json({ created: Math.floor(Date.now() / 1_000), data }, 200, answeredBy(call))
    })

  function begin({ use, body, input, stream, signal, traceparent }: Asked): Promise<BegunCall> {
    const options = { signal, traceparent }
    return beginCall({ mesh, use: MODEL_USES[use], model: modelIn(body), input, options, ...(stream && { stream }) })
  }
}

interface Asked extends Pick<ModelRequest, 'input' | 'stream'> {
  use: keyof typeof MODEL_USES
  body: JsonObject
  signal: AbortSignal
  traceparent: string
}

/** What a tool that speaks is asked: each has its own words for speed and format. @throws a refusal. */
function speechAsked(body: JsonObject): (view: CapabilityView) => JsonObject {
  const fields = { input: 'text', response_format: 'text', speed: 'number', voice: 'text', stream_format: 'text' } as const
  const {
    input: text,
    response_format: format = 'wav',
    speed = 1,
    voice,
    stream_format: way = 'audio'
  } = givenFields(body, fields)
  if (text === undefined || text === '') throw refused(400, 'input is missing', 'input', 'missing_required_parameter')
  if (way !== 'audio') throw wrongField('stream_format', 'audio')
  const isOwn = voice !== undefined && !VOICES_OF_OPENAI.includes(voice as string)
  const rate = Math.round(Math.min(Math.max(RATE.normal * (speed as number), RATE.least), RATE.most))
  return (view) => {
    const known = propertiesOf(view)
    const knows = (key: string): boolean => Object.hasOwn(known, key)
    const formats = formatsIn(known)
    if (!formats.includes(format as string)) {
      const known = formats.length === 1 ? formats[0]! : `one of ${formats.join(', ')}`
      throw wrongField('response_format', `${known}: this model gives nothing else`)
    }
    return {
      text,
      ...(knows('bytes') && { bytes: true }),
      ...(knows('format') && { format }),
      ...(speed !== 1 && (knows('speed') ? { speed } : { rate })),
      ...(isOwn && { voice })
    }
  }
}

/** The keys of what a tool that speaks takes. A foreign schema is anything. */
function propertiesOf(view: CapabilityView): JsonObject {
  const schema = toolFor(view, MODEL_USES.speech.tool)?.input
  const properties = isObject(schema) ? schema['properties'] : undefined
  return isObject(properties) ? properties : {}
}

function formatsIn({ format }: JsonObject): string[] {
  const known = isObject(format) && Array.isArray(format['enum']) ? format['enum'] : []
  const names = known.filter((one): one is string => typeof one === 'string')
  return names.length > 0 ? names : ['wav']
}

/** As the model says. A foreign text is no header before it is looked at. */
function audioTypeOf(result: JsonValue): string {
  const type = isObject(result) ? result['mediaType'] : undefined
  return typeof type === 'string' && /^(audio\/[a-z0-9.+-]{1,64}|application\/octet-stream)$/i.test(type) ? type : 'audio/wav'
}

/** All that a call gives. @throws MeshError also `too_large`. */
async function contentOf({ first, rest }: BegunCall): Promise<{ bytes: Uint8Array; result: JsonValue }> {
  let result: JsonValue = null
  async function* pieces(): AsyncGenerator<Uint8Array, void, void> {
    for (let item = first; ; item = await nextItem(rest)) {
      if (item.kind === 'bytes') yield item.bytes
      else if (item.kind === 'restart') throw new MeshError('unavailable', `the provider was lost in the middle (${item.reason})`)
      else if (item.kind === 'result') return void (result = item.value)
    }
  }
  try {
    const tooLarge = () =>
      new MeshError('too_large', `the model gives more than ${MAX_MEDIA_BYTES} bytes`, { limit: MAX_MEDIA_BYTES })
    return { bytes: await readAtMost(pieces(), MAX_MEDIA_BYTES, tooLarge), result }
  } finally {
    void rest.return?.()
  }
}

/** Images come one after the other; how long each is, the result says. */
function imagesIn(bytes: Uint8Array, result: JsonValue): JsonObject[] {
  const images = isObject(result) && Array.isArray(result['images']) ? result['images'].filter(isObject) : []
  let at = 0
  const data = images.map(({ bytes: length, revisedPrompt }): JsonObject => {
    if (typeof length !== 'number') return {}
    const image = bytes.subarray(at, (at += length))
    return { b64_json: toBase64(image), ...(revisedPrompt !== undefined && { revised_prompt: revisedPrompt }) }
  })
  if (data.length === 0 || at !== bytes.length)
    throw new MeshError('protocol_error', 'the model has answered with something that is no images')
  return data
}

async function formOf(request: Request): Promise<FormData> {
  const type = request.headers.get('content-type') ?? ''
  if (!/^multipart\/form-data\b/i.test(type)) throw refused(415, 'send multipart/form-data', null, 'invalid_argument')
  const bytes = await readBytes(request, MAX_BODY_BYTES)
  try {
    return await new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { 'content-type': type } }).formData()
  } catch {
    throw refused(400, 'the body is no multipart/form-data', null)
  }
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Extract<CallItem, { kind: 'bytes' }>, void, void> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield { kind: 'bytes', bytes: bytes.slice(at, at + PIECE_BYTES) }
}
