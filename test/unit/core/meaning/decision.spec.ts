import assert from 'node:assert/strict'
import { MIN_LIKELIHOOD, NEARLY, decideMeaning } from '../../../../src/core/meaning/decision.ts'

/** Keys are `type/name`; scores and how likely the best is. */
function decide(scores: Record<string, number>, likelihood: number, alone = ''): string {
  const matches = Object.entries(scores).map(([key, score]) => ({ key, score }))
  const typeOf = (key: string): string => key.split('/')[0]!
  const decided = decideMeaning({ matches, likelihood }, typeOf, (key) => typeOf(key) === alone)
  return [decided.outcome, ...decided.matches.map(({ key }) => key)].join(' ')
}

describe('core: what is meant', () => {
  const [sure, unsure] = [MIN_LIKELIHOOD, MIN_LIKELIHOOD - 0.1]

  it('is one, where it is likely, with those of its type that are as good', () => {
    assert.equal(decide({ 'a/x': 2, 'b/y': 1.9 }, sure), 'one a/x')
    assert.equal(decide({ 'a/x': 2, 'a/y': 2 * NEARLY, 'a/z': 1.5, 'b/y': 1.9 }, sure), 'one a/x a/y')
    assert.equal(decide({ 'a/x': 2, 'a/y': 1.5 }, unsure), 'one a/x')
  })

  it('is unclear, where it is not, and nothing, where nothing is enough', () => {
    assert.equal(decide({ 'a/x': 2, 'b/y': 1.9, 'c/z': 0.9 }, unsure), 'ambiguous a/x b/y')
    assert.equal(decide({ 'a/x': 0.9, 'b/y': 0.8 }, sure), 'none a/x b/y')
    assert.equal(decide({}, 0), 'none')
  })

  it('is one alone of what nothing stands in for, and unclear where another is as good, or it is not likely', () => {
    assert.equal(decide({ 'a/x': 2, 'a/y': 1.5 }, sure, 'a'), 'one a/x')
    assert.equal(decide({ 'a/x': 2, 'a/y': 1.9 }, sure, 'a'), 'ambiguous a/x a/y')
    assert.equal(decide({ 'a/x': 2, 'b/y': 1.9 }, sure, 'a'), 'ambiguous a/x b/y')
    assert.equal(decide({ 'a/x': 2, 'a/y': 1.5 }, unsure, 'a'), 'ambiguous a/x a/y')
    assert.equal(decide({ 'a/x': 2, 'a/y': 0.9 }, unsure, 'a'), 'one a/x')
  })
})
