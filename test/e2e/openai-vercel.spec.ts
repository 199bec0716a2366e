/** The AI SDK of Vercel against one node, while everything is served by another: by its provider for OpenAI, which makes responses unless it is told to chat, and by the one for servers like it. */
import assert from 'node:assert/strict'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import {
  APICallError,
  embed,
  embedMany,
  experimental_generateSpeech as generateSpeech,
  experimental_transcribe as transcribe,
  generateImage,
  generateObject,
  generateText,
  jsonSchema,
  stepCountIs,
  streamText,
  tool,
  type LanguageModel,
  type ModelMessage
} from 'ai'
import { until } from '../fixtures/libp2p-pair.ts'
import { FRONT_KEY, startOpenAiFront, type OpenAiFront } from '../fixtures/openai-front.ts'
import type { ScriptedModel } from '../fixtures/scripted-model.ts'
import { requireProgram } from '../fixtures/system-program.ts'

const prompt = 'How warm is it?'
const MODES = ['responses', 'chat', 'compatible'] as const

describe('the AI SDK of Vercel at a node, its models at another', function () {
  this.timeout(60_000)
  let front: OpenAiFront
  let server: ScriptedModel
  let openai: ReturnType<typeof createOpenAI>
  let models: Record<(typeof MODES)[number], LanguageModel>
  before(async () => {
    front = await startOpenAiFront()
    server = front.server
    const baseURL = `${front.api.url}/v1`
    openai = createOpenAI({ apiKey: FRONT_KEY, baseURL })
    const compatible = createOpenAICompatible({
      ...{ name: 'mesh', apiKey: FRONT_KEY, baseURL },
      ...{ includeUsage: true, supportsStructuredOutputs: true }
    })
    models = { responses: openai('scripted'), chat: openai.chat('scripted'), compatible: compatible('scripted') }
  })
  after(() => front?.close())

  for (const mode of MODES)
    describe(mode === 'responses' ? 'as it does by itself, with responses' : `with ${mode}`, () => {
      it('generateText, with usage', async () => {
        server.play(() => ({ text: 'It is warm.', tokens: 42 }))
        const { text, usage, finishReason, response } = await generateText({ model: models[mode], prompt, system: 'be brief' })
        assert.deepEqual([text, usage.totalTokens, finishReason], ['It is warm.', 42, 'stop'])
        assert.equal(response.headers?.['x-atmosphere-node'], front.there.peerId)
        assert.deepEqual(
          server.requests[0]?.messages.map(({ role }) => role),
          ['system', 'user']
        )
      })

      it('streamText, with usage', async () => {
        server.play(() => ({ text: 'It is 🦙 warm.', tokens: 42 }))
        const { textStream, usage, finishReason } = streamText({ model: models[mode], prompt })
        let text = ''
        for await (const part of textStream) text += part
        assert.deepEqual([text, (await usage).totalTokens, await finishReason], ['It is 🦙 warm.', 42, 'stop'])
      })

      it('a loop of tools, streamed and not, and the conversation goes on after it', async () => {
        const called: unknown[] = []
        const thermometer = tool({
          description: 'How warm a room is.',
          inputSchema: jsonSchema<{ room: string }>({ type: 'object', properties: { room: { type: 'string' } } }),
          execute: ({ room }) => {
            called.push(room)
            return '21 degrees'
          }
        })
        for (const isStream of [false, true]) {
          server.play(({ messages: said }, turn) =>
            turn === 0
              ? { text: 'I look. ', calls: [['thermometer', { room: 'the "hall" 🦙' }]] }
              : { text: turn === 1 ? `It has ${said.at(-1)?.content}.` : 'Yes.' }
          )
          const asked = { model: models[mode], tools: { thermometer }, stopWhen: stepCountIs(3) }
          const request = { ...asked, prompt }
          const result = isStream ? streamText(request) : await generateText(request)
          assert.match(await result.text, /^It has .*21 degrees/)
          const { messages } = await result.response
          const more: ModelMessage[] = [{ role: 'user', content: prompt }, ...messages, { role: 'user', content: 'Really?' }]
          assert.equal((await generateText({ ...asked, messages: more })).text, 'Yes.')
          assert.deepEqual(
            server.requests.at(-1)?.messages.map(({ role, content }) => [role, role === 'assistant' ? content : '']),
            [
              ...[
                ['user', ''],
                ['assistant', 'I look. '],
                ['tool', '']
              ],
              ...[
                ['assistant', server.requests.at(-1)?.messages[3]?.content],
                ['user', '']
              ]
            ]
          )
        }
        assert.deepEqual(called, ['the "hall" 🦙', 'the "hall" 🦙'])
      })

      it('generateObject, by the schema', async () => {
        server.play(() => ({ text: '{"warm":true}' }))
        const schema = jsonSchema<{ warm: boolean }>({
          type: 'object',
          properties: { warm: { type: 'boolean' } },
          required: ['warm'],
          additionalProperties: false
        })
        const { object } = await generateObject({ model: models[mode], prompt, schema })
        assert.deepEqual(object, { warm: true })
        const { type, json_schema: its } = server.requests[0]?.body['response_format'] as {
          type: string
          json_schema: { schema: { required: string[] } }
        }
        assert.deepEqual([type, its.schema.required], ['json_schema', ['warm']])
      })

      it('shows images', async () => {
        server.play(() => ({ text: 'a llama' }))
        const image = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
        const content = [
          { type: 'text' as const, text: 'What is it?' },
          { type: 'image' as const, image }
        ]
        await generateText({ model: models[mode], messages: [{ role: 'user', content }] })
        assert.match(JSON.stringify(server.requests[0]?.messages), /"image_url":\{"url":"data:image\/png;base64,iVBORw0KGgo="/)
      })

      it('is told what fails, before and in the middle', async () => {
        server.play(() => ({ status: 400 }))
        const isTold = (error: unknown) =>
          APICallError.isInstance(error) && error.statusCode === 400 && /scripted 400/.test(error.message)
        await assert.rejects(generateText({ model: models[mode], prompt }), isTold)
        const hi = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'hi' } }] })}\n\n`
        server.play(() => ({ pieces: [hi], then: 'cut' }))
        const errors: unknown[] = []
        const { fullStream } = streamText({ model: models[mode], prompt, maxRetries: 0, onError: () => undefined })
        for await (const part of fullStream) if (part.type === 'error') errors.push(part.error)
        assert.equal(errors.length, 1)
      })
    })

  it('embed and embedMany', async () => {
    const model = openai.embedding('vectors')
    assert.deepEqual((await embed({ model, value: 'a' })).embedding, [3, 0, 0.5])
    const { embeddings, usage } = await embedMany({ model, values: ['a', 'bcd'] })
    assert.deepEqual(embeddings, [
      [3, 0, 0.5],
      [5, 1, 0.5]
    ])
    assert.equal(usage.tokens, 2)
  })

  it('generateImage', async () => {
    const { images } = await generateImage({ model: openai.image('images'), prompt: 'a llama', n: 2 })
    assert.deepEqual(
      images.map(({ mediaType }) => mediaType),
      ['image/png', 'image/png']
    )
  })

  it('experimental_transcribe', async () => {
    const audio = new Uint8Array(70_000)
    const { text } = await transcribe({ model: openai.transcription('transcription'), audio })
    assert.equal((JSON.parse(text) as { bytes: number }).bytes, 70_000)
  })

  it('experimental_generateSpeech, as WAV; what it asks for by itself, mp3, is refused by name', async function () {
    requireProgram(this, 'espeak-ng')
    await until(() => front.here.capabilities({ type: 'audio/speech', status: 'online' }).length === 1, 'speech')
    const model = openai.speech('speech')
    const { audio } = await generateSpeech({ model, text: 'Hello', outputFormat: 'wav' })
    assert.equal(Buffer.from(audio.uint8Array).toString('latin1', 8, 12), 'WAVE')
    await assert.rejects(generateSpeech({ model, text: 'Hello' }), /response_format must be wav/)
  })
})
