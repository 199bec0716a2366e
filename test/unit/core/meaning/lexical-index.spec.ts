import assert from 'node:assert/strict'
import fc from 'fast-check'
import { calibrate, likelihood, MIN_OUTCOMES } from '../../../../src/core/meaning/calibration.ts'
import { decideMeaning } from '../../../../src/core/meaning/decision.ts'
import { foldsOf, MAX_FOLDS } from '../../../../src/core/meaning/example-folds.ts'
import {
  createFeatureSpace,
  type FeatureSpace,
  type KindWeights,
  type TextVector
} from '../../../../src/core/meaning/feature-space.ts'
import { buildLexicalIndex, type LexicalIndex, type MeaningItem } from '../../../../src/core/meaning/lexical-index.ts'
import { createClassWeights } from '../../../../src/core/meaning/class-weights.ts'
import { trainClassifier } from '../../../../src/core/meaning/text-classifier.ts'
import {
  contentWords,
  createWordFeatures,
  MAX_TEXT_CHARS,
  wordsOf,
  type FeatureKind
} from '../../../../src/core/meaning/text-features.ts'
import { createRandom } from '../../../../scripts/simulate/random.ts'

function finished<T>(work: Generator<undefined, T>): { result: T; pauses: number } {
  let pauses = 0
  for (;;) {
    const step = work.next()
    if (step.done === true) return { result: step.value, pauses }
    pauses++
  }
}

const item = (key: string, description: string, ...examples: string[]): MeaningItem => ({ key, description, examples })
const indexOf = (items: MeaningItem[], seed = 1): LexicalIndex => finished(buildLexicalIndex(items, createRandom(seed))).result

const spaceOf = (texts: readonly string[], kinds: KindWeights): FeatureSpace =>
  finished(createFeatureSpace(texts.map(wordsOf), kinds)).result.space

const HOME = [
  item('lamp', 'Switches lamps on and off', 'turn on the light', 'make it dark in here', 'switch the lamp off'),
  item('heater', 'Sets how warm a room is', 'i am cold', 'set the heating to 21 degrees', 'make the bedroom warmer'),
  item('camera', 'Takes pictures of the front door'),
  item('radio', 'Plays music from stations', 'play some jazz', 'louder please', 'next song')
]

describe('words of a text', () => {
  it('are lower case, taken apart at capitals and signs, in any script', () => {
    assert.deepEqual(wordsOf('getFrame of camera_2, bitte!'), ['get', 'frame', 'of', 'camera', '2', 'bitte'])
    assert.deepEqual(wordsOf('Küche \u5149 привет ﬁre'), ['küche', '光', 'привет', 'fire'])
    assert.deepEqual(wordsOf(''), [])
    assert.deepEqual(contentWords(wordsOf('Can you show me the cat?')), ['cat'])
  })

  it('are read up to a bound, whatever it is', () => {
    assert.ok(wordsOf('ab '.repeat(1_000_000)).length <= MAX_TEXT_CHARS / 3 + 1)
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => wordsOf(text).every((word) => word.length > 0))
    )
  })

  it('are the same in stems where they are inflected, and share pieces where they are misspelt', () => {
    const { each } = createWordFeatures()
    const features = (kind: FeatureKind, text: string): string[] => {
      const all = new Set<string>()
      each(kind, wordsOf(text), (feature) => void all.add(feature))
      return [...all]
    }
    assert.deepEqual(features('stem', 'lamps'), features('stem', 'lamp'))
    const [right, wrong] = [features('gram', 'temperature'), features('gram', 'temprature')]
    assert.ok(right.filter((gram) => wrong.includes(gram)).length > right.length / 3)
  })
})

