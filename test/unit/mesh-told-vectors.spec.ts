import assert from 'node:assert/strict'
import { bytesToHex } from '@noble/hashes/utils.js'
import { MAX_ASKED_TEXTS, type EmbeddingItem, type EmbeddingRequest } from '../../protocols/embedding/messages.ts'
import { MAX_CACHED_TEXTS, textDigest } from '../../src/core/meaning/embedding-cache.ts'
import type { SaidByNode } from '../../src/core/meaning/said-texts.ts'
import { TEXTS_PER_SAMPLE } from '../../src/core/meaning/told-vectors.ts'
import { toInt8 } from '../../src/core/meaning/vectors.ts'
import { MeshError } from '../../src/errors.ts'
import { createEmbeddings, type Embeddings } from '../../src/mesh-embeddings.ts'
import { MAX_OWN_TEXTS } from '../../src/mesh-own-vectors.ts'
import {
  DISBELIEF_MS,
  GATHER_MS,
  MAX_ASKED_NODES,
  MAX_SHUNNED,
  SHUN_MS,
  SLOW_MS,
  createToldVectors,
  type ToldVectors
} from '../../src/mesh-told-vectors.ts'
import { createRandom } from '../../scripts/simulate/random.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { createHandEmbedder, directionOf, type HandEmbedder } from '../fixtures/hand-embedder.ts'

