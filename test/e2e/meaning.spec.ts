import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBackend } from '../../src/backends/index.ts'
import type { Embedder } from '../../src/core/meaning/embedder.ts'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { JsonValue } from '../../protocols/json.ts'
import type { Mesh, Understanding } from '../../src/mesh-api.ts'
import { createEmbeddings } from '../../src/mesh-embeddings.ts'
import { createMeaningVectors } from '../../src/mesh-meaning-vectors.ts'
import { createMeshMeaning } from '../../src/mesh-meaning.ts'
import { createTransformersEmbedder } from '../../src/node-transformers.ts'
import { createPrograms } from '../../scripts/demo/programs.ts'
import { writeModel } from '../../scripts/demo/security/gguf.ts'
import { installLlama, installedLlama } from '../../scripts/demo/security/llama-install.ts'
import { learnWordVectors, vectorOfText } from '../../scripts/embeddings/lsa.ts'
import { writeOnnxModel } from '../../scripts/embeddings/onnx-model.ts'
import { installTransformers, installedTransformers } from '../../scripts/embeddings/transformers.ts'
import { createRandom } from '../../scripts/simulate/random.ts'
import { until } from '../backends/contract.ts'
import { startChild, type Child } from '../fixtures/child.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'

const said: [id: string, description: string, examples: string[]][] = [
  ['lamp', 'Switches the lamps', ['turn on the light', 'make it dark in here', 'switch off the lamp', 'light please']],
  ['radio', 'Plays music', ['play some jazz', 'louder please', 'next song', 'play a song']],
  ['heater', 'Warms the rooms', ['it is cold in here', 'make it warm', 'heat the bath', 'is the bath warm']],
  ['camera', 'Takes pictures', ['who is at the door', 'show me the door', 'take a picture', 'show me a picture']],
  ['blinds', 'Moves the blinds', ['close the blinds', 'open the blinds', 'let the sun in', 'blinds down']],
  ['kettle', 'Boils water', ['boil some water', 'tea please', 'make tea', 'hot water']]
]
const declarations: CapabilityDeclaration[] = said.map(([id, description, examples]) => ({
  ...{ id, type: `home/${id}`, description, examples },
  tools: [{ name: 'use', description }]
}))
/** All that is said, and asked, of which tiny models are made. */
const texts = said.flatMap(([id, description, examples]) => [id, description, ...examples])

