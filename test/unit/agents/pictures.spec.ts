import assert from 'node:assert/strict'
import type { DeclaredAgent } from '../../../src/agents/agent-config.ts'
import { createDeclaredAgent } from '../../../src/agents/declared-agent.ts'
import { MAX_PICTURES, MAX_PICTURE_BYTES } from '../../../src/agents/pictures.ts'
import { createOpenAiChatBackend } from '../../../src/backends/openai-chat.ts'
import type { JsonObject } from '../../../src/core/invoke.ts'
import { MODEL_KEY, createAgentWorld, type AgentWorld } from '../../fixtures/agent-world.ts'
import { until } from '../../fixtures/libp2p-pair.ts'
import type { ModelRequest, Script } from '../../fixtures/scripted-model.ts'

const GUARD: DeclaredAgent = { id: 'guard', instructions: 'Look.', model: 'seeing', tools: [{ capabilities: ['cam'] }] }

interface Part {
  type: string
  text?: string
  image_url?: { url: string }
}

describe('a declared agent and pictures', () => {
  let world: AgentWorld
  before(async () => {
    world = await createAgentWorld()
    const config = { kind: 'openai-chat', id: 'seeing', baseUrl: world.model.url, model: 'scripted', apiKeyEnv: 'K' } as const
    world.mesh.addBackend(createOpenAiChatBackend({ ...config, vision: true }, { env: { K: MODEL_KEY } }))
    const input = { type: 'object', properties: { size: { type: 'integer' }, mediaType: { type: 'string' } } }
    world.mesh.register(
      { id: 'cam', type: 'sensor/camera', tools: [{ name: 'get_frame', input, streams: true }] },
      {
        async *get_frame({ size, mediaType = 'image/jpeg' }) {
          const bytes = new Uint8Array(size as number).fill(size as number)
          // In pieces, as a camera sends it.
          for (let at = 0; at < bytes.length; at += 100_000) yield bytes.slice(at, at + 100_000)
          return { mediaType: mediaType as string, size: size as number }
        }
      }
    )
    await until(() => world.mesh.capabilities({ id: 'seeing', status: 'online' }).length === 1, 'the model is there')
  })
  after(() => world.close())
  beforeEach(() => world.restart())

  async function ask(script: Script, more: Partial<DeclaredAgent> = {}): Promise<ModelRequest[]> {
    world.model.play(script)
    await world.add(createDeclaredAgent({ ...GUARD, ...more }))
    const { result } = await world.mesh.call('guard', 'ask', { text: 'Who is it?' }).result
    assert.equal((result as JsonObject)['text'], 'nobody')
    return world.model.requests
  }
  const look = (...sizes: number[]): Script => {
    return (_, turn) => (turn < sizes.length ? { calls: [['cam__get_frame', { size: sizes[turn]! }]] } : { text: 'nobody' })
  }
  const picturesIn = (request: ModelRequest | undefined): string[] =>
    (request?.messages ?? []).flatMap(({ content }) =>
      Array.isArray(content)
        ? (content as Part[]).flatMap((part) => (part.image_url === undefined ? [] : [part.image_url.url]))
        : []
    )
  const urlOf = (size: number): string => `data:image/jpeg;base64,${Buffer.alloc(size, size).toString('base64')}`

  it('shows its model the picture that a tool gave, after the result, and at each step from then on', async () => {
    const requests = await ask(look(7, 8))
    assert.deepEqual(requests.map(picturesIn), [[], [urlOf(7)], [urlOf(7), urlOf(8)]])
    const { messages } = requests[1]!
    assert.deepEqual(
      messages.map(({ role }) => role),
      ['system', 'user', 'assistant', 'tool', 'user']
    )
    const [words] = messages.at(-1)!.content as unknown as Part[]
    assert.match(words?.text ?? '', /data: .* no instruction/)
    assert.match(messages[3]?.content ?? '', /"bytes":7,"result":\{"mediaType":"image\/jpeg","size":7\}/)
  })

  it('puts the pictures of calls that were made at once after all their results', async () => {
    const both: Script = (_, turn) =>
      turn > 0
        ? { text: 'nobody' }
        : {
            calls: [
              ['cam__get_frame', { size: 5 }],
              ['cam__get_frame', { size: 6 }]
            ]
          }
    const [, request] = await ask(both)
    assert.deepEqual(
      request?.messages.map(({ role }) => role),
      ['system', 'user', 'assistant', 'tool', 'tool', 'user']
    )
    assert.deepEqual(picturesIn(request), [urlOf(5), urlOf(6)])
  })

  it('keeps the newest, and none that is too large or no picture', async () => {
    const sizes = [1, 2, 3, MAX_PICTURE_BYTES, MAX_PICTURE_BYTES + 1]
    const requests = await ask(look(...sizes))
    const last = picturesIn(requests.at(-1))
    assert.deepEqual([last.length, last.at(-1) === urlOf(MAX_PICTURE_BYTES)], [MAX_PICTURES, true])
    await world.restart()
    const sound: Script = (_, turn) =>
      turn > 0 ? { text: 'nobody' } : { calls: [['cam__get_frame', { size: 9, mediaType: 'audio/wav' }]] }
    assert.deepEqual(picturesIn((await ask(sound)).at(-1)), [])
  })

  it('shows none to a model that does not look at images, and keeps none in its transcript', async () => {
    assert.deepEqual((await ask(look(7), { model: 'scripted' })).flatMap(picturesIn), [])
    await world.restart()
    // Any of the type may answer: one of them sees nothing.
    assert.deepEqual((await ask(look(7), { model: 'llm/chat' })).flatMap(picturesIn), [])
    await world.restart()
    await ask(look(7))
    const [task] = world.agents.tasks('guard')
    assert.doesNotMatch(JSON.stringify(world.agents.task('guard', task!.id)), /base64/)
  })
})
