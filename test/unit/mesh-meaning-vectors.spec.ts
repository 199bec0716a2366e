import assert from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { JsonValue } from '../../protocols/json.ts'
import type { Offer } from '../../src/core/candidates.ts'
import { MAX_EMBED_BATCH, type Embedded, type Embedder } from '../../src/core/meaning/embedder.ts'
import { MAX_TEXT_CHARS } from '../../src/core/meaning/text-features.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import type { CallOptions, Mesh, MeaningBy } from '../../src/mesh-api.ts'
import { createCapabilityEmbedder } from '../../src/mesh-meaning-embedder.ts'
import { pause } from '../../src/mesh-meaning-pieces.ts'
import { createEmbeddings, MIN_REST_MS, type Embeddings } from '../../src/mesh-embeddings.ts'
import { createMeaningVectors, MAX_QUERIES } from '../../src/mesh-meaning-vectors.ts'
import type { SaidByNode } from '../../src/core/meaning/said-texts.ts'
import type { ToldVectors } from '../../src/mesh-told-vectors.ts'
import { createMeshMeaning } from '../../src/mesh-meaning.ts'
import { createRandom } from '../../scripts/simulate/random.ts'
import { until } from '../backends/contract.ts'

const offer = (capability: CapabilityDeclaration, node = 'peer'): Offer => ({
  ...{ node, nodeName: node, local: false, direct: true, rttMs: 5 },
  ...{ id: capability.id, type: capability.type, capability }
})
/** What each word is about: only these vectors know that "frosty" has to do with the heater. */
const ABOUT: [RegExp, number][] = [
  [/warm|cold|heat|frosty|shiver/, 0],
  [/light|lamp|dark|gloomy/, 1],
  [/music|song|jazz|tune/, 2]
]
function vectorOf(text: string): Float32Array {
  const vector = new Float32Array(8).fill(0.05)
  for (const [words, at] of ABOUT) if (words.test(text)) vector[at]! += 1
  vector[3 + (text.length % 5)]! += 0.1
  return vector
}
const heater = {
  id: 'heater',
  type: 'home/heater',
  description: 'heat',
  examples: ['make it warm', 'i am cold', 'heat the bath']
}
const lamp = {
  id: 'lamp',
  type: 'home/lamp',
  description: 'light',
  examples: ['turn on the light', 'it is dark', 'switch the lamp off']
}
const radio = { id: 'radio', type: 'home/radio', description: 'music', examples: ['play jazz', 'next song', 'some music'] }
const others = Array.from({ length: 20 }, (_, n) => ({
  ...{ id: `other-${n}`, type: `other/o${n}`, description: `number ${n} of those` },
  examples: [`do ${n} once`, `do ${n} again`, `number ${n}`]
}))
const ALL: CapabilityDeclaration[] = [heater, lamp, radio, ...others]

/** An embedder that a test holds in its hands. */
function createHand() {
  const hand = {
    asked: [] as string[][],
    most: 0,
    running: 0,
    left: 0,
    model: 'wise',
    answer: (texts: readonly string[]): Promise<Embedded[]> =>
      Promise.resolve(texts.map((text) => ({ model: hand.model, values: vectorOf(text) }))),
    embedder: {
      name: 'a hand',
      async embed(texts, { signal }) {
        hand.asked.push([...texts])
        hand.most = Math.max(hand.most, ++hand.running)
        const onLeft = (): void => void hand.left++
        signal.addEventListener('abort', onLeft, { once: true })
        return hand.answer(texts).finally(() => {
          signal.removeEventListener('abort', onLeft)
          hand.running--
        })
      }
    } as Embedder
  }
  return hand
}