describe('a feature space', () => {
  it('gives vectors of length 1 for what it knows, shorter ones for what it knows in part, none for the rest', () => {
    const space = spaceOf(['a red lamp', 'a blue lamp', 'green'], { stem: 1, pair: 1, gram: 2 })
    const length = (text: string): number => Math.hypot(...space.vector(wordsOf(text)).weights)
    assert.ok(Math.abs(length('a red lamp') - 1) < 1e-6)
    assert.ok(length('red elephant') > 0 && length('red elephant') < 1)
    assert.equal(length('xyzzy'), 0)
    assert.equal(length(''), 0)
  })

  it('gives the vectors of its texts, and learns more of them, with what they are made of', () => {
    const texts = ['a red lamp', 'a blue lamp lamp', 'green'].map(wordsOf)
    const { space, vectors } = finished(createFeatureSpace(texts, { stem: 1, pair: 1, gram: 2 })).result
    assert.deepEqual(
      vectors,
      texts.map((words) => space.vector(words))
    )
    const { size } = space
    const late = space.learn(wordsOf('a yellow lamp'))
    assert.ok(space.size > size)
    assert.deepEqual(space.vector(wordsOf('a yellow lamp')), late)
    assert.ok(Math.abs(Math.hypot(...late.weights) - 1) < 1e-6)
    assert.deepEqual(space.vector(texts[0]!), vectors[0])
  })
})

describe('a text classifier', () => {
  it('tells apart what differs in a word, which its centroids alone do not', () => {
    const said = [
      ['turn the light on', 'turn the light on please', 'please turn the light on now', 'light on'],
      ['turn the light off', 'turn the light off please', 'please turn the light off now', 'off with the light']
    ]
    const labels = said.flatMap((all, label) => all.map(() => label))
    const { space, vectors } = finished(createFeatureSpace(said.flat().map(wordsOf), { stem: 1, pair: 1 })).result
    const labelled = vectors.map((vector, n) => ({ vector, label: labels[n]! }))
    const { result } = finished(trainClassifier(labelled, { classes: 2, features: space.size, random: createRandom(1) }))
    for (const { vector, label } of labelled) {
      const scores = result.score(vector, new Float64Array(2))
      assert.ok(scores[label]! - scores[1 - label]! > 0.3, `${scores.join(' ')} for ${label}`)
    }
  })
})

describe('folds of examples', () => {
  it('are all used, of about one size, and keep what says the same together', () => {
    fc.assert(
      fc.property(fc.array(fc.lorem({ maxCount: 4 }), { maxLength: 70 }), (texts) => {
        const space = spaceOf(texts, { stem: 1 })
        const folds = foldsOf(texts.map((text) => space.vector(wordsOf(text))))
        assert.equal(folds.length, texts.length)
        if (texts.length < 2) return assert.ok(folds.every((fold) => fold === undefined))
        const counts = Array.from({ length: MAX_FOLDS }, (_, fold) => folds.filter((one) => one === fold).length).filter(
          (count) => count > 0
        )
        assert.ok(counts.length >= 2 && Math.max(...counts) - Math.min(...counts) <= 1, counts.join(' '))
      })
    )
    const texts = ['open the door', 'what is the time', 'open the front door', 'tell me the time']
    const space = spaceOf(texts, { stem: 1 })
    const [a, b, c, d] = foldsOf(texts.map((text) => space.vector(wordsOf(text))))
    assert.deepEqual([a === c, b === d, a === b], [true, true, false])
  })
})

