import assert from 'node:assert/strict'
import fc from 'fast-check'
import { MIN_AGREEMENT, TEXTS_PER_SAMPLE, agree, sampleOf } from '../../../../src/core/meaning/told-vectors.ts'
import { fromInt8, toInt8 } from '../../../../src/core/meaning/vectors.ts'
import { createRandom } from '../../../../scripts/simulate/random.ts'

const vectorOf = (random: () => number, width: number): Float32Array =>
  Float32Array.from({ length: width }, () => random() + random() + random() - 1.5)

describe('vectors that are told', () => {
  it('are sampled: one text of sixteen, one at least, each as often as another', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: 100 }), fc.integer(), (texts, seed) => {
        const before = [...texts]
        const sample = sampleOf(texts, createRandom(seed))
        assert.deepEqual(texts, before)
        assert.equal(sample.length, Math.ceil(texts.length / TEXTS_PER_SAMPLE))
        assert.equal(new Set(sample).size, sample.length)
        assert.ok(sample.every((text) => texts.includes(text)))
      })
    )
    const random = createRandom(1)
    const texts = Array.from({ length: 20 }, (_, n) => `${n}`)
    const counts = new Map(texts.map((text) => [text, 0]))
    for (let n = 0; n < 10_000; n++) for (const text of sampleOf(texts, random)) counts.set(text, counts.get(text)! + 1)
    // 1,000 each, with a deviation of 30.
    assert.ok([...counts.values()].every((count) => Math.abs(count - 1_000) < 150))
  })

  it('agree as whole numbers with what they were made of, in any scale, and with nothing else', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 16, max: 1_024 }), (seed, width) => {
        const random = createRandom(seed)
        const own = { model: 'm', values: vectorOf(random, width) }
        const { values } = toInt8(own.values)
        assert.ok(agree(own, { model: 'm', values: Float32Array.from(values) }))
        assert.ok(agree(own, { model: 'm', values: fromInt8({ scale: 0.001, values }) }))
        assert.ok(!agree(own, { model: 'other', values: own.values }))
        assert.ok(!agree(own, { model: 'm', values: own.values.subarray(1) }))
        assert.ok(!agree(own, { model: 'm', values: own.values.map((value) => -value) }))
        assert.ok(!agree(own, { model: 'm', values: vectorOf(random, width) }))
      })
    )
    assert.ok(MIN_AGREEMENT > 0.9 && MIN_AGREEMENT < 0.992)
  })

  it('agree where the model knows no word only if both say nothing', () => {
    const [nothing, something] = [new Float32Array(4), Float32Array.of(1, 0, 0, 0)]
    assert.ok(agree({ model: 'm', values: nothing }, { model: 'm', values: nothing }))
    assert.ok(!agree({ model: 'm', values: nothing }, { model: 'm', values: something }))
    assert.ok(!agree({ model: 'm', values: something }, { model: 'm', values: nothing }))
  })
})
