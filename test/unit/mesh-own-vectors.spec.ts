import assert from 'node:assert/strict'
import { MAX_MODEL_NAME, type EmbeddingItem } from '../../protocols/embedding/messages.ts'
import type { Offer } from '../../src/core/candidates.ts'
import { MAX_EMBED_BATCH } from '../../src/core/meaning/embedder.ts'
import { textDigest } from '../../src/core/meaning/embedding-cache.ts'
import { toInt8 } from '../../src/core/meaning/vectors.ts'
import { MIN_REST_MS, createEmbeddings, type Embeddings } from '../../src/mesh-embeddings.ts'
import { pause } from '../../src/mesh-meaning-pieces.ts'
import { MAX_OWN_TEXTS, MAX_REMAKES, createOwnVectors, type OwnVectors } from '../../src/mesh-own-vectors.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { createHandEmbedder, directionOf, type HandEmbedder } from '../fixtures/hand-embedder.ts'

const offer = (id: string, examples: string[], local = true): Offer => ({
  ...{ node: local ? 'here' : 'there', nodeName: 'here', local, direct: true, rttMs: 0, id, type: 'home/thing' },
  capability: { id, type: 'home/thing', description: `the ${id}`, examples, tools: [{ name: 'use', description: 'uses it' }] }
})
/** As protocols/embedding has it. */
const describe_ = (id: string): string => `${id}\nhome/thing\nthe ${id}\nuse\nuses it`

