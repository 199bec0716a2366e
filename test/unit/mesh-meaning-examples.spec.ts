import assert from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { Offer } from '../../src/core/candidates.ts'
import type { LearnedExample } from '../../src/core/meaning/learned-examples.ts'
import { createMeshMeaning } from '../../src/mesh-meaning.ts'
import type { ExampleStore } from '../../src/mesh-meaning-examples.ts'
import { isMeshError, type ErrorCode } from '../../src/errors.ts'
import { createRandom } from '../../scripts/simulate/random.ts'

const fails = (code: ErrorCode) => (error: unknown) => isMeshError(error, code)
const offer = (nodeName: string, capability: CapabilityDeclaration): Offer => ({
  ...{ node: `peer-${nodeName}`, nodeName, local: false, direct: true, rttMs: 5 },
  ...{ id: capability.id, type: capability.type, capability }
})
const said: [id: string, description: string][] = [
  ['lamp', 'Switches the lamps of the living room'],
  ['radio', 'Plays music in the kitchen'],
  ['heater', 'Warms the rooms of the house'],
  ['blinds', 'Opens and closes the blinds'],
  ['kettle', 'Boils water for tea']
]
const offers = said.map(([id, description]) => offer('a', { id, type: `home/${id}`, description, tools: [{ name: 'use' }] }))

describe('what a node learns of what words mean', () => {
  let meaning: ReturnType<typeof createMeshMeaning>
  let saved: readonly LearnedExample[]
  const begin = (store?: ExampleStore, offered = offers): void => {
    meaning = createMeshMeaning({ offers: () => offered, now: () => performance.now(), random: createRandom(1), examples: store })
  }
  const store = (initial: readonly LearnedExample[] = []): ExampleStore => ({
    initial,
    save: async (examples) => void (saved = [...examples])
  })
  beforeEach(() => {
    saved = []
    begin(store())
  })
  afterEach(() => meaning.stop())
  const best = async (text: string): Promise<string | undefined> => {
    const { outcome, matches } = await meaning.understand(text)
    return outcome === 'one' ? matches[0]?.capability : undefined
  }

  it('counts at the next request, is kept, is there after a restart, and is forgotten when it is to be', async () => {
    const asked = 'I am freezing to death in here'
    assert.equal(await best(asked), undefined)
    assert.deepEqual(await meaning.examples.learn(`  ${asked}\n`, 'heater'), {
      capability: 'heater',
      type: 'home/heater',
      text: asked,
      by: 'person'
    })
    assert.equal(await best(asked), 'heater')
    assert.equal(await best('freezing in here'), 'heater')
    assert.deepEqual(meaning.examples.list(), {
      learns: true,
      examples: saved.map((one) => ({ ...one, by: 'person' as const }))
    })
    meaning.stop()
    begin(store(saved))
    assert.equal(await best(asked), 'heater')
    assert.equal(await meaning.examples.forget({ capability: 'radio' }), 0)
    assert.equal(await meaning.examples.forget({ capability: 'heater' }), 1)
    assert.equal(await best(asked), undefined)
    assert.deepEqual(saved, [])
  })

  it('is nothing where the owner has not said so, and the error says how', async () => {
    meaning.stop()
    begin()
    await assert.rejects(meaning.examples.learn('freezing', 'heater'), (error: Error) => {
      assert.match(error.message, /meaning: \{ learn: true \}/)
      return fails('unsupported')(error)
    })
    await assert.rejects(meaning.examples.forget(), fails('unsupported'))
    assert.deepEqual(meaning.examples.list(), { learns: false, examples: [] })
  })

  it('is of what is there, named as for a call', async () => {
    const two = [...offers, offer('b', { id: 'lamp-2', type: 'home/lamp', tools: [{ name: 'use' }] })]
    meaning.stop()
    begin(store(), two)
    assert.equal((await meaning.examples.learn('bright', 'lamp@a')).capability, 'lamp')
    assert.equal((await meaning.examples.learn('warm', 'home/heater')).capability, 'heater')
    await assert.rejects(meaning.examples.learn('bright', 'home/lamp'), fails('ambiguous'))
    await assert.rejects(meaning.examples.learn('bright', 'lamb'), fails('unknown_capability'))
    await assert.rejects(meaning.examples.learn(' ', 'lamp'), fails('invalid_argument'))
    await assert.rejects(meaning.examples.learn('x'.repeat(2_001), 'lamp'), fails('too_large'))
    assert.deepEqual(
      saved.map(({ text }) => text),
      ['bright', 'warm']
    )
  })
})
