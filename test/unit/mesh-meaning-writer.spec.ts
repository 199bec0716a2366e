import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { JsonValue } from '../../protocols/json.ts'
import type { Offer } from '../../src/core/candidates.ts'
import { meantCapabilities } from '../../src/core/meaning/items.ts'
import { createMeshMeaning } from '../../src/mesh-meaning.ts'
import {
  MAX_WRITTEN_CHARS,
  MIN_WRITE_REST_MS,
  WRITTEN_EXAMPLES,
  createExampleWriter,
  writtenLines
} from '../../src/mesh-meaning-writer.ts'
import type { Call, CallOptions, Mesh } from '../../src/mesh-api.ts'
import { MeshError } from '../../src/errors.ts'
import { createRandom } from '../../scripts/simulate/random.ts'
import { until } from '../backends/contract.ts'

const offer = (capability: CapabilityDeclaration): Offer => ({
  ...{ node: 'peer-a', nodeName: 'a', local: false, direct: true, rttMs: 5 },
  ...{ id: capability.id, type: capability.type, capability }
})
const capability = (id: string, description: string, examples?: string[]): CapabilityDeclaration => ({
  ...{ id, type: `home/${id}`, description, tools: [{ name: 'use' }] },
  ...(examples && { examples })
})
const heater = capability('heater', 'Warms the rooms of the house')
const lamp = capability('lamp', 'Switches the lamps', ['turn on the light', 'make it dark in here', 'light please'])
const radio = capability('radio', 'Plays music', ['play some jazz', 'louder please', 'next song'])