describe('vectors of what a node says itself', () => {
  let hand: HandEmbedder
  let embeddings: Embeddings
  let own: OwnVectors
  let offers: Offer[]
  let announced: (string | undefined)[]
  let later: number
  beforeEach(() => {
    hand = createHandEmbedder(directionOf)
    later = 0
    embeddings = createEmbeddings({ embedder: hand, form: 'int8', now: () => performance.now() + later })
    offers = [offer('lamp', ['turn on the light', 'it is dark']), offer('radio', ['play jazz'], false)]
    announced = []
    own = createOwnVectors({
      embeddings,
      offers: () => offers,
      onAnnounce: () => announced.push(own.announced),
      times: { remakeMs: 20, lookMs: 5 }
    })
  })
  afterEach(() => {
    embeddings.stop()
    own.stop()
  })
  async function give(texts: string[], model = 'wise'): Promise<{ items: EmbeddingItem[]; model: string | undefined }> {
    const items: EmbeddingItem[] = []
    const vectors = own.give({ model, digests: texts.map(textDigest) }, new AbortController().signal)
    for (;;) {
      const step = await vectors.next()
      if (step.done === true) return { items, model: step.value }
      items.push(step.value)
    }
  }

  it('are made once, then announced, and given as they are', async () => {
    own.changed()
    await until(() => announced.length > 0, 'the announcement')
    assert.deepEqual(announced, ['wise'])
    assert.deepEqual(hand.asked, [[describe_('lamp'), 'turn on the light', 'it is dark']])
    own.changed()
    const { items, model } = await give(['it is dark', describe_('lamp')])
    assert.equal(model, 'wise')
    assert.deepEqual(items, [
      { index: 0, values: toInt8(directionOf('it is dark')).values },
      { index: 1, values: toInt8(directionOf(describe_('lamp'))).values }
    ])
    assert.equal(hand.asked.length, 1)
  })

  it('are of its own texts alone, and of the model that is asked for', async () => {
    own.changed()
    await until(() => announced.length > 0, 'the announcement')
    assert.deepEqual(await give(['play jazz', 'something', 'turn on the light'], 'wise'), {
      items: [{ index: 2, values: toInt8(directionOf('turn on the light')).values }],
      model: 'wise'
    })
    assert.deepEqual(await give(['turn on the light'], 'other'), { items: [], model: 'wise' })
    assert.equal(hand.asked.length, 1)
  })

  it('that are missing are made when they are asked for, each once', async () => {
    own.changed()
    await until(() => announced.length > 0, 'the announcement')
    offers = [offer('lamp', ['turn on the light', 'it is gloomy'])]
    const both = await Promise.all([give(['it is gloomy', 'turn on the light']), give(['it is gloomy'])])
    assert.deepEqual(
      both.map(({ items }) => items.map(({ index }) => index)),
      [[1, 0], [0]]
    )
    assert.deepEqual(hand.asked[1], ['it is gloomy'])
    assert.equal(hand.asked.length, 2)
  })

  it('are given as far as they were made where the embedder fails', async () => {
    own.changed()
    await until(() => announced.length > 0, 'the announcement')
    offers = [offer('lamp', ['turn on the light', 'it is gloomy'])]
    hand.answer = () => Promise.reject(new Error('gone'))
    assert.deepEqual(
      (await give(['it is gloomy', 'turn on the light'])).items.map(({ index }) => index),
      [1]
    )
    assert.match(embeddings.resting() ?? '', /gone/)
  })

  it('wait for an embedder that is not here, and begin when it is', async () => {
    hand.isReady = false
    own.changed()
    assert.deepEqual([hand.asked, announced], [[], []])
    hand.isReady = true
    await until(() => announced.length > 0, 'the announcement')
    assert.equal(hand.asked.length, 1)
  })

  it('are tried again after a rest by themselves, and sooner if something changes and it is over', async () => {
    const answer = hand.answer
    hand.answer = () => Promise.reject(new Error('loading'))
    own.changed()
    await until(() => embeddings.resting() !== undefined, 'a rest')
    own.changed()
    assert.equal(hand.asked.length, 1)
    assert.ok(embeddings.restMs() > 0 && embeddings.restMs() <= MIN_REST_MS)
    hand.answer = answer
    later += MIN_REST_MS
    // The timer of the rest goes by another clock: whoever comes now does not wait for it.
    own.changed()
    await until(() => announced.length > 0, 'the announcement')
  })

  it('are tried again by themselves', async () => {
    const soon = createEmbeddings({ embedder: hand, form: 'int8', now: () => performance.now() * 1_000 })
    const answer = hand.answer
    hand.answer = () => Promise.reject(new Error('loading'))
    const again = createOwnVectors({
      embeddings: { ...soon, restMs: () => soon.restMs() / 1_000 },
      offers: () => offers,
      onAnnounce: () => (done = true)
    })
    let done = false
    again.changed()
    await until(() => hand.asked.length > 0, 'the first try')
    hand.answer = answer
    await until(() => done, 'the announcement')
    soon.stop()
    again.stop()
  })

  it('need no rest for an embedder that was missing, once it is here', () => {
    hand.isReady = false
    embeddings.rest('nobody is here')
    assert.equal(embeddings.resting(), 'nobody is here')
    hand.isReady = true
    assert.deepEqual([embeddings.resting(), embeddings.restMs()], [undefined, 0])
  })

  it('are made at once for what comes after a first request, and before what this node makes of others', async () => {
    await embeddings.embed(['a request'], new AbortController().signal)
    const others = embeddings.fill(Array.from({ length: 400 }, (_, n) => `others say ${n}`))
    own.changed()
    await until(() => announced.length > 0, 'the announcement')
    assert.ok(hand.asked.findIndex((texts) => texts.includes('it is dark')) < 5)
    await others
  })

  it('are given part by part, as they are made', async () => {
    own.changed()
    await until(() => announced.length > 0, 'the announcement')
    offers = [
      offer(
        'lamp',
        Array.from({ length: 64 }, (_, n) => `light ${n}`)
      )
    ]
    const answer = hand.answer
    hand.answer = (texts) => (hand.asked.length > 2 ? new Promise(() => undefined) : answer(texts))
    const stop = new AbortController()
    const vectors = own.give(
      { model: 'wise', digests: Array.from({ length: 64 }, (_, n) => textDigest(`light ${n}`)) },
      stop.signal
    )
    for (let n = 0; n < MAX_EMBED_BATCH; n++) {
      const { value } = await vectors.next()
      assert.equal(typeof value === 'object' && value.index, n)
    }
    const waits = vectors.next()
    stop.abort()
    assert.equal((await waits).done, true)
  })

  it('end when the node stops, whoever waits for them', async () => {
    own.changed()
    await until(() => announced.length > 0, 'the announcement')
    offers = [offer('lamp', ['it is gloomy'])]
    hand.answer = () => new Promise(() => undefined)
    const given = give(['it is gloomy'])
    await until(() => hand.asked.length === 2, 'the embedder')
    embeddings.stop()
    assert.deepEqual(await given, { items: [], model: 'wise' })
    own.changed()
    await assert.rejects(embeddings.fill(['more']), { code: 'cancelled' })
    assert.equal(hand.asked.length, 2, 'nobody is asked after that')
  })

  it('are of so many texts and no more', async () => {
    offers = Array.from({ length: 300 }, (_, n) =>
      offer(
        `lamp${n}`,
        Array.from({ length: 64 }, (__, m) => `say ${n} ${m}`)
      )
    )
    own.changed()
    await until(() => announced.length > 0, 'the announcement', 20_000)
    assert.equal(hand.asked.flat().length, MAX_OWN_TEXTS)
    assert.equal((await give(['say 0 0', 'say 299 63'])).items.length, 1)
  }).timeout(30_000)

  it('are made and announced anew when the embedder has another model', async () => {
    own.changed()
    await until(() => announced.length > 0, 'the announcement')
    hand.model = 'wiser'
    await embeddings.embed(['a request'], new AbortController().signal)
    await until(() => announced.length > 1, 'the other model')
    await until(() => announced.length > 2, 'the other model')
    assert.deepEqual(announced, ['wise', undefined, 'wiser'])
    assert.deepEqual((await give(['it is dark'], 'wise')).items, [])
    assert.equal((await give(['it is dark'], 'wiser')).items.length, 1)
  })

  it('of an embedder that flaps between two models are made a few times, and then after a while', async () => {
    // More than are made at once: each part makes those before it unlike.
    offers = [
      offer(
        'lamp',
        Array.from({ length: 64 }, (_, n) => `light ${n}`)
      )
    ]
    const flap = createHandEmbedder(directionOf)
    flap.answer = (texts) =>
      Promise.resolve(texts.map((text) => ({ model: `m${flap.asked.length % 2}`, values: directionOf(text) })))
    const flapping = createEmbeddings({ embedder: flap, form: 'int8', now: () => performance.now() })
    const slow = createOwnVectors({
      embeddings: flapping,
      offers: () => offers,
      onAnnounce: () => announced.push(slow.announced)
    })
    slow.changed()
    const all = Math.ceil(65 / MAX_EMBED_BATCH)
    await until(() => flap.asked.length > all, 'a second round')
    for (let n = 0; n < 50; n++) await pause()
    assert.deepEqual(announced, [])
    assert.ok(flap.asked.length <= all * MAX_REMAKES, `${flap.asked.length}`)
    flap.asked = []
    for (let n = 0; n < 5; n++) {
      await flapping.embed(['a request'], new AbortController().signal)
      slow.changed()
      await pause()
    }
    assert.deepEqual(flap.asked, Array(5).fill(['a request']))
    flapping.stop()
    slow.stop()
  })

  it('are not announced where nothing is offered, or the model has no name that fits', async () => {
    hand.model = 'm'.repeat(MAX_MODEL_NAME + 1)
    own.changed()
    await until(() => hand.asked.length > 0, 'the vectors')
    await embeddings.fill([])
    assert.deepEqual(announced, [])
    hand.model = 'wise'
    await embeddings.embed(['a request'], new AbortController().signal)
    await until(() => announced.length > 0, 'the announcement')
    offers = []
    own.changed()
    await until(() => announced.length > 1, 'the end of it')
    assert.deepEqual(announced, ['wise', undefined])
  })
})