describe('weights of classes', () => {
  /** What they should say, simply. */
  function reference(): {
    add(feature: number, label: number, weight: number): void
    score(vector: TextVector, classes: number): number[]
  } {
    const all = new Map<string, number>()
    const at = (feature: number, label: number): number => all.get(`${feature} ${label}`) ?? 0
    return {
      add: (feature, label, weight) => void all.set(`${feature} ${label}`, at(feature, label) + weight),
      score: ({ features, weights }, classes) =>
        Array.from({ length: classes }, (_, label) => features.reduce((sum, one, n) => sum + weights[n]! * at(one, label), 0))
    }
  }
  const vectorOf = (pairs: readonly (readonly [number, number])[]): TextVector => ({
    features: Int32Array.from(new Map(pairs).keys()),
    weights: Float32Array.from(new Map(pairs).values())
  })
  const FEATURES = 6

  it('add up whatever is said when, of features of few classes and of many, and of classes that come later', () => {
    // Eighths, so that sums are exact.
    const weight = fc.integer({ min: -16, max: 16 }).map((n) => n / 8)
    const vectors = fc.array(fc.tuple(fc.nat({ max: FEATURES - 1 }), weight), { maxLength: 6 }).map(vectorOf)
    const late = fc.tuple(fc.nat({ max: FEATURES + 1 }), fc.nat({ max: 14 }), weight)
    fc.assert(
      fc.property(fc.array(vectors, { maxLength: 10 }), fc.array(late, { maxLength: 40 }), vectors, (classes, more, asked) => {
        const expected = reference()
        for (const [label, { features, weights }] of classes.entries())
          features.forEach((feature, n) => expected.add(feature, label, weights[n]!))
        const { result } = finished(createClassWeights(classes, FEATURES))
        for (const [feature, label, value] of more) {
          expected.add(feature, label, value)
          result.add(feature, label, value)
        }
        assert.deepEqual([...result.score(asked, new Float64Array(15))], expected.score(asked, 15))
      })
    )
  })

  it('cost as much as there is to look at', () => {
    const classes = Array.from({ length: 8 }, (_, n) => vectorOf([[0, 1], ...(n === 0 ? [[1, 1] as const] : [])]))
    const { result } = finished(createClassWeights(classes, 3))
    assert.equal(
      result.costOf(
        vectorOf([
          [0, 1],
          [1, 1],
          [2, 1]
        ])
      ),
      9
    )
  })
})

describe('calibration', () => {
  const random = createRandom(5)
  const outcomes = Array.from({ length: 4_000 }, () => {
    const [score, lead] = [0.1 + random(), random()]
    return { score, lead, isRight: random() < 1 / (1 + Math.exp(1 - 4 * lead)) }
  })

  it('turns away one in twenty, and says how likely an answer is as it was', () => {
    const calibration = calibrate(outcomes)!
    const away = outcomes.filter(({ score }) => score < calibration.threshold).length
    assert.equal(away, outcomes.length / 20)
    for (const lead of [0.1, 0.5, 0.9]) {
      const near = outcomes.filter((one) => Math.abs(one.lead - lead) < 0.1)
      const share = near.filter(({ isRight }) => isRight).length / near.length
      const said = likelihood(calibration, 0.6 / calibration.threshold, lead / calibration.threshold)
      assert.ok(Math.abs(said - share) < 0.05, `${said} for ${share}`)
    }
  })

  it('is not had from too few, or from what scores nothing, and stays finite where all are right', () => {
    assert.equal(calibrate(outcomes.slice(0, MIN_OUTCOMES - 1)), undefined)
    assert.equal(calibrate(outcomes.map((one) => ({ ...one, score: 0 }))), undefined)
    const { coefficients } = calibrate(outcomes.map((one) => ({ ...one, isRight: true })))!
    assert.ok(coefficients.every(Number.isFinite))
  })
})

