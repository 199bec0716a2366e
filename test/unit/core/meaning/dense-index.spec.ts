import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FUSED_DEPTH, UNTAUGHT, scoreOf, type DenseScale } from '../../../../src/core/meaning/dense-calibration.ts'
import { buildDenseIndex, type DenseIndex } from '../../../../src/core/meaning/dense-index.ts'
import { checkEmbedded, type Embedded } from '../../../../src/core/meaning/embedder.ts'
import { createEmbeddingCache } from '../../../../src/core/meaning/embedding-cache.ts'
import { buildLexicalIndex, type LexicalIndex, type MeaningItem } from '../../../../src/core/meaning/lexical-index.ts'
import { RESCORED, VECTOR_FORMS, createVectorTable, type VectorForm } from '../../../../src/core/meaning/vector-table.ts'
import { MAX_DIMENSIONS } from '../../../../protocols/embedding/messages.ts'
import { centroidOf, dot, normalised, toSigns, hamming } from '../../../../src/core/meaning/vectors.ts'
import { isMeshError } from '../../../../src/errors.ts'
import { createRandom } from '../../../../scripts/simulate/random.ts'

function finished<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

/** Vectors around so many centres. */
function clusters(count: number, centres: number, width: number, spread: number, seed = 1): Float32Array[] {
  const random = createRandom(seed)
  const vector = (): Float32Array => Float32Array.from({ length: width }, () => random() + random() + random() - 1.5)
  const around = Array.from({ length: centres }, vector)
  return Array.from({ length: count }, (_, n) => vector().map((value, at) => around[n % centres]![at]! + spread * value))
}

