import assert from 'node:assert/strict'
import fc from 'fast-check'
import { meantKey } from '../../../../src/core/meaning/items.ts'
import {
  MAX_EXAMPLE_CHARS,
  MAX_LEARNED,
  MAX_LEARNED_EACH,
  createLearnedExamples,
  exampleText,
  type LearnedExample
} from '../../../../src/core/meaning/learned-examples.ts'
import { isMeshError } from '../../../../src/errors.ts'

const example = (capability: string, text: string): LearnedExample => ({ capability, type: 'test/one', text })
const key = (capability: string): string => meantKey('test/one', capability)

describe('learned examples', () => {
  it('are of one capability each: what a text meant before is forgotten', () => {
    const learned = createLearnedExamples()
    learned.add(example('lamp', 'make it bright'))
    learned.add(example('lamp', 'darker'))
    learned.add(example('blinds', 'make it bright'))
    assert.deepEqual(learned.of(key('lamp')), ['darker'])
    assert.deepEqual(learned.of(key('blinds')), ['make it bright'])
    learned.add(example('lamp', 'darker'))
    assert.deepEqual(learned.of(key('lamp')), ['darker'])
  })

  it('keep the lists of the others as they are', () => {
    const learned = createLearnedExamples([example('lamp', 'bright'), example('radio', 'louder')])
    const lamp = learned.of(key('lamp'))
    const { revision } = learned
    learned.add(example('radio', 'next song'))
    assert.equal(learned.of(key('lamp')), lamp)
    assert.notEqual(learned.revision, revision)
    assert.equal(learned.of(key('nobody')), learned.of(key('nothing')))
  })

  it('are bounded for each and in all, and the oldest go', () => {
    const learned = createLearnedExamples()
    for (let n = 0; n < MAX_LEARNED_EACH + 3; n++) learned.add(example('lamp', `light ${n}`))
    assert.equal(learned.of(key('lamp')).length, MAX_LEARNED_EACH)
    assert.equal(learned.of(key('lamp'))[0], 'light 3')
    const many = Array.from({ length: MAX_LEARNED - MAX_LEARNED_EACH }, (_, n) => example(`one-${n}`, `text ${n}`))
    const full = createLearnedExamples([...learned.all(), ...many])
    full.add(example('new', 'one more'))
    assert.equal(full.all().length, MAX_LEARNED)
    assert.deepEqual([full.of(key('lamp'))[0], full.of(key('new'))], ['light 4', ['one more']])
  })

  it('are forgotten by capability, by text, or all', () => {
    const learned = createLearnedExamples([
      example('lamp', 'a'),
      example('lamp', 'b'),
      example('radio', 'c'),
      example('fan', 'd')
    ])
    assert.equal(learned.forget({ capability: 'lamp', text: 'c' }).length, 0)
    assert.equal(learned.forget({ capability: 'lamp', text: 'b' }).length, 1)
    assert.deepEqual(learned.of(key('lamp')), ['a'])
    assert.equal(learned.forget({ capability: 'lamp' }).length, 1)
    assert.deepEqual(learned.of(key('lamp')), [])
    assert.equal(learned.forget({}).length, 2)
    assert.deepEqual(learned.all(), [])
  })

  it('are as if only the last of each text had been said, whatever happens', () => {
    const ids = fc.constantFrom('lamp', 'radio', 'fan')
    const texts = fc.constantFrom('a', 'b', 'c', 'd')
    const step = fc.oneof(fc.tuple(ids, texts), fc.record({ capability: ids }, { requiredKeys: [] }))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const learned = createLearnedExamples()
        const model = new Map<string, string>()
        for (const one of steps) {
          if (Array.isArray(one)) {
            learned.add(example(...one))
            model.set(one[1], one[0])
          } else {
            learned.forget(one)
            for (const [text, id] of model) if ((one.capability ?? id) === id) model.delete(text)
          }
        }
        for (const id of ['lamp', 'radio', 'fan'])
          assert.deepEqual(
            [...learned.of(key(id))].sort(),
            [...model]
              .filter(([, of]) => of === id)
              .map(([text]) => text)
              .sort()
          )
      })
    )
  })

  it('are one line of words, not too long', () => {
    assert.equal(exampleText('  turn\n on\tthe   light '), 'turn on the light')
    assert.throws(
      () => exampleText(' \n'),
      (error) => isMeshError(error, 'invalid_argument')
    )
    assert.equal(exampleText('x'.repeat(MAX_EXAMPLE_CHARS)).length, MAX_EXAMPLE_CHARS)
    assert.throws(
      () => exampleText('x'.repeat(MAX_EXAMPLE_CHARS + 1)),
      (error) => isMeshError(error, 'too_large')
    )
  })
})
