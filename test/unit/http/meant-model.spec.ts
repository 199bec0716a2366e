import assert from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import type { JsonValue } from '../../../protocols/json.ts'
import type { Offer } from '../../../src/core/candidates.ts'
import { beginCall } from '../../../src/http/openai/begin-call.ts'
import { lastSaid } from '../../../src/http/openai/meant-model.ts'
import { MODEL_USES } from '../../../src/http/openai/model-uses.ts'
import { createMeshMeaning } from '../../../src/mesh-meaning.ts'
import type { CapabilityView, Mesh } from '../../../src/mesh-api.ts'
import { createRandom } from '../../../scripts/simulate/random.ts'
import { createModelMesh, type ModelInMesh } from '../../fixtures/model-mesh.ts'

const own = { local: true, nodeName: 'here' }
const coder: ModelInMesh = {
  ...own,
  id: 'coder',
  description: 'Writes programs and finds mistakes in code',
  examples: ['write a function in python', 'why does this code fail', 'fix this bug', 'write a test for this'],
  score: 9
}
const cook: ModelInMesh = {
  ...own,
  id: 'cook',
  description: 'Knows recipes and cooks with what there is',
  examples: ['what can I cook with eggs', 'a recipe for soup', 'how long do potatoes boil', 'bake a cake'],
  score: 1
}
const offerOf = (view: CapabilityView): Offer => ({
  ...{ node: view.node, nodeName: view.nodeName, local: view.local, direct: true, rttMs: 1 },
  ...{ id: view.id, type: view.type, capability: view }
})

/** Real meaning, models that are functions. */
describe('any model, by what is asked', () => {
  let stops: (() => void)[] = []
  afterEach(() => {
    for (const stop of stops) stop()
    stops = []
  })
  function world(...models: ModelInMesh[]) {
    return worldOf(false, models)
  }
  function worldOf(believesOthers: boolean, models: ModelInMesh[]) {
    const standIn = createModelMesh(models)
    const offers = standIn.mesh.capabilities().map(offerOf)
    const meaning = createMeshMeaning({ offers: () => offers, now: () => performance.now(), random: createRandom(1) })
    stops.push(meaning.stop)
    const asked: Parameters<Mesh['understand']>[] = []
    const understand: Mesh['understand'] = async (...question) => {
      asked.push(question)
      return meaning.understand(...question)
    }
    const mesh: Mesh = { ...standIn.mesh, understand, believesOthers }
    const ask = async (text: string, model = 'auto'): Promise<string> => {
      const input = (): { messages: { role: string; content: string }[] } => ({ messages: [{ role: 'user', content: text }] })
      const begun = await beginCall({ mesh, use: MODEL_USES.chat, model, input, words: lastSaid, options: {} })
      const { id, node, view } = begun.target
      return node === undefined ? id : `${id}@${view.nodeName}`
    }
    return { ask, asked, ready: () => meaning.understand('anything') }
  }

  it('is the one that is meant, though another would be done first; that one where nothing is clear', async () => {
    const { ask, ready } = world(coder, cook)
    await ready()
    assert.equal(await ask('please write a function in python that fixes this bug'), 'coder')
    assert.equal(await ask('please write a function in python', 'auto:llm/*'), 'coder')
    assert.equal(await ask('a recipe for potatoes'), 'cook')
    assert.equal(await ask('xyzzy'), 'cook')
  })

  it('is by load until it is known what words mean, which nobody waits for', async () => {
    const { ask, asked, ready } = world(coder, cook)
    assert.equal(await ask('write a function in python'), 'cook')
    assert.deepEqual(
      asked.map(([, options]) => options),
      [{ tool: 'chat', type: 'llm/chat', ids: ['coder', 'cook'], atOnce: true }]
    )
    await ready()
    assert.equal(await ask('write a function in python'), 'coder')
  })

  it('is nothing to ask about where one is named, or one is there, or all say the same', async () => {
    const same = { description: 'A model' }
    const [named, single, alike] = [world(coder, cook), world(coder), world({ id: 'a', score: 2, ...same }, { id: 'b', ...same })]
    assert.equal(await named.ask('write a function in python', 'cook'), 'cook')
    assert.equal(await single.ask('a recipe for soup'), 'coder')
    assert.equal(await alike.ask('a'), 'b')
    assert.deepEqual([...named.asked, ...single.asked, ...alike.asked], [])
  })

  describe('of other nodes', () => {
    const plain: ModelInMesh = { ...own, id: 'plain', description: 'A model', score: 5 }
    const eager: ModelInMesh = {
      id: 'eager',
      description: 'Answers everything that anybody asks',
      examples: ['what can I cook with eggs', 'write a function in python', 'good morning', 'how are you', 'tell me a joke'],
      nodeName: 'cellar',
      score: 50
    }

    it('is by load, whatever they say of themselves', async () => {
      const { ask, asked, ready } = world(plain, eager)
      await ready()
      assert.equal(await ask('tell me a joke'), 'plain')
      assert.deepEqual(asked, [], 'of one model of its own there is nothing to choose')
      const three = world(coder, cook, eager)
      await three.ready()
      assert.equal(await three.ask('write a function in python'), 'coder')
      assert.equal(await three.ask('good morning'), 'cook')
      const others = world({ ...coder, local: false }, { ...cook, local: false })
      await others.ready()
      assert.equal(await others.ask('write a function in python'), 'cook')
    })

    it('is by what they say where the owner wants that', async () => {
      const { ask, ready } = worldOf(true, [plain, eager])
      await ready()
      assert.equal(await ask('tell me a joke'), 'eager')
    })

    it('is none of its own that has the same id', async () => {
      const twin: ModelInMesh = { ...eager, id: 'coder', type: 'llm/other', examples: coder.examples!, score: 1 }
      const { ask, ready } = world({ ...coder, type: 'llm/a' }, { ...cook, type: 'llm/a' }, twin)
      await ready()
      for (const text of ['write a function in python', 'fix this bug']) assert.equal(await ask(text, 'auto:llm/*'), 'coder@here')
    })
  })

  it('goes by what the user said last, its text alone, no more than is read', () => {
    const image = { type: 'image_url', image_url: { url: 'data:' } }
    const last = { role: 'user', content: [{ type: 'text', text: 'a' }, image, { type: 'text', text: 'b' }] }
    assert.equal(lastSaid({ messages: [{ role: 'user', content: 'first' }, last, { role: 'assistant', content: 'x' }] }), 'a\nb')
    assert.equal(lastSaid({ messages: [{ role: 'user', content: 'x'.repeat(5_000) }] }).length, 2_000)
    const empty: JsonValue[] = [null, {}, { messages: [] }, { messages: [null, { role: 'user' }] }]
    for (const input of empty) assert.equal(lastSaid(input), '')
  })
})