const digestOf = (text: string): string => bytesToHex(textDigest(text))
const saying = (node: string, ...texts: string[]): SaidByNode => ({ node, texts: texts.map((text) => [digestOf(text), text]) })
const textsOf = (node: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${node} says ${n}`)
const truth = (_node: string, text: string): Int8Array | undefined => toInt8(directionOf(text)).values

describe('vectors that other nodes tell', () => {
  let hand: HandEmbedder
  let embeddings: Embeddings
  let told: ToldVectors
  let said: SaidByNode[]
  let read: { of: SaidByNode[]; texts: Map<string, string> } = { of: [], texts: new Map() }
  /** What nodes announce. */
  let models: Map<string, string>
  let asked: { node: string; request: EmbeddingRequest; width: number }[]
  let disagreed: string[]
  let vectorOf: typeof truth
  let fail: { node: string; after: number; error: MeshError } | undefined
  let [running, most] = [0, 0]
  /** Moves the clock, at each question as well. */
  let [at, askMs] = [0, 0]

  async function* ask(node: string, request: EmbeddingRequest, width: number): AsyncGenerator<EmbeddingItem, string | undefined> {
    asked.push({ node, request, width })
    most = Math.max(most, ++running)
    at += askMs
    try {
      await Promise.resolve()
      if (read.of !== said) read = { of: said, texts: new Map(said.flatMap((one) => one.texts)) }
      const { texts } = read
      let items = 0
      for (const [index, digest] of request.digests.entries()) {
        if (fail?.node === node && items++ >= fail.after) throw fail.error
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
    embeddings = createEmbeddings({ embedder: hand, form: 'int8', now: () => at })
    ;[asked, disagreed, fail, vectorOf] = [[], [], undefined, truth]
    ;[running, most, at, askMs] = [0, 0, 0, 0]
    said = [saying('attic', ...textsOf('attic', 40)), saying('kitchen', ...textsOf('kitchen', 3))]
    models = new Map(['attic', 'kitchen'].map((node) => [node, 'wise']))
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
  const known = (node: string): number =>
    said.filter((one) => one.node === node).flatMap(({ texts }) => texts.filter(([digest]) => told.has(node, digest))).length
  const nodesAsked = (): string[] => asked.map(({ node }) => node)

  it('are taken of who has the same model, a sample of them made here too, and asked for once', async () => {
    await told.gather(said)
    assert.deepEqual([known('attic'), known('kitchen'), disagreed], [40, 3, []])
    assert.equal(hand.asked.flat().length, Math.ceil(40 / TEXTS_PER_SAMPLE) + 1)
    const { model, values } = told.get('kitchen', digestOf('kitchen says 1'))!
    assert.deepEqual([model, [...values]], ['wise', [...toInt8(directionOf('kitchen says 1')).values]])
    assert.deepEqual(
      asked.map(({ node, request, width }) => [node, request.model, request.digests.length, width]),
      [
        ['kitchen', 'wise', 3, 16],
        ['attic', 'wise', 40, 16]
      ]
    )
    await told.gather(said)
    assert.equal(asked.length, 2)
    said = [saying('attic', ...textsOf('attic', 40), 'a new one')]
    await told.gather(said)
    assert.deepEqual(asked.at(-1)!.request.digests, [textDigest('a new one')])
    // Nobody says that any more.
    assert.equal(told.has('kitchen', digestOf('kitchen says 1')), false)
  })

  it('are not asked of who has another model or none, nor before this node knows its own', async () => {
    models = new Map([['attic', 'other']])
    await told.gather(said)
    assert.deepEqual(asked, [])
    const fresh = createEmbeddings({ embedder: hand, form: 'int8', now: () => at })
    const none = createToldVectors({
      ...{ embeddings: fresh, ask, random: Math.random },
      modelOf: () => 'wise',
      onDisagreed: assert.fail
    })
    await none.gather(said)
    assert.deepEqual(asked, [])
    fresh.stop()
  })

  it('are asked for all alike, whatever this node has made: it may know a text from somebody in confidence', async () => {
    await embeddings.fill(textsOf('kitchen', 2))
    await told.gather(said)
    assert.equal(asked.find(({ node }) => node === 'kitchen')?.request.digests.length, 3)
  })

  it('of who lies about all of them are all dropped, now and later; others are believed', async () => {
    vectorOf = (node, text) => truth(node, node === 'attic' ? `${text}!` : text)
    await told.gather(said)
    assert.deepEqual([known('attic'), known('kitchen'), disagreed], [0, 3, ['attic wise']])
    ;[asked, vectorOf] = [[], truth]
    said = [...said, saying('attic', 'later')]
    await told.gather(said)
    assert.deepEqual(nodesAsked(), [])
  })

  it('that were believed are gone for good when a later one is a lie, also past another model', async () => {
    await told.gather(said)
    assert.equal(known('attic'), 40)
    said = [saying('attic', ...textsOf('attic', 40), 'a lie')]
    vectorOf = (node, text) => truth(node, `${text}!`)
    await told.gather(said)
    assert.deepEqual([known('attic'), disagreed], [0, ['attic wise']])
    for (const model of ['wiser', 'wise']) {
      hand.model = model
      models.set('attic', model)
      await embeddings.embed(['x'], new AbortController().signal)
      await told.gather(said)
      assert.equal(known('attic'), 0)
    }
    assert.deepEqual(disagreed, ['attic wise', 'attic wiser'])
  })

  it('are all made here once one of theirs is found, so that a few lies among many truths do not last', async () => {
    const safe = saying('attic', 'open the safe', 'unlock it')
    said = [saying('attic', ...textsOf('attic', 200)), safe]
    // None of the sample is a lie.
    vectorOf = (node, text) =>
      truth(node, safe.texts.some(([, own]) => own === text) && !embeddings.made.get(text) ? `${text}!` : text)
    hand.answer = (texts) =>
      Promise.resolve(texts.map((text) => ({ model: 'wise', values: directionOf(isSampled(text) ? `${text}!` : text) })))
    let sampling = true
    const isSampled = (text: string): boolean => sampling && safe.texts.some(([, own]) => own === text)
    await told.gather(said)
    assert.deepEqual([known('attic'), disagreed], [202, []])
    sampling = false
    const others = saying('attic', ...textsOf('attic', 3))
    await told.check(others)
    assert.deepEqual(disagreed, [])
    for (const [, text] of safe.texts) embeddings.made.put(text, { model: 'before', values: directionOf(text) })
    await told.check(safe)
    assert.deepEqual([known('attic'), disagreed], [0, ['attic wise']])
    assert.equal(told.believes('attic'), false)
  })

  it('of another length, or without a direction, agree with nothing', async () => {
    vectorOf = (node) => (node === 'attic' ? Int8Array.of(1, 2) : new Int8Array(16))
    await told.gather(said)
    assert.deepEqual(disagreed.sort(), ['attic wise', 'kitchen wise'])
  })

  it('that came before a node went count; of one that breaks the contract none; neither is asked again soon', async () => {
    fail = { node: 'attic', after: 25, error: new MeshError('unavailable', 'gone') }
    await told.gather(said)
    assert.deepEqual([known('attic'), known('kitchen')], [25, 3])
    await told.gather(said)
    assert.deepEqual(nodesAsked(), ['kitchen', 'attic'])
    at += SHUN_MS
    fail = { node: 'attic', after: 10, error: new MeshError('protocol_error', 'twice') }
    await told.gather(said)
    assert.deepEqual([known('attic'), nodesAsked()], [25, ['kitchen', 'attic', 'attic']])
    at += SHUN_MS
    fail = undefined
    await told.gather(said)
    assert.equal(known('attic'), 40)
  })

  it('that a node does not give, or slowly, are not asked for again soon; of one that is busy, not there yet or of another model they are', async () => {
    vectorOf = (node, text) => (text.endsWith('says 1') ? undefined : truth(node, text))
    await told.gather(said)
    await told.gather(said)
    assert.deepEqual([known('attic'), asked.length], [39, 2])
    said = [saying('slow', 'light'), saying('slower', 'light')]
    models = new Map(said.map(({ node }) => [node, 'wise']))
    askMs = SLOW_MS / 2
    await told.gather(said)
    said = [saying('slow', 'lamp'), saying('slower', 'lamp')]
    await told.gather(said)
    // Both at once: the first of them took the time of both.
    assert.deepEqual(nodesAsked().slice(2), ['slow', 'slower', 'slower'])
    for (const error of [
      new MeshError('busy', 'one at a time'),
      new MeshError('unavailable', 'no connection', { notStarted: true })
    ]) {
      const before = asked.length
      said = [saying('shy', 'light')]
      models.set('shy', 'wise')
      fail = { node: 'shy', after: 0, error }
      await told.gather(said)
      await told.gather(said)
      assert.equal(asked.length, before + 2)
    }
    fail = undefined
    said = [saying('shy', 'light', 'lamp')]
    const other = createToldVectors({
      ...{ embeddings, random: createRandom(1), modelOf: () => 'wise', onDisagreed: assert.fail },
      async *ask(node, request, width) {
        yield* ask(node, request, width)
        return 'wiser'
      }
    })
    const before = asked.length
    vectorOf = () => undefined
    await other.gather(said)
    await other.gather(said)
    assert.equal(asked.length, before + 2)
  })

  it('of who is found out while it is asked are not taken', async () => {
    said = [saying('attic', ...textsOf('attic', MAX_ASKED_TEXTS + 5))]
    vectorOf = (node, text) => truth(node, text)
    let parts = 0
    const found = createToldVectors({
      ...{ embeddings, random: createRandom(1), modelOf: () => 'wise' },
      onDisagreed: (node, model) => disagreed.push(`${node} ${model}`),
      async *ask(node, request, width) {
        if (++parts === 2) {
          const [, lie] = said[0]!.texts[0]!
          embeddings.made.put(lie, { model: 'wise', values: directionOf(`${lie}!`) })
          await found.check({ node, texts: said[0]!.texts.slice(0, 1) })
        }
        return yield* ask(node, request, width)
      }
    })
    await found.gather(said)
    assert.equal(parts, 2)
    assert.deepEqual(disagreed, ['attic wise'])
    assert.ok(said[0]!.texts.every(([digest]) => !found.has('attic', digest)))
  })

  it('are believed again after a day', async () => {
    vectorOf = (node, text) => truth(node, `${text}!`)
    await told.gather(said)
    vectorOf = truth
    at += DISBELIEF_MS - 1
    await told.gather(said)
    assert.equal(known('attic'), 0)
    at += 1
    await told.gather(said)
    assert.equal(known('attic'), 40)
  })

  it('are asked for in parts, of a few nodes at once, and each part is checked before the next is asked for', async () => {
    const count = MAX_ASKED_NODES * 2
    said = Array.from({ length: count }, (_, n) => saying(`n${n}`, ...textsOf(`n${n}`, n === 0 ? MAX_ASKED_TEXTS + 1 : 2)))
    models = new Map(said.map(({ node }) => [node, 'wise']))
    await told.gather(said)
    assert.deepEqual([most, asked.length, known('n0')], [MAX_ASKED_NODES, count + 1, MAX_ASKED_TEXTS + 1])
    // The samples of all that were asked at once are made together.
    assert.ok(hand.asked.length <= 5, `${hand.asked.length}`)
    assert.ok(asked.every(({ request }) => request.digests.length <= MAX_ASKED_TEXTS))
    said = [saying('n1', ...textsOf('more', MAX_ASKED_TEXTS * 4))]
    vectorOf = (node, text) => truth(node, `${text}!`)
    await told.gather(said)
    assert.deepEqual([asked.length, disagreed], [count + 2, ['n1 wise']])
  })

  it('are asked for only so long, of those who say least first', async () => {
    said = Array.from({ length: MAX_ASKED_NODES * 3 }, (_, n) => saying(`n${n}`, ...textsOf(`n${n}`, 2)))
    said.unshift(saying('much', ...textsOf('much', MAX_ASKED_TEXTS * 9)))
    models = new Map(said.map(({ node }) => [node, 'wise']))
    // Two groups of nodes take all the time.
    askMs = GATHER_MS / MAX_ASKED_NODES / 1.5
    await told.gather(said)
    assert.deepEqual([asked.length, known('much')], [MAX_ASKED_NODES * 2, 0])
  })

  it('are bounded: for a node, in all, and who is remembered', async () => {
    const many = (node: string): SaidByNode => ({
      node,
      texts: Array.from({ length: MAX_OWN_TEXTS + 1 }, (_, n) => [`${node}0${n.toString(16).padStart(62, '0')}`, `${n}`])
    })
    said = ['a', 'b', 'c', 'd', 'e'].map(many)
    models = new Map(['a', 'b', 'c', 'd', 'e', 'f'].map((node) => [node, 'wise']))
    await told.gather(said.slice(0, 1))
    assert.equal(
      asked.reduce((sum, { request }) => sum + request.digests.length, 0),
      MAX_OWN_TEXTS
    )
    asked = []
    said = [saying('f', 'small'), ...said]
    await told.gather(said)
    assert.deepEqual([...new Set(nodesAsked())], ['f', 'b', 'c'])
    assert.ok(said.reduce((sum, { node }) => sum + known(node), 0) <= MAX_CACHED_TEXTS)
    // Whoever was shunned first is asked again, once so many others are.
    said = Array.from({ length: MAX_SHUNNED + 1 }, (_, n) => saying(`n${n}`, 'light'))
    models = new Map(said.map(({ node }) => [node, 'wise']))
    fail = { node: '', after: 0, error: new MeshError('unavailable', 'gone') }
    asked = []
    for (const one of [...said, ...said.slice(1), said[0]!]) {
      fail.node = one.node
      await told.gather([one])
    }
    assert.deepEqual([asked.length, asked.at(-1)?.node], [MAX_SHUNNED + 2, 'n0'])
  }).timeout(20_000)

  it('are no longer waited for once this node stops', async () => {
    let waits = 0
    const patient = createToldVectors({
      ...{ embeddings, random: createRandom(1), modelOf: () => 'wise', onDisagreed: assert.fail },
      async *ask(_node, _request, _width, signal) {
        waits++
        await new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(new MeshError('cancelled', 'the node stops')))
        )
        return 'wise'
      }
    })
    const gathered = patient.gather(said)
    await until(() => waits === 2, 'both are asked')
    embeddings.stop()
    await gathered.catch(() => undefined)
    assert.ok(said.every(({ node, texts }) => texts.every(([digest]) => !patient.has(node, digest))))
  })

  it('are not taken where the model of this node becomes another meanwhile, nor asked for once it stops', async () => {
    hand.model = 'wiser'
    await told.gather(said)
    assert.equal(known('attic') + known('kitchen'), 0)
    assert.deepEqual(disagreed, [])
    embeddings.stop()
    asked = []
    said = Array.from({ length: 100 }, (_, n) => saying(`n${n}`, 'light'))
    models = new Map(said.map(({ node }) => [node, 'wiser']))
    await told.gather(said)
    assert.deepEqual(asked, [])
  })
})