/** A model that writes what a script says, once for each request. */
describe('examples that a model writes', () => {
  let offers: Offer[]
  let clock: number
  let shown: string[]
  /** Target, node and nodes that are left out, of each call. */
  let asked: (string | readonly string[] | undefined)[][]
  let answers: (string | MeshError)[]
  let writer: ReturnType<typeof createExampleWriter>
  let meaning: ReturnType<typeof createMeshMeaning>

  const call = ((target: string, tool: string, input: JsonValue, options: CallOptions): Pick<Call, 'result'> => {
    assert.equal(tool, 'chat')
    asked.push([target, options.node, options.notNode])
    const { messages } = input as unknown as { messages: { role: string; content: string }[] }
    shown.push(messages[1]!.content)
    const answer = answers.shift() ?? ''
    if (answer instanceof MeshError) return { result: Promise.reject(answer) }
    const result = { choices: [{ message: { content: answer } }] }
    return { result: Promise.resolve({ result, provider: 'peer-a', providerName: 'a' } as never) }
  }) as unknown as Mesh['call']

  beforeEach(() => {
    offers = [heater, lamp, radio].map(offer)
    clock = 0
    shown = []
    asked = []
    answers = ['1. I am freezing\n2. "my feet are cold"\n- I am freezing\n']
    begin(undefined)
  })
  afterEach(() => meaning.stop())
  function begin(model: string | undefined): void {
    const wait = async (): Promise<void> => undefined
    writer = createExampleWriter({ self: 'self', model, offers: () => offers, call, now: () => clock, wait })
    const examples = { initial: [], save: async () => undefined }
    meaning = createMeshMeaning({ offers: () => offers, now: () => clock++, random: createRandom(1), writer, examples })
  }
  /** A request comes, and the writer does what it can at once. */
  async function ask(): Promise<void> {
    await meaning.understand('cold')
    await new Promise((resolve) => setTimeout(resolve))
  }

  it('are for what has none, count from then on, and are marked', async () => {
    await meaning.understand('my feet are cold')
    await until(() => writer.all().length > 0, 'examples')
    assert.deepEqual(shown, ['heater\nhome/heater\nWarms the rooms of the house\nuse'])
    const { outcome, matches } = await meaning.understand('my feet are cold')
    assert.deepEqual([outcome, matches[0]?.capability, matches[0]?.examplesBy], ['one', 'heater', 'model'])
    assert.equal((await meaning.understand('turn on the light')).matches[0]?.examplesBy, undefined)
    const own = { capability: 'heater', type: 'home/heater', by: 'model', node: 'peer-a', nodeName: 'a' }
    assert.deepEqual(meaning.examples.list().examples, [
      { ...own, text: 'I am freezing' },
      { ...own, text: 'my feet are cold' }
    ])
    assert.equal(shown.length, 1)
  })

  it('are written anew when the capability says something else, and not for a status', async () => {
    await meaning.understand('cold')
    await until(() => writer.all().length > 0, 'examples')
    offers = [{ ...heater, status: 'busy' as const }, lamp, radio].map(offer)
    await meaning.understand('cold')
    assert.equal(shown.length, 1)
    answers = ['the pool is too cold']
    offers = [{ ...heater, description: 'Warms the pool' }, lamp, radio].map(offer)
    await meaning.understand('cold')
    await until(() => writer.all().some(({ text }) => text === 'the pool is too cold'), 'the new ones')
    assert.equal(writer.all().length, 1)
  })

  it('give way to what somebody has confirmed, and are forgotten when they are to be', async () => {
    await meaning.understand('cold')
    await until(() => writer.all().length > 0, 'examples')
    await meaning.examples.learn('I want it cosy', 'heater')
    assert.equal((await meaning.understand('I want it cosy')).matches[0]?.examplesBy, undefined)
    assert.equal(await meaning.examples.forget({ capability: 'heater' }), 3)
    await meaning.understand('cold')
    assert.deepEqual([meaning.examples.list().examples, shown.length], [[], 1])
  })

  it('are asked for again only after a rest, where there is no model', async () => {
    answers = [new MeshError('unknown_capability', 'no model'), 'I am freezing']
    await meaning.understand('cold')
    await new Promise(setImmediate)
    await meaning.understand('cold')
    assert.equal(shown.length, 1)
    clock += MIN_WRITE_REST_MS + 1
    await meaning.understand('cold')
    await until(() => writer.all().length > 0, 'examples')
    assert.equal(shown.length, 2)
  })

  it('are written by a model of this node alone, unless one is named; then by a lender only where it is named by its PeerId', async () => {
    offers.push({ ...offer({ id: 'brain', type: 'llm/chat', examples: ['tell me'] }), node: 'stranger', mesh: 'another' })
    await ask()
    assert.deepEqual(asked, [['llm/chat', 'self', undefined]])
    for (const [model, leftOut] of [
      ['brain', ['stranger']],
      ['llm/chat', ['stranger']],
      ['brain@a', ['stranger']],
      ['brain@stranger', undefined]
    ] as const) {
      asked = []
      begin(model)
      await ask()
      assert.deepEqual(asked, [[model, undefined, leftOut]])
      meaning.stop()
    }
  })

  const plain = ['a', 'b', 'c'].map((id) => offer(capability(id, `Does ${id}`)))
  const shownIds = (): string[] => shown.map((text) => text.slice(0, 1))
  const refusal = new MeshError('tool_failed', 'the model refuses')

  it('are written of all others at once where the model refuses one, and of that again after a rest of its own, which doubles', async () => {
    offers = plain
    answers = [refusal, 'b one', 'c one', refusal, 'a one']
    await ask()
    assert.deepEqual(shownIds(), ['a', 'b', 'c'])
    await ask()
    assert.equal(shown.length, 3)
    clock += MIN_WRITE_REST_MS
    await ask()
    clock += MIN_WRITE_REST_MS
    await ask()
    assert.deepEqual(shownIds(), ['a', 'b', 'c', 'a'])
    clock += MIN_WRITE_REST_MS
    await ask()
    assert.deepEqual(shownIds(), ['a', 'b', 'c', 'a', 'a'])
    assert.deepEqual(writer.all().length, 3)
  })

  it('are written of the others first where the model was busy or gone at one, after a rest', async () => {
    offers = plain
    answers = [new MeshError('unavailable', 'it died'), 'b one', 'c one', 'a one']
    await ask()
    assert.deepEqual(shownIds(), ['a'])
    clock += MIN_WRITE_REST_MS + 1
    await ask()
    assert.deepEqual(shownIds(), ['a', 'b', 'c', 'a'])
  })

  it('are written in turn, however often one of them says something else', async () => {
    offers = plain
    answers = ['a one', refusal]
    let changes = 0
    const wait = async (): Promise<void> => {
      // All the time, so that it always wants some.
      offers = [offer(capability('a', `Does a and ${++changes}`)), ...plain.slice(1)]
      writer.begin(meantCapabilities(offers))
      await new Promise(setImmediate)
    }
    writer = createExampleWriter({ self: 'self', model: undefined, offers: () => offers, call, now: () => clock, wait })
    writer.begin(meantCapabilities(offers))
    await until(() => shown.length > 4, 'the others')
    writer.stop()
    assert.deepEqual(shownIds().slice(0, 4), ['a', 'b', 'c', 'a'])
  })

  it('are short lines of words, each once, whatever the model writes', () => {
    assert.deepEqual(writtenLines('Here are some:\n\n1) Warm it up\r\n* warm it UP\n“too cold”\n12\n---'), [
      'warm it UP',
      'too cold'
    ])
    assert.deepEqual(writtenLines('red \u001b[31m\nhid\u200bden\nok'), ['ok'])
    assert.deepEqual(writtenLines('x'.repeat(MAX_WRITTEN_CHARS + 1)), [])
    const many = Array.from({ length: 100 }, (_, n) => `line ${n}`).join('\n')
    assert.equal(writtenLines(many).length, WRITTEN_EXAMPLES)
  })
})