describe('vectors beside words', () => {
  let hand: ReturnType<typeof createHand>
  let offers: Offer[]
  let embeddings: Embeddings
  let meaning: ReturnType<typeof createMeshMeaning>
  /** Moves the clock that rests go by. */
  let later: number
  beforeEach(() => {
    hand = createHand()
    offers = ALL.map((one) => offer(one))
    later = 0
    const now = (): number => performance.now() + later
    embeddings = createEmbeddings({ embedder: hand.embedder, form: 'int8', now })
    const vectors = createMeaningVectors({ embeddings, now })
    meaning = createMeshMeaning({ offers: () => offers, now, random: createRandom(1), vectors })
  })
  const stop = (): void => {
    meaning.stop()
    embeddings.stop()
  }
  afterEach(stop)
  const by = async (text: string): Promise<MeaningBy> => (await meaning.understand(text)).by
  const first = async (text: string): Promise<string | undefined> => (await meaning.understand(text)).matches[0]?.capability
  const ready = (): Promise<void> => until(async () => (await by('make it warm')).path === 'both', 'the vectors')
  const never = (): Promise<never> => new Promise(() => undefined)

  it('answer nothing until they are there: the first answer is by words, at once', async () => {
    let go = (): void => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    const answer = hand.answer
    hand.answer = (texts) => gate.then(() => answer(texts))
    const { path, model, reason } = await by('make it warm')
    assert.deepEqual([path, model], ['words', null])
    assert.match(reason, /^a hand: the vectors are being made(, 0 of \d+ texts so far)?$/)
    assert.notEqual(await first('frosty'), 'heater')
    go()
    await ready()
    assert.equal(await first('how frosty'), 'heater')
    const told = await by('so gloomy')
    assert.deepEqual([told.path, told.model], ['both', 'wise'])
    assert.equal(told.reason, `vectors of wise (a hand, int8) of ${ALL.length} of ${ALL.length} capabilities`)
  })

  it('are made in batches, one after the other, each text once, also after a change', async () => {
    await ready()
    const made = hand.asked.filter((texts) => texts.length > 1)
    assert.ok(made.length >= 2 && hand.most === 1 && made.every((texts) => texts.length <= MAX_EMBED_BATCH))
    const all = hand.asked.flat()
    assert.equal(new Set(all).size, all.length)
    hand.asked = []
    offers = [...offers, offer({ id: 'pool', type: 'home/pool', description: 'a pool', examples: ['into the water'] })]
    // What was there before is compared meanwhile.
    assert.equal((await by('make it warm')).path, 'both')
    await until(
      async () => (await by('make it warm')).reason.includes(`${ALL.length + 1} of ${ALL.length + 1}`),
      'the vectors of the new one'
    )
    assert.equal(hand.asked.flat().length, 2)
  })

  const FAULTS: [string, () => Promise<Embedded[]>, RegExp][] = [
    ['is down', () => Promise.reject(new MeshError('unavailable', 'nobody there')), /^a hand: nobody there$/],
    ['throws what is no error of ours', () => Promise.reject(new TypeError('oops')), /^a hand: /],
    ['answers with too few', () => Promise.resolve([]), /answers with 0 vectors for/],
    [
      'answers with what is no number',
      () => Promise.resolve([{ model: 'wise', values: Float32Array.of(NaN) }]),
      /a hand: .*answers with/
    ]
  ]
  for (const [what, answer, reason] of FAULTS)
    it(`are done without while the embedder ${what}, which is left alone for a while`, async () => {
      const good = hand.answer
      hand.answer = answer
      await by('make it warm')
      await until(async () => !/being made/.test((await by('make it warm')).reason), 'the fault')
      const told = await by('make it warm')
      assert.equal(told.path, 'words')
      assert.match(told.reason, reason)
      assert.equal(await first('make it warm'), 'heater')
      assert.equal(hand.asked.length, 1)
      hand.answer = good
      later += MIN_REST_MS
      await ready()
      hand.asked = []
      hand.answer = answer
      assert.equal((await by('frosty again')).path, 'words')
      assert.equal((await by('frosty once more')).path, 'words')
      assert.equal(hand.asked.length, 1)
    })

  it('are waited for a moment only, and what comes later counts for who asks again', async () => {
    await ready()
    let go = (): void => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    const good = hand.answer
    hand.answer = (texts) => gate.then(() => good(texts))
    const late = await by('how frosty')
    assert.deepEqual([late.path, late.reason], ['words', 'a hand: no vector of the request within 500 ms'])
    go()
    later += MIN_REST_MS
    await until(() => hand.running === 0, 'the late answer')
    assert.equal(await first('how frosty'), 'heater')
    assert.equal(hand.asked.filter(([text]) => text === 'how frosty').length, 1)
  })

  it('of many requests at once are made of some, and the others are answered by words', async () => {
    await ready()
    hand.answer = never
    const told = await Promise.all(Array.from({ length: MAX_QUERIES + 3 }, (_, n) => by(`frosty ${n}`)))
    assert.equal(told.filter(({ reason }) => /8 requests wait/.test(reason)).length, 3)
    assert.ok(told.every(({ path }) => path === 'words'))
  })

  it('of another model than those of the capabilities are not compared, and those are made anew after a rest', async () => {
    await ready()
    hand.model = 'other'
    const { path, reason } = await by('how frosty')
    assert.equal(path, 'words')
    assert.equal(reason, 'the vector of the request is of other, 8 numbers, those of capabilities of wise')
    later += MIN_REST_MS
    await until(async () => (await by('how frosty')).model === 'other', 'vectors of the other model')
    assert.equal(await first('how frosty'), 'heater')
  })

  it('that were of a model of before are asked for anew, and say nothing against those of capabilities', async () => {
    await ready()
    for (const text of ['how frosty', 'so gloomy']) assert.equal((await by(text)).model, 'wise')
    hand.model = 'other'
    await by('some new tune')
    later += MIN_REST_MS
    await until(async () => (await by('some new tune')).model === 'other', 'vectors of the other model')
    hand.asked = []
    for (const text of ['how frosty', 'so gloomy', 'how frosty']) {
      const { path, model, reason } = await by(text)
      assert.deepEqual([path, model], ['both', 'other'], reason)
    }
    assert.deepEqual(hand.asked, [['how frosty'], ['so gloomy']])
  })

  for (const [what, change] of [
    ['other numbers', (vector: Float32Array) => Float32Array.from(vector).reverse()],
    ['more numbers', (vector: Float32Array) => Float32Array.from([...vector, 0, 0])]
  ] as const)
    it(`that a server gives with ${what} under the same name, once it was away, are all made anew`, async () => {
      await ready()
      const answer = hand.answer
      hand.answer = () => Promise.reject(new Error('away'))
      assert.match(await by('so frosty').then(({ reason }) => reason), /away/)
      hand.answer = async (texts) => (await answer(texts)).map(({ model, values }) => ({ model, values: change(values) }))
      hand.asked = []
      later += MIN_REST_MS
      await by('rather gloomy')
      const of = new RegExp(`of ${ALL.length} of ${ALL.length} capabilities$`)
      await until(async () => of.test((await by('make it warm')).reason), 'the vectors of what is there now')
      assert.equal(await first('how frosty'), 'heater')
      const all = ALL.flatMap(({ examples = [] }) => examples)
      assert.ok(all.every((text) => hand.asked.flat().includes(text)))
    })

  it('of what has changed are made after those under way, which nothing stops, and after a rest', async () => {
    let go = (): void => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    const answer = hand.answer
    hand.answer = (texts) => gate.then(() => answer(texts))
    await by('make it warm')
    for (let n = 0; n < 5; n++) {
      const examples = ['into the water', `swim ${n} lengths`]
      const pool = { id: 'pool', type: 'home/pool', description: 'a pool', examples }
      offers = [...ALL, pool].map((one) => offer(one))
      await by('make it warm')
    }
    assert.deepEqual([hand.asked.length, hand.left], [1, 0])
    go()
    await until(async () => (await by('make it warm')).path === 'both', 'the first vectors')
    later += 3_600_000
    const of = `${ALL.length + 1} of ${ALL.length + 1}`
    await until(async () => (await by('make it warm')).reason.includes(of), 'the vectors of the new one')
    const all = hand.asked.flat()
    assert.equal(new Set(all).size, all.length, 'each text once')
    assert.ok(!all.includes('swim 3 lengths'), 'what was there for a moment is not made')
  })

  it('are not made again at once after each change', async () => {
    let at = 0
    const cost = 40
    const ticking = (): number => (at += cost)
    const made = createEmbeddings({ embedder: hand.embedder, form: 'int8', now: ticking })
    const clocked = createMeaningVectors({ embeddings: made, now: ticking })
    const clock = createMeshMeaning({ offers: () => offers, now: () => 0, random: createRandom(1), vectors: clocked })
    const reason = async (): Promise<string> => (await clock.understand('make it warm')).by.reason
    await until(async () => (await reason()).startsWith('vectors'), 'the vectors')
    hand.asked = []
    offers = [...offers, offer({ id: 'pool', type: 'home/pool', description: 'a pool', examples: ['into the water'] })]
    for (let n = 0; n < 20; n++) {
      await reason()
      await pause()
    }
    assert.deepEqual(hand.asked, [], 'it rests')
    at += 3_600_000
    await reason()
    await until(() => hand.asked.length > 0, 'the vectors of the new one')
    assert.deepEqual(hand.asked.flat().at(-1), 'into the water')
    assert.equal(hand.asked.flat().length, 2, 'of that alone')
    clock.stop()
    made.stop()
  })

  it('are those that a node tells of what it says itself, for that alone', async () => {
    offers = [
      offer({ id: 'oven', type: 'home/oven', description: 'a thing', examples: ['it is frosty'] }, 'attic'),
      offer(
        { id: 'stove', type: 'home/stove', description: 'a thing', examples: ['it is cold', 'so cold', 'how cold'] },
        'kitchen'
      ),
      ...ALL.map((one) => offer(one))
    ]
    const gathered: SaidByNode[] = []
    const checked: string[] = []
    let agrees = true
    const told: ToldVectors = {
      // What the attic tells makes an oven of whatever is about music.
      get: (node) => (agrees && node === 'attic' ? { model: 'wise', values: vectorOf('a song') } : undefined),
      has: (node) => agrees && node === 'attic',
      gather: (said) => Promise.resolve(void gathered.push(...said)),
      believes: () => agrees,
      async check({ node }) {
        checked.push(node)
        await gate
        agrees = false
        vectors.disbelieve(node)
      }
    }
    let open = (): void => undefined
    const gate = new Promise<void>((resolve) => (open = resolve))
    const now = (): number => performance.now() + later
    const vectors = createMeaningVectors({ embeddings, told, now })
    const both = createMeshMeaning({ offers: () => offers, now, random: createRandom(1), vectors })
    let last = await both.understand('shiver')
    await until(async () => (last = await both.understand('shiver')).by.path === 'both', 'the vectors')
    assert.match(last.by.reason, / of 25 of 25 capabilities, of 1 as their nodes told them$/)
    assert.ok(last.matches.some(({ capability }) => capability === 'stove'))
    assert.ok(!last.matches.some(({ capability }) => capability === 'oven'))
    assert.deepEqual(
      gathered.filter(({ node }) => node !== 'peer').map(({ node, texts }) => [node, texts.length]),
      [
        ['attic', 2],
        ['kitchen', 4]
      ]
    )
    assert.deepEqual(checked, [], 'nothing of it was found')
    // Then it is, wrongly. What is built before that is known holds the lie as well.
    const finds = async (): Promise<boolean> => {
      last = await both.understand('a tune')
      return last.matches.some(({ capability }) => capability === 'oven')
    }
    assert.ok(await finds())
    assert.deepEqual(checked, ['attic'])
    later += 3_600_000
    offers = [...offers, offer({ id: 'pool', type: 'home/pool', description: 'a pool', examples: ['into the water'] })]
    await until(async () => (await finds()) && last.by.reason.includes('26 of 26'), 'another index')
    open()
    // At once, by those of others that are there.
    await pause()
    assert.equal(await finds(), false)
    assert.ok(last.by.reason.endsWith(' of 25 of 26 capabilities'), last.by.reason)
    later += 3_600_000
    await until(async () => !(await finds()) && !last.by.reason.includes('25 of'), 'an index with those made here')
    assert.ok(checked.length <= 2 && checked.every((node) => node === 'attic'), 'once in each index')
    both.stop()
  })

  it('of who is found to lie while others are made are made here after that', async () => {
    offers = [offer({ id: 'oven', type: 'home/oven', description: 'bakes', examples: ['it is frosty'] }, 'attic'), ...offers]
    let believed = true
    const told: ToldVectors = {
      get: (node) => (believed && node === 'attic' ? { model: 'wise', values: vectorOf('a song') } : undefined),
      has: (node) => believed && node === 'attic',
      believes: () => believed,
      gather: () => Promise.resolve(),
      check: () => Promise.resolve()
    }
    const now = (): number => performance.now() + later
    const vectors = createMeaningVectors({ embeddings, told, now })
    const both = createMeshMeaning({ offers: () => offers, now, random: createRandom(1), vectors })
    const answer = hand.answer
    hand.answer = (texts) => {
      // All but the first has been left to what is told by now.
      if (texts.length > 1 && believed) {
        believed = false
        vectors.disbelieve('attic')
      }
      return answer(texts)
    }
    const reason = async (): Promise<string> => (await both.understand('make it warm')).by.reason
    await until(async () => (await reason()).startsWith('vectors'), 'the vectors of others')
    later += 3_600_000
    await until(
      async () => (await reason()).endsWith(` of ${ALL.length + 1} of ${ALL.length + 1} capabilities`),
      'those of the oven'
    )
    both.stop()
  })

  it('are of the first characters of a long text, as words are', async () => {
    await ready()
    hand.asked = []
    const start = `how frosty ${'x'.repeat(MAX_TEXT_CHARS)}`.slice(0, MAX_TEXT_CHARS)
    assert.equal((await by(`${start}${'y'.repeat(1_000_000)}`)).path, 'both')
    assert.equal((await by(`${start}${'z'.repeat(1_000_000)}`)).path, 'both')
    assert.deepEqual(hand.asked, [[start]])
    await assert.rejects(meaning.understand(`${' '.repeat(MAX_TEXT_CHARS)}how frosty`), { code: 'invalid_argument' })
  })

  it('are no longer waited for by who goes, nor by anybody once the node stops', async () => {
    await ready()
    hand.answer = never
    const gone = new AbortController()
    const left = meaning.understand('how frosty', { signal: gone.signal })
    await until(() => hand.running === 1, 'the request')
    gone.abort()
    await assert.rejects(left, (error) => isMeshError(error, 'cancelled'))
    assert.equal(hand.left, 1)
    // Who went is no fault of the embedder.
    const next = meaning.understand('how frosty')
    await until(() => hand.running === 2, 'the next request')
    stop()
    assert.equal((await next).by.path, 'words')
    assert.equal(hand.left, 2)
  })
})

