import assert from 'node:assert/strict'
import { bytesToHex } from '@noble/hashes/utils.js'
import { MAX_ASKED_TEXTS, type EmbeddingItem, type EmbeddingRequest } from '../../protocols/embedding/messages.ts'
import { textDigest } from '../../src/core/meaning/embedding-cache.ts'
import type { SaidText } from '../../src/core/meaning/items.ts'
import { TEXTS_PER_SAMPLE } from '../../src/core/meaning/told-vectors.ts'
import { toInt8 } from '../../src/core/meaning/vectors.ts'
import { MeshError } from '../../src/errors.ts'
import { createEmbeddings, type Embeddings } from '../../src/mesh-embeddings.ts'
import { MAX_ASKED_NODES, createToldVectors, type ToldVectors } from '../../src/mesh-told-vectors.ts'
import { createRandom } from '../../scripts/simulate/random.ts'
import { createHandEmbedder, directionOf, type HandEmbedder } from '../fixtures/hand-embedder.ts'

const now = (): number => performance.now()
const textsOf = (node: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${node} says ${n}`)

describe('vectors that other nodes tell', () => {
  let hand: HandEmbedder
  let embeddings: Embeddings
  let told: ToldVectors
  /** What nodes say, and what they announce; their answers are of all that they say. */
  let said: SaidText[]
  let models: Map<string, string>
  let asked: { node: string; request: EmbeddingRequest }[]
  let disagreed: string[]
  let vectorOf: (node: string, text: string) => Int8Array | undefined
  let failAfter: { node: string; items: number; error: MeshError } | undefined
  let [running, most] = [0, 0]

  async function* ask(node: string, request: EmbeddingRequest): AsyncGenerator<EmbeddingItem, unknown> {
    asked.push({ node, request })
    most = Math.max(most, ++running)
    try {
      await Promise.resolve()
      const texts = new Map(said.flatMap((one) => one.texts.map((text) => [bytesToHex(textDigest(text)), text])))
      let items = 0
      for (const [index, digest] of request.digests.entries()) {
        if (failAfter?.node === node && items++ >= failAfter.items) throw failAfter.error
        const values = vectorOf(node, texts.get(bytesToHex(digest))!)
        if (values !== undefined) yield { index, values }
      }
    } finally {
      running--
    }
    return models.get(node)
  }
  beforeEach(async () => {
    hand = createHandEmbedder(directionOf)
    embeddings = createEmbeddings({ embedder: hand, form: 'int8', now })
    ;[asked, disagreed, failAfter] = [[], [], undefined]
    ;[running, most] = [0, 0]
    said = [
      { node: 'attic', texts: textsOf('attic', 40) },
      { node: 'kitchen', texts: textsOf('kitchen', 3) }
    ]
    models = new Map([
      ['attic', 'wise'],
      ['kitchen', 'wise']
    ])
    vectorOf = (_, text) => toInt8(directionOf(text)).values
    told = createToldVectors({
      ...{ embeddings, ask, random: createRandom(1) },
      modelOf: (node) => models.get(node),
      onDisagreed: (node, model) => disagreed.push(`${node} ${model}`)
    })
    // Whom to ask depends on the model of this node.
    await embeddings.fill(['something'])
    hand.asked = []
  })
  afterEach(() => embeddings.stop())
  const known = (node: string, texts = said.find((one) => one.node === node)!.texts): number =>
    texts.filter((text) => told.modelOf(node, text) === 'wise').length

  it('are taken of who has the same model, a sample of them made here too, and asked for once', async () => {
    await told.gather(said)
    assert.deepEqual([known('attic'), known('kitchen'), disagreed], [40, 3, []])
    assert.equal(hand.asked.flat().length, Math.ceil(40 / TEXTS_PER_SAMPLE) + 1)
    const { model, values } = told.get('kitchen', 'kitchen says 1')!
    assert.deepEqual([model, [...values]], ['wise', [...toInt8(directionOf('kitchen says 1')).values]])
    assert.deepEqual(
      asked.map(({ node, request }) => [node, request.model, request.digests.length]),
      [
        ['attic', 'wise', 40],
        ['kitchen', 'wise', 3]
      ]
    )
    await told.gather(said)
    assert.equal(asked.length, 2)
    said = [{ node: 'attic', texts: [...textsOf('attic', 40), 'a new one'] }]
    await told.gather(said)
    assert.deepEqual(asked.at(-1)!.request.digests, [textDigest('a new one')])
  })

  it('are not asked of who has another model or none, nor what was made here already', async () => {
    models = new Map([['attic', 'other']])
    await told.gather(said)
    models.set('kitchen', 'wise')
    await embeddings.fill(textsOf('kitchen', 2))
    await told.gather(said)
    assert.deepEqual(
      asked.map(({ node, request }) => [node, request.digests.map(bytesToHex)]),
      [['kitchen', [bytesToHex(textDigest('kitchen says 2'))]]]
    )
  })

  it('are not asked for before this node knows its own model', async () => {
    const fresh = createEmbeddings({ embedder: hand, form: 'int8', now })
    const none = createToldVectors({
      embeddings: fresh,
      ask,
      random: Math.random,
      modelOf: () => 'wise',
      onDisagreed: () => undefined
    })
    await none.gather(said)
    assert.deepEqual(asked, [])
    fresh.stop()
  })

  it('of who lies about all of them are all dropped, now and later; others are believed', async () => {
    vectorOf = (node, text) => toInt8(directionOf(node === 'attic' ? `${text}!` : text)).values
    await told.gather(said)
    assert.deepEqual([known('attic'), known('kitchen'), disagreed], [0, 3, ['attic wise']])
    asked = []
    said.push({ node: 'attic', texts: ['later'] })
    vectorOf = (_, text) => toInt8(directionOf(text)).values
    await told.gather(said)
    assert.deepEqual(asked, [])
  })

  it('that were believed are dropped when a later one is a lie', async () => {
    await told.gather(said)
    assert.equal(known('attic'), 40)
    said = [{ node: 'attic', texts: [...textsOf('attic', 40), 'a lie'] }]
    vectorOf = (_, text) => toInt8(directionOf(`${text}!`)).values
    await told.gather(said)
    assert.deepEqual([known('attic'), told.get('attic', 'attic says 3'), disagreed], [0, undefined, ['attic wise']])
  })

  it('of another length, or without a direction, agree with nothing', async () => {
    vectorOf = (node) => (node === 'attic' ? Int8Array.of(1, 2) : new Int8Array(16))
    await told.gather(said)
    assert.deepEqual(disagreed, ['attic wise', 'kitchen wise'])
  })

  it('of a text that two say count for each as it tells them', async () => {
    said = [
      { node: 'attic', texts: ['light'] },
      { node: 'kitchen', texts: ['light'] }
    ]
    vectorOf = (node, text) => (node === 'attic' ? toInt8(directionOf(text)).values : undefined)
    await told.gather(said)
    // It was made here as the sample: nobody has to tell it.
    assert.equal(embeddings.made.modelOf('light'), 'wise')
    assert.equal(told.get('kitchen', 'light'), undefined)
  })

  it('that came before a node went count; of one that breaks the contract none', async () => {
    failAfter = { node: 'attic', items: 25, error: new MeshError('unavailable', 'gone') }
    await told.gather(said)
    assert.deepEqual([known('attic'), known('kitchen')], [25, 3])
    failAfter = { node: 'attic', items: 10, error: new MeshError('protocol_error', 'twice') }
    await told.gather(said)
    assert.equal(known('attic'), 25)
  })

  it('are asked for in parts, of a few nodes at once', async () => {
    said = Array.from({ length: 30 }, (_, n) => ({ node: `n${n}`, texts: textsOf(`n${n}`, n === 0 ? MAX_ASKED_TEXTS + 1 : 2) }))
    models = new Map(said.map(({ node }) => [node, 'wise']))
    await told.gather(said)
    assert.deepEqual([most, asked.length], [MAX_ASKED_NODES, 31])
    assert.ok(asked.every(({ request }) => request.digests.length <= MAX_ASKED_TEXTS))
    assert.equal(known('n0'), MAX_ASKED_TEXTS + 1)
  })

  it('are not taken where the model of this node becomes another meanwhile', async () => {
    hand.model = 'wiser'
    await told.gather(said)
    assert.equal(known('attic') + known('kitchen'), 0)
    assert.deepEqual(disagreed, [])
  })
})
