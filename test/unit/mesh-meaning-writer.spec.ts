import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { JsonValue } from '../../protocols/json.ts'
import type { Offer } from '../../src/core/candidates.ts'
import { createMeshMeaning } from '../../src/mesh-meaning.ts'
import {
  MAX_WRITTEN_CHARS,
  MIN_WRITE_REST_MS,
  WRITTEN_EXAMPLES,
  createExampleWriter,
  writtenLines
} from '../../src/mesh-meaning-writer.ts'
import type { Call, Mesh } from '../../src/mesh-api.ts'
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
  let answers: (string | MeshError)[]
  let writer: ReturnType<typeof createExampleWriter>
  let meaning: ReturnType<typeof createMeshMeaning>

  const call = ((target: string, tool: string, input: JsonValue): Pick<Call, 'result'> => {
    assert.deepEqual([target, tool], ['llm/chat', 'chat'])
    const { messages } = input as unknown as { messages: { role: string; content: string }[] }
    shown.push(messages[1]!.content)
    const answer = answers.shift() ?? ''
    if (answer instanceof MeshError) return { result: Promise.reject(answer) }
    return { result: Promise.resolve({ result: { choices: [{ message: { content: answer } }] } } as never) }
  }) as unknown as Mesh['call']

  beforeEach(() => {
    offers = [heater, lamp, radio].map(offer)
    clock = 0
    shown = []
    answers = ['1. I am freezing\n2. "my feet are cold"\n- I am freezing\n']
    writer = createExampleWriter({ call, now: () => clock, wait: async () => undefined })
    const examples = { initial: [], save: async () => undefined }
    meaning = createMeshMeaning({ offers: () => offers, now: () => clock++, random: createRandom(1), writer, examples })
  })
  afterEach(() => meaning.stop())

  it('are for what has none, count from then on, and are marked', async () => {
    await meaning.understand('my feet are cold')
    await until(() => writer.all().length > 0, 'examples')
    assert.deepEqual(shown, ['heater\nhome/heater\nWarms the rooms of the house\nuse'])
    const { outcome, matches } = await meaning.understand('my feet are cold')
    assert.deepEqual([outcome, matches[0]?.capability, matches[0]?.examplesBy], ['one', 'heater', 'model'])
    assert.equal((await meaning.understand('turn on the light')).matches[0]?.examplesBy, undefined)
    const own = { capability: 'heater', type: 'home/heater', by: 'model' }
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