describe('vectors from a capability of the mesh', () => {
  const nomic = (node: string, model: string, id = 'nomic'): Offer =>
    offer({ id, type: 'llm/embed', metadata: { model }, tools: [{ name: 'embed' }] }, node)
  const embed = (result: JsonValue, provider = 'one', target = 'nomic'): Promise<Embedded[]> => {
    const asked: unknown[] = []
    const call = ((...args: unknown[]) => {
      asked.push(args.slice(0, 3))
      return { result: Promise.resolve({ result, provider }) }
    }) as unknown as Mesh['call']
    const short = offer({ id: 'no', type: 'llm/other', metadata: { model: 'of another name' } }, 'one')
    const embedder = createCapabilityEmbedder({ target, call, offers: () => [short, nomic('one', 'm1'), nomic('two', 'm2')] })
    return embedder.embed(['a', 'b'], { signal: new AbortController().signal })
  }
  const data = [{ embedding: [1, 0] }, { embedding: [0, 1] }]

  it('are of the model that their provider announces, and of what its server says it is', async () => {
    const models = async (...args: Parameters<typeof embed>) => (await embed(...args)).map(({ model }) => model)
    assert.deepEqual(await models({ data, model: 'm1' }), ['m1', 'm1'])
    assert.deepEqual(await models({ data }, 'two', 'nomic@two'), ['m2', 'm2'])
    assert.deepEqual(await models({ data }, 'one', 'llm/embed'), ['m1', 'm1'])
    assert.deepEqual(await models({ data, model: 'swapped' }, 'one', 'nomic@one'), ['m1 (swapped)', 'm1 (swapped)'])
    assert.deepEqual(
      (await embed({ data })).map(({ values, by }) => [[...values], by]),
      [
        [[1, 0], 'one'],
        [[0, 1], 'one']
      ]
    )
  })

  it('are made by nobody of another mesh, unless it is named by its PeerId', async () => {
    const lent = { ...nomic('stranger', 'm3'), mesh: 'another' }
    const asked: [string, readonly string[] | undefined][] = []
    const call = ((target: string, _tool: string, _input: JsonValue, { notNode }: CallOptions) => {
      asked.push([target, notNode])
      return { result: Promise.resolve({ result: { data }, provider: 'one' }) }
    }) as unknown as Mesh['call']
    for (const target of ['nomic', 'llm/embed', 'nomic@one', 'nomic@stranger']) {
      const embedder = createCapabilityEmbedder({ target, call, offers: () => [lent, nomic('one', 'm1')] })
      await embedder.embed(['a', 'b'], { signal: new AbortController().signal })
    }
    assert.deepEqual(asked, [
      ['nomic@one', ['stranger']],
      ['nomic@one', ['stranger']],
      ['nomic@one', ['stranger']],
      ['nomic@stranger', undefined]
    ])
  })

  it('are of one provider while it is there, then of one of the same model, and else of what most nodes have', async () => {
    let there = [nomic('two', 'm2'), nomic('one', 'm1'), nomic('three', 'm1'), nomic('four', 'm1', 'more')]
    let asked = ''
    const call = ((target: string) => {
      asked = target
      return { result: Promise.resolve({ result: { data }, provider: target.split('@')[1] }) }
    }) as unknown as Mesh['call']
    const embedder = createCapabilityEmbedder({ target: 'llm/embed', call, offers: () => there })
    const next = async (without: string[], ...more: Offer[]): Promise<[string | undefined, string]> => {
      there = [...there.filter(({ node }) => !without.includes(node)), ...more]
      const [first] = await embedder.embed(['a', 'b'], { signal: new AbortController().signal })
      return [first?.model, asked]
    }
    assert.deepEqual(await next([]), ['m1', 'more@four'])
    assert.deepEqual(await next([], nomic('five', 'm2'), nomic('six', 'm2')), ['m1', 'more@four'])
    assert.deepEqual(await next(['four']), ['m1', 'nomic@one'])
    assert.deepEqual(await next(['one', 'three']), ['m2', 'nomic@five'])
    assert.deepEqual(await next([], nomic('one', 'm1'), nomic('three', 'm1'), nomic('four', 'm1')), ['m2', 'nomic@five'])
    there = []
    assert.equal(embedder.ready?.(), false)
  })

  it('are of another provider, of the same model first, after one has failed, and of that again if there is no other', async () => {
    let there = [nomic('one', 'm1'), nomic('two', 'm2'), nomic('three', 'm1')]
    let broken = ['one']
    const asked: string[] = []
    const call = ((target: string) => {
      const node = target.split('@')[1]!
      asked.push(node)
      const result = broken.includes(node)
        ? Promise.reject(new Error('down'))
        : Promise.resolve({ result: { data }, provider: node })
      return { result }
    }) as unknown as Mesh['call']
    const embedder = createCapabilityEmbedder({ target: 'llm/embed', call, offers: () => there })
    const next = (): Promise<unknown> =>
      embedder.embed(['a', 'b'], { signal: new AbortController().signal }).catch(() => undefined)
    for (let n = 0; n < 3; n++) await next()
    broken = ['three']
    for (let n = 0; n < 3; n++) await next()
    there = [nomic('one', 'm1'), nomic('two', 'm2'), nomic('six', 'm2')]
    broken = ['one']
    for (let n = 0; n < 2; n++) await next()
    assert.deepEqual(asked.slice(asked.indexOf('one')), ['one', 'three', 'three', 'three', 'one', 'one', 'one', 'one'])
  })

  for (const [what, result] of [
    ['text', '<html>'],
    ['nothing', null],
    ['no list', { data: 'x' }],
    ['entries without vectors', { data: [{ embedding: 'x' }] }],
    ['numbers as text', { data: [{ embedding: ['1'] }] }]
  ] as [string, JsonValue][])
    it(`are refused where the answer is ${what}`, () =>
      assert.rejects(embed(result), (error) => isMeshError(error, 'protocol_error')))
})