describe('a table of vectors', () => {
  it('gives the nearest, the same ones in whole numbers as in floats, but for some in a hundred', () => {
    const [vectors, queries] = [clusters(400, 60, 96, 0.8), clusters(300, 60, 96, 1.2)]
    const first = (form: VectorForm): number[] => {
      const table = createVectorTable(vectors, form)
      return queries.map((query) => table.nearest(normalised(query), 1)[0]!.at)
    }
    const exact = first('float')
    const unit = vectors.map(normalised)
    const truth = queries.map(normalised).map((query) => {
      const cosines = unit.map((vector) => dot(query, vector))
      return cosines.indexOf(Math.max(...cosines))
    })
    assert.deepEqual(exact, truth)
    for (const form of VECTOR_FORMS) {
      const same = first(form).filter((at, n) => at === exact[n]).length
      assert.ok(same >= queries.length * 0.97, `${form}: ${same} of ${queries.length}`)
    }
  })

  it('keeps whole numbers in a quarter of the bytes, and bits in a thirty-second more', () => {
    const vectors = clusters(100, 10, 384, 1)
    const [float, int8, binary] = VECTOR_FORMS.map((form) => createVectorTable(vectors, form).bytes)
    assert.deepEqual([float, int8, binary], [100 * 384 * 4, 100 * (384 + 4), 100 * (384 + 4 + 48)])
  })

  it('looks among those that may be found, and gives them in order, all of them or as many as wanted', () => {
    const vectors = clusters(RESCORED * 2, 5, 16, 1)
    const query = normalised(vectors[3]!)
    for (const form of VECTOR_FORMS) {
      const near = createVectorTable(vectors, form).nearest(query, 10, (at) => at % 2 === 1)
      assert.equal(near[0]!.at, 3)
      assert.ok(near.length === 10 && near.every(({ at }) => at % 2 === 1))
      assert.deepEqual(
        near.map(({ cosine }) => cosine),
        near.map(({ cosine }) => cosine).sort((a, b) => b - a)
      )
      assert.equal(createVectorTable(vectors.slice(0, 4), form).nearest(query, 10).length, 4)
      assert.deepEqual(createVectorTable([], form).nearest(query, 10), [])
    }
  })

  it('is near the true cosine in whole numbers, whatever the vectors', () => {
    const vector = fc
      .array(fc.float({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 24, maxLength: 24 })
      .map((all) => Float32Array.from(all))
    fc.assert(
      fc.property(vector, vector, (a, b) => {
        const [float, int8] = (['float', 'int8'] as const).map((form) => createVectorTable([a], form).cosine(normalised(b), 0))
        assert.ok(Math.abs(float! - int8!) <= Math.sqrt(24) / 127, `${float} ${int8}`)
      })
    )
  })

  it('says by bits how unlike two are', () => {
    const mean = new Float32Array(40)
    const one = Float32Array.from({ length: 40 }, (_, n) => (n < 10 ? 1 : -1))
    assert.equal(
      hamming(
        toSigns(one, mean),
        toSigns(
          one.map((value) => -value),
          mean
        )
      ),
      40
    )
    assert.equal(hamming(toSigns(one, mean), toSigns(one, mean)), 0)
    assert.deepEqual([...centroidOf([])], [])
    assert.deepEqual([...normalised(new Float32Array(3))], [0, 0, 0])
  })
})

/** A language in which the words of a thing have nothing in common, so that only vectors tell what is meant. */
const THINGS = 30
const WIDTH = 24
const meaning = clusters(THINGS, THINGS, WIDTH, 0)
const things = new Map<string, number>()
function said(thing: number, n: number): string {
  const random = createRandom(thing * 1_000 + n)
  const word = (): string => Array.from({ length: 8 }, () => String.fromCodePoint(97 + Math.floor(random() * 26))).join('')
  const text = `${word()} ${word()}`
  things.set(text, thing)
  return text
}
const items: MeaningItem[] = Array.from({ length: THINGS }, (_, thing) => ({
  key: `thing-${thing}`,
  description: `thing number ${thing}`,
  examples: Array.from({ length: 4 }, (_, n) => said(thing, n))
}))
/** Knows what each text is about; `noise`: not well. */
function embedderOf(noise: number, model = 'wise'): (text: string) => Embedded {
  return (text) => {
    const thing = things.get(text) ?? Number(/\d+/.exec(text)?.[0] ?? 0)
    const random = createRandom([...text].reduce((sum, char) => (sum * 31 + char.codePointAt(0)!) | 0, 7))
    return { model, values: meaning[thing]!.map((value) => value * (1 - noise) + noise * (random() * 2 - 1)) }
  }
}
const wise = embedderOf(0.3)
const lexicalOf = (all: MeaningItem[]): LexicalIndex => finished(buildLexicalIndex(all, createRandom(1), FUSED_DEPTH))
const denseOf = (
  all: MeaningItem[],
  vectorOf: (text: string) => Embedded | undefined,
  { form = 'int8', lexical = lexicalOf(all) }: { form?: VectorForm; lexical?: LexicalIndex } = {}
): DenseIndex => finished(buildDenseIndex({ items: all, vectorOf, form, heldOut: lexical.heldOut }))

describe('the score of words and a cosine', () => {
  it('is never much less than the part of the words, however close together the cosines of a model lie', () => {
    const units = { nothing: 0.75, enough: 0.8 }
    const scale: DenseScale = { ...UNTAUGHT, share: { taught: 0.3, untaught: 0.3 }, taught: units, untaught: units }
    fc.assert(
      fc.property(fc.double({ min: 0, max: 20, noNaN: true }), fc.double({ min: -1, max: 1, noNaN: true }), (byWords, cosine) => {
        const score = scoreOf(scale, true, byWords, cosine)
        assert.ok(score >= 0.7 * byWords - 0.3)
        assert.ok(cosine <= units.nothing || score > 0.7 * byWords)
      })
    )
  })
})

describe('an index of vectors beside words', () => {
  const lexical = lexicalOf(items)
  const found = (index: DenseIndex, text: string, embed: (text: string) => Embedded = wise) =>
    index.find(embed(text), lexical.find(text, FUSED_DEPTH).matches, 5)

  it('finds what words alone cannot, in each form, and is sure of it', () => {
    for (const form of VECTOR_FORMS) {
      const index = denseOf(items, wise, { form, lexical })
      assert.deepEqual([index.size, index.models, index.comparable(wise('x'))], [THINGS, ['wise'], THINGS])
      assert.ok(index.share(wise('x')) > 0, form)
      let [sure, byWords] = [0, 0]
      for (let thing = 0; thing < THINGS; thing++) {
        const text = said(thing, 99)
        if (lexical.find(text, 1).matches[0]?.key === `thing-${thing}`) byWords++
        const { matches, likelihood } = found(index, text)
        assert.equal(matches[0]?.key, `thing-${thing}`)
        if (matches[0].score >= 1 && likelihood > 0.6) sure++
      }
      assert.ok(byWords < THINGS / 4, `${byWords}`)
      // One in twenty is turned away, which is how enough is learned.
      assert.ok(sure >= THINGS * 0.9, `${form}: ${sure}`)
    }
  })

  it('learns from the examples that are left out that vectors of a poor model add nothing', () => {
    const words = items.map((item, thing) => ({
      ...item,
      examples: item.examples.map((text, n) => `${text} name${thing} call${thing} no${n}`)
    }))
    const own = lexicalOf(words)
    assert.ok(own.heldOut.length >= 100)
    assert.equal(denseOf(words, embedderOf(1, 'poor'), { lexical: own }).share(embedderOf(1, 'poor')('x')), 0)
    assert.ok(denseOf(words, wise, { lexical: own }).share(wise('x')) <= 0.5)
  })

  it('says that nothing fits where neither words nor vectors say so', () => {
    const index = denseOf(items, wise, { lexical })
    const opposite = {
      model: 'wise',
      values: meaning.reduce((sum, one) => sum.map((value, n) => value - one[n]!), new Float32Array(WIDTH))
    }
    const { matches } = index.find(opposite, [], 5)
    assert.ok((matches[0]?.score ?? 0) < 1)
  })

  it('never compares vectors of different models, or of different lengths', () => {
    const index = denseOf(items, wise, { lexical })
    const other = (text: string): Embedded => ({ ...wise(text), model: 'other' })
    const short = (text: string): Embedded => ({ model: 'wise', values: wise(text).values.slice(1) })
    for (const embed of [other, short]) {
      assert.equal(index.comparable(embed('x')), 0)
      const text = 'thing number 3'
      assert.deepEqual(
        found(index, text, embed).matches.map(({ key }) => key),
        lexical.find(text, 5).matches.map(({ key }) => key)
      )
    }
  })

  it('leaves to their words those whose vectors are missing, or of another model', () => {
    const mixed = (text: string): Embedded | undefined => {
      const thing = things.get(text) ?? Number(/\d+/.exec(text)![0])
      return thing === 0 ? undefined : thing === 1 ? { ...wise(text), model: 'other' } : wise(text)
    }
    const index = denseOf(items, mixed, { lexical })
    assert.deepEqual([index.size, index.comparable(wise('x'))], [THINGS - 1, THINGS - 2])
    assert.deepEqual(new Set(index.models), new Set(['wise', 'other']))
    for (const thing of [0, 1]) assert.equal(found(index, said(thing, 0)).matches[0]?.key, `thing-${thing}`)
    assert.equal(found(index, said(2, 99)).matches[0]?.key, 'thing-2')
  })

  it('finds only those among which it is to look', () => {
    const index = denseOf(items, wise, { lexical })
    const { matches } = index.find(
      wise(said(4, 99)),
      lexical.find(said(4, 99), FUSED_DEPTH).matches,
      5,
      (key) => key !== 'thing-4'
    )
    assert.ok(matches.every(({ key }) => key !== 'thing-4'))
  })

  it('counts vectors of descriptions a little where there are no examples, and not at all where there is nothing to compare them with', () => {
    const bare = items.map((item) => ({ ...item, examples: [] }))
    const own = lexicalOf(bare)
    const index = denseOf(bare, wise, { lexical: own })
    assert.equal(index.find(wise('thing 7'), own.find('thing 7', FUSED_DEPTH).matches, 5).matches[0]?.key, 'thing-7')
    const few = bare.slice(0, 2)
    const words = lexicalOf(few).find('number 1', FUSED_DEPTH).matches
    assert.deepEqual(denseOf(few, wise).find(wise('number 1'), words, 5).matches, words)
  })
})

describe('vectors that are kept', () => {
  it('are those of the text and its newest model, in a quarter of the size unless they are to be floats', () => {
    for (const form of VECTOR_FORMS) {
      const cache = createEmbeddingCache(form)
      cache.put('a', { model: 'old', values: Float32Array.of(9, 9) })
      cache.put('a', { model: 'new', values: Float32Array.of(0.5, -1) })
      const { model, values } = cache.get('a')!
      assert.deepEqual([model, cache.modelOf('a'), cache.size, cache.get('b')], ['new', 'new', 1, undefined])
      assert.ok(Math.abs(values[0]! - 0.5) < 0.01 && values[1] === -1)
    }
  })

  it('are bounded', () => {
    const cache = createEmbeddingCache('float', 3)
    for (let n = 0; n <= 3; n++) cache.put(String(n), { model: 'm', values: new Float32Array(1) })
    assert.deepEqual([cache.size, cache.get('0'), cache.modelOf('1')], [3, undefined, 'm'])
  })

  it('are checked as they come', () => {
    const good = (length = 3): Embedded => ({ model: 'm', values: new Float32Array(length).fill(1) })
    assert.equal(checkEmbedded([good(), good()], 2).length, 2)
    const wrong: [Embedded[], number][] = [
      [[good()], 2],
      [[good(), good(4)], 2],
      [[good(), { ...good(), model: 'n' }], 2],
      [[good(0)], 1],
      [[good(MAX_DIMENSIONS + 1)], 1],
      [[{ ...good(), model: '' }], 1],
      [[{ model: 'm', values: Float32Array.of(1, NaN) }], 1],
      [[{ model: 'm', values: Float32Array.of(Infinity) }], 1]
    ]
    for (const [answer, count] of wrong)
      assert.throws(
        () => checkEmbedded(answer, count),
        (error) => isMeshError(error, 'protocol_error')
      )
  })
})
