import assert from 'node:assert/strict'
import { createEffectQueue, type EffectQueue } from '../../src/mesh-effects.ts'

describe('effects of a state machine', () => {
  let done: string[]
  let onEffect: (effect: string) => void
  let effects: EffectQueue<string>
  beforeEach(() => {
    done = []
    onEffect = () => undefined
    effects = createEffectQueue((effect) => {
      done.push(effect)
      onEffect(effect)
    })
  })

  it('are done after it, in order, and what they bring about after them', () => {
    onEffect = (effect) => {
      if (effect === 'a') effects.around(() => effects.push('c'))
    }
    const result = effects.around(() => {
      effects.push('a')
      effects.push('b')
      assert.deepEqual(done, [])
      effects.around(() => effects.push('inner'))
      assert.deepEqual(done, [])
      return 7
    })
    assert.equal(result, 7)
    assert.deepEqual(done, ['a', 'b', 'inner', 'c'])
  })

  it('one that throws keeps no other from being done; the first error comes out', () => {
    onEffect = (effect) => {
      if (effect !== 'b') throw new Error(effect)
    }
    const work = (): void => ['a', 'b', 'c'].forEach((effect) => effects.push(effect))
    assert.throws(() => effects.around(work), /^Error: a$/)
    assert.deepEqual(done, ['a', 'b', 'c'])
    onEffect = () => undefined
    effects.around(() => effects.push('d'))
    assert.deepEqual(done.slice(3), ['d'])
  })

  it('of a machine that throws half way are done as well', () => {
    const work = (): never => {
      effects.push('a')
      throw new Error('half')
    }
    assert.throws(() => effects.around(work), /half/)
    assert.deepEqual(done, ['a'])
  })
})