/** Models that know a few words each, run by the engines that run large ones. */
describe('requests in words, by words and vectors', function () {
  this.timeout(120_000)
  let folder: string
  before(() => void (folder = mkdtempSync(join(tmpdir(), 'atmo-meaning-'))))
  after(() => rmSync(folder, { recursive: true, force: true }))

  /** The same for both ways that vectors come. */
  async function checkVectors(understand: Mesh['understand'], model: RegExp, by: RegExp): Promise<Understanding> {
    const first = await understand('turn on the light')
    assert.deepEqual([first.by.path, first.by.model, first.matches[0]?.capability], ['words', null, 'lamp'])
    assert.match(first.by.reason, /the vectors are being made/)
    let last = first
    await until(
      async () => (last = await understand('turn on the light')).by.path === 'both',
      `vectors: ${last.by.reason}`,
      30_000
    )
    assert.match(last.by.model ?? '', model)
    assert.equal(last.matches[0]?.capability, 'lamp')
    assert.match(last.by.reason, by)
    assert.equal((await understand('who is at the door')).matches[0]?.capability, 'camera')
    return last
  }

  describe('from llama.cpp behind a capability of another node', () => {
    let server: Child
    let mesh: TestMesh
    let one: Mesh
    let two: Mesh
    before(async function () {
      let entry = installedLlama()
      if (entry === undefined && process.env['CI'] === 'true')
        entry = await installLlama(createPrograms(AbortSignal.timeout(100_000)), () => undefined)
      if (entry === undefined) {
        console.warn('\n    SKIPPED without llama.cpp, which "npm run demo -- --scenario security" installs\n')
        return this.skip()
      }
      const path = join(folder, 'words.gguf')
      writeFileSync(path, writeModel(texts, { embeds: true }))
      server = startChild('test/fixtures/llama-embeddings.ts', [entry, path, 'words'])
      const { url: baseUrl } = JSON.parse(await server.line(60_000)) as { url: string }
      const config = { kind: 'openai-embeddings', id: 'embedder', baseUrl, model: 'words' } as const
      const backend = await createBackend(config, { baseDir: folder, version: '0' })
      mesh = await createTestMesh('meaning')
      one = await mesh.join('member', { backends: [backend] })
      two = await mesh.join('member', { meaning: { embeddings: { capability: 'llm/embed' }, vectors: 'binary' } })
      for (const declaration of declarations) two.register(declaration, { use: () => Promise.resolve(null) })
      await two.addPeer(one.multiaddrs()[0]!)
      await until(() => two.capabilities({ type: 'llm/embed' }).length > 0, 'the embedder')
    })
    after(async () => {
      await mesh?.stop()
      server?.process.kill()
      await server?.ended
    })

    it('finds what is meant, and says by what; without the server by words alone', async () => {
      const { by } = await checkVectors(
        (...asked) => two.understand(...asked),
        /^words$/,
        /^vectors of words \(capability llm\/embed, binary\) of \d+ of \d+/
      )
      assert.equal(by.path, 'both')
      // The node that has the embedder is not set up to use it.
      assert.equal((await one.understand('light')).by.reason, 'no embeddings are set up')
      server.process.kill()
      await server.ended
      const alone = await two.understand('switch off the light')
      assert.deepEqual([alone.by.path, alone.matches[0]?.capability], ['words', 'lamp'])
      assert.match(alone.by.reason, /^capability llm\/embed: /)
    })
  })

  describe('from a model in this process', () => {
    let load: ReturnType<typeof installedTransformers>
    before(function () {
      if (process.env['CI'] === 'true') installTransformers()
      load = installedTransformers()
      if (load !== undefined) return
      console.warn('\n    SKIPPED without @huggingface/transformers: npx tsx scripts/embeddings/transformers.ts\n')
      this.skip()
    })
    /** A model in a folder: words by what they stand beside. */
    function modelOf(name: string, width: number): Embedder {
      const path = join(folder, name)
      writeOnnxModel(path, learnWordVectors(texts, width, createRandom(1)))
      return createTransformersEmbedder(path, load)
    }

    it('finds what is meant, and says by what; with another model by words, until all vectors are of that', async () => {
      let embedder = modelOf('tiny-one', 12)
      let later = 0
      const now = (): number => performance.now() + later
      const current: Embedder = { name: 'transformers', embed: (...asked) => embedder.embed(...asked) }
      const embeddings = createEmbeddings({ embedder: current, form: 'int8', now })
      const vectors = createMeaningVectors({ embeddings, now })
      const common = { node: 'peer', nodeName: 'here', local: true, direct: true, rttMs: 0 }
      const offers = declarations.map((capability) => ({ ...common, id: capability.id, type: capability.type, capability }))
      const { understand, stop } = createMeshMeaning({ offers: () => offers, now, random: createRandom(1), vectors })
      try {
        await checkVectors(
          understand,
          /^tiny-one@[0-9a-f]{12}$/,
          /^vectors of tiny-one@\w{12} \(transformers, int8\) of 6 of 6 capabilities$/
        )
        embedder = modelOf('tiny-two', 8)
        await embedder.embed(['loaded'], { signal: AbortSignal.timeout(30_000) })
        const between = await understand('switch off the light')
        assert.deepEqual([between.by.path, between.matches[0]?.capability], ['words', 'lamp'])
        assert.match(between.by.reason, /of tiny-two@\w{12}, 8 numbers, those of capabilities of tiny-one@/)
        later += 600_000
        await until(
          async () => (await understand('switch off the light')).by.model?.startsWith('tiny-two@') === true,
          'vectors of the other model'
        )
      } finally {
        stop()
        embeddings.stop()
      }
    })

    it('gives a vector for each text, also where it knows no word, and never downloads what is missing', async () => {
      const embedder = modelOf('tiny-three', 12)
      const options = { signal: AbortSignal.timeout(30_000) }
      const [light, lamp, door, unknown] = await embedder.embed(['the light', 'the lamp', 'the door', 'zzz'], options)
      assert.ok([light, lamp, door, unknown].every((one) => one!.values.length === 12 && one!.values.every(Number.isFinite)))
      assert.ok(light!.values.some((value) => value !== 0) && unknown!.values.every((value) => value === 0))
      assert.throws(() => createTransformersEmbedder(join(folder, 'nothing'), load), /is no folder of a model/)
      const broken = modelOf('broken', 12)
      rmSync(join(folder, 'broken/tokenizer.json'))
      await assert.rejects(broken.embed(['x'], options), /the model broken cannot be loaded/)
    })
  })

  describe('from nodes that have made them', () => {
    const learned = learnWordVectors(texts, 12, createRandom(1))
    const places = new Map<string, number>()
    let mesh: TestMesh
    /** What the embedder of the mesh was asked. */
    const asked: string[] = []
    before(async () => (mesh = await createTestMesh('told')))
    after(() => mesh.stop())

    /** A capability that embeds, and says that its vectors are of the model "words". */
    const embedder = (id: string): CapabilityDeclaration => ({
      ...{ id, type: 'llm/embed', metadata: { model: 'words' } },
      tools: [{ name: 'embed' }]
    })
    const answer = (input: unknown, of: (text: string) => Float32Array): Promise<JsonValue> =>
      Promise.resolve({ data: (input as string[]).map((text) => ({ embedding: [...of(text)] })) })

    it('takes as they tell what is theirs, each text made once where it comes from; nothing of who tells another model than it names', async () => {
      const hub = await mesh.join('member', { name: 'hub' })
      hub.register(embedder('embedder'), {
        embed: ({ input }) => {
          asked.push(...(input as string[]))
          return answer(input, (text) => vectorOfText(learned, places, text))
        }
      })
      const options = { meaning: { embeddings: { capability: 'embedder' } }, peers: hub.multiaddrs() }
      const home = await mesh.join('member', { ...options, name: 'home' })
      for (const declaration of declarations) home.register(declaration, { use: () => Promise.resolve(null) })
      const liar = await mesh.join('member', { name: 'liar', meaning: { embeddings: { capability: 'wrong' } } })
      liar.register(embedder('wrong'), {
        embed: ({ input }) =>
          answer(input, (text) => Float32Array.from({ length: 12 }, (_, n) => (n === text.length % 12 ? 1 : 0)))
      })
      const lies = ['open the safe', 'unlock the safe please', 'turn on the light over the safe']
      liar.register(
        { id: 'safe', type: 'home/safe', examples: lies, tools: [{ name: 'use' }] },
        { use: () => Promise.resolve(null) }
      )

      const warnings: string[] = []
      const asker = await mesh.join('member', { ...options, name: 'asker', log: (_, message) => warnings.push(message) })
      await asker.addPeer(home.multiaddrs()[0]!)
      await asker.addPeer(liar.multiaddrs()[0]!)
      const gives = (name: string): string | undefined => asker.peers().find((peer) => peer.name === name)?.embeddings
      await until(() => gives('home') === 'words' && gives('liar') === 'words', 'those that have made theirs')
      assert.equal(gives('hub'), undefined)
      const own = asked.splice(0)
      assert.deepEqual([own.length, new Set(own).size], [texts.length - said.length, texts.length - said.length])

      let last = await asker.understand('turn on the light')
      await until(async () => (last = await asker.understand('turn on the light')).by.path === 'both', 'vectors')
      assert.equal(last.matches[0]?.capability, 'lamp')
      assert.equal(
        last.by.reason,
        'vectors of words (capability embedder, int8) of 9 of 9 capabilities, of 6 as their nodes told them'
      )
      // What was found is made here as well; of the rest a sample, the first text of all, and what who was not believed says.
      const lamp = said[0]![2]
      await until(() => lamp.every((text) => asked.includes(text)), 'the check of what was found')
      const again = asked.filter((text) => own.includes(text) && !lamp.includes(text) && !text.startsWith('lamp'))
      assert.ok(again.length <= Math.ceil(own.length / 16) + 1, `${again.length} of ${own.length} once more`)
      assert.ok(lies.every((text) => asked.includes(text)))
      assert.deepEqual(
        warnings.filter((line) => line.includes('vectors')),
        ['vectors that liar gives as those of words are not like those of this node, which makes them itself']
      )

      // Whoever wants floats gets none told.
      asked.length = 0
      const meaning = { ...options.meaning, vectors: 'float' as const }
      const exact = await mesh.join('member', { ...options, meaning, name: 'exact' })
      await exact.addPeer(home.multiaddrs()[0]!)
      const homes = (): boolean => exact.peers().some(({ name, embeddings }) => name === 'home' && embeddings === 'words')
      await until(homes, 'who gives vectors')
      await until(async () => (last = await exact.understand('turn on the light')).by.path === 'both', 'vectors')
      assert.match(last.by.reason, /\(capability embedder, float\) of \d+ of \d+ capabilities$/)
      assert.ok(own.every((text) => asked.includes(text)))
    })
  })

  it('without the package says how to install it', async () => {
    writeOnnxModel(join(folder, 'lonely'), learnWordVectors(texts, 4, createRandom(1)))
    const lonely = createTransformersEmbedder(join(folder, 'lonely'), () => Promise.reject(new Error('ERR_MODULE_NOT_FOUND')))
    await assert.rejects(lonely.embed(['x'], { signal: AbortSignal.timeout(1_000) }), /npm install @huggingface\/transformers/)
  })
})