describe('the lexical index', () => {
  it('finds by examples, by descriptions, and with mistakes', () => {
    const index = indexOf(HOME)
    const first = (text: string): string | undefined => index.find(text, 3).matches[0]?.key
    assert.equal(first('please turn the light on'), 'lamp')
    assert.equal(first('take a picture of the door'), 'camera')
    assert.equal(first('set the heatng to 19 degres'), 'heater')
    assert.equal(first('play some blues'), 'radio')
  })

  it('says nothing of what it knows nothing of, and has no score to divide by where it is empty', () => {
    const index = indexOf(HOME)
    assert.deepEqual(index.find('', 3), { matches: [], likelihood: 0 })
    assert.deepEqual(
      index.find('żółw', 3).matches.filter(({ score }) => score >= 1),
      []
    )
    assert.deepEqual(indexOf([]).find('play', 3), { matches: [], likelihood: 0 })
    assert.deepEqual(indexOf([item('x', '', '', '!')]).find('play', 3).matches, [])
  })

  it('finds among those that may be found alone', () => {
    const [best] = indexOf(HOME).find('turn the light on', 3, (key) => key !== 'lamp').matches
    assert.notEqual(best?.key, 'lamp')
    assert.deepEqual(indexOf(HOME).find('turn the light on', 3, () => false).matches, [])
  })

  it('is the same for the same items and chance, whatever is asked in between', () => {
    const [a, b] = [indexOf(HOME), indexOf(HOME)]
    a.find('something else', 2)
    assert.deepEqual(a.find('turn on the radio', 4), b.find('turn on the radio', 4))
  })

  it('pauses while it is built', () => {
    const many = Array.from({ length: 200 }, (_, n) => item(`k${n}`, `thing ${n}`, `do ${n}`, `make ${n}`))
    assert.ok(finished(buildLexicalIndex(many, createRandom(1))).pauses > 20)
  })

  it('takes in one more, another text of one, and forgets one, as if it had been built with them', () => {
    const index = indexOf(HOME)
    const first = (text: string): string | undefined => index.find(text, 3).matches[0]?.key
    index.set(item('kettle', 'Boils water', 'make some tea', 'put the kettle on', 'is the water hot'))
    index.set(item('door', 'Opens and closes the gate of the garage'))
    assert.deepEqual([index.size, first('boil water for tea'), first('close the garage')], [6, 'kettle', 'door'])
    assert.equal(first('please turn the light on'), 'lamp')
    index.set(item('kettle', 'Feeds the fish', 'give the fish something to eat', 'are the fish hungry'))
    assert.deepEqual([index.size, first('feed the hungry fish')], [6, 'kettle'])
    assert.notEqual(first('make some tea'), 'kettle')
    index.delete('lamp')
    index.delete('nobody')
    assert.equal(index.size, 5)
    assert.ok(index.find('turn the light on', 9).matches.every(({ key }) => key !== 'lamp'))
  })

  it('asks who may be found only of those that are near enough', () => {
    const many = Array.from({ length: 400 }, (_, n) => item(`k${n}`, `a thing of the kind ${n}`))
    let asked = 0
    indexOf(many).find('a thing', 3, () => ++asked > 0)
    assert.ok(asked >= 3 && asked < many.length, `${asked}`)
  })

  it('takes any text', () => {
    const texts = fc.string({ unit: 'binary', maxLength: 60 })
    const items = fc.array(fc.record({ description: texts, examples: fc.array(texts, { maxLength: 5 }) }), { maxLength: 12 })
    fc.assert(
      fc.property(items, texts, (all, text) => {
        const index = indexOf(all.map((one, n) => ({ ...one, key: `k${n}` })))
        const { matches, likelihood } = index.find(text, 3)
        assert.ok(matches.length <= 3 && likelihood >= 0 && likelihood <= 1)
        matches.forEach(({ score }, n) =>
          assert.ok(score > 0 && Number.isFinite(score) && (n === 0 || score <= matches[n - 1]!.score))
        )
      }),
      { numRuns: 60 }
    )
  })
})

describe('the decision what is meant', () => {
  const typeOf = (key: string): string => key.split('.')[0]!
  const found = (likelihood: number, ...matches: [key: string, score: number][]) =>
    decideMeaning({ matches: matches.map(([key, score]) => ({ key, score })), likelihood }, typeOf)
  const keys = ({ matches }: { matches: { key: string }[] }): string[] => matches.map(({ key }) => key)

  it('is nothing where nothing scores enough, however alone it is', () => {
    const none = found(0.99, ['lamp.a', 0.99], ['radio.a', 0.1])
    assert.deepEqual([none.outcome, keys(none)], ['none', ['lamp.a', 'radio.a']])
    assert.equal(found(0).outcome, 'none')
  })

  it('is one where it is likely, with those of its type that are as good', () => {
    const one = found(0.7, ['lamp.a', 3], ['lamp.b', 2.8], ['radio.a', 2.7], ['lamp.c', 2])
    assert.deepEqual([one.outcome, keys(one)], ['one', ['lamp.a', 'lamp.b']])
  })

  it('is a choice of three where it is not, unless they are all of one type', () => {
    const choice = found(0.3, ['lamp.a', 3], ['radio.a', 2.9], ['heater.a', 2.8], ['camera.a', 2.7])
    assert.deepEqual([choice.outcome, keys(choice)], ['ambiguous', ['lamp.a', 'radio.a', 'heater.a']])
    assert.equal(found(0.3, ['lamp.a', 3], ['lamp.b', 2.9], ['radio.a', 0.9]).outcome, 'one')
  })
})
