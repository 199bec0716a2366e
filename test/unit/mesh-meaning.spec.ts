import assert from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { Offer } from '../../src/core/candidates.ts'
import { MAX_ECHO_CHARS, createMeshMeaning } from '../../src/mesh-meaning.ts'
import { isMeshError, type ErrorCode } from '../../src/errors.ts'
import { createRandom } from '../../scripts/simulate/random.ts'

const fails = (code: ErrorCode) => (error: unknown) => isMeshError(error, code)

const offer = (node: string, capability: CapabilityDeclaration, change: Partial<Offer> = {}): Offer => ({
  node: `peer-${node}`,
  nodeName: node,
  local: false,
  direct: true,
  rttMs: 5,
  id: capability.id,
  type: capability.type,
  capability,
  ...change
})
const lamp: CapabilityDeclaration = {
  id: 'lamp',
  type: 'light/lamp',
  description: 'Switches the lamps of the living room',
  tools: [{ name: 'set', description: 'Turns the light on or off' }],
  examples: ['turn on the light', 'make it dark in here', 'switch off the lamp']
}
const radio: CapabilityDeclaration = {
  id: 'radio',
  type: 'audio/radio',
  name: 'Kitchen radio',
  description: 'Plays music',
  tools: [{ name: 'play' }],
  examples: ['play some jazz', 'louder please', 'next song']
}
const keeper: CapabilityDeclaration = {
  id: 'keeper',
  type: 'agent/house',
  description: 'Keeps the house warm and the light as it should be',
  tools: [{ name: 'ask' }],
  examples: ['is it warm enough', 'who left the light on']
}

describe('what words mean to a node', () => {
  let offers: Offer[]
  let meaning: ReturnType<typeof createMeshMeaning>
  beforeEach(() => {
    offers = [offer('a', lamp), offer('b', lamp), offer('b', radio), offer('c', keeper)]
    meaning = createMeshMeaning({ offers: () => offers, now: () => performance.now(), random: createRandom(1) })
  })
  afterEach(() => meaning.stop())

  it('is a capability, wherever it is, with all nodes that have it', async () => {
    const { outcome, matches, likelihood } = await meaning.understand('turn the light on')
    assert.equal(outcome, 'one')
    const [{ capability, type, name, description, nodes, score } = assert.fail('nothing'), ...others] = matches
    assert.deepEqual(
      [capability, type, name, description, nodes, others],
      ['lamp', 'light/lamp', 'lamp', 'Switches the lamps of the living room', ['a', 'b'], []]
    )
    assert.ok(score > 1 && likelihood > 0 && likelihood <= 1)
  })

  it('is one of those with a tool, or of a type, where that is asked for', async () => {
    const asked = await meaning.understand('who left the light on', { tool: 'ask' })
    assert.deepEqual([asked.outcome, asked.matches.map(({ capability }) => capability)], ['one', ['keeper']])
    const typed = await meaning.understand('turn the light on', { type: 'audio/*' })
    assert.ok(typed.matches.every(({ capability }) => capability === 'radio'))
  })

  it('is one agent, never another of its type, and unclear where several may be', async () => {
    const house = (id: string, ...examples: string[]): Offer => offer(id, { ...keeper, id, description: id, examples })
    offers = [
      house('gardener', 'water the plants', 'mow the lawn', 'cut the hedge'),
      house('cook', 'bake a cake', 'make some soup', 'what is for dinner'),
      house('guard', 'lock the doors', 'who is at the door', 'is the alarm on')
    ]
    const one = await meaning.understand('water the plants and mow the lawn', { tool: 'ask' })
    assert.deepEqual([one.outcome, one.matches.map(({ capability }) => capability)], ['one', ['gardener']])
    offers = ['attic', 'bath', 'kitchen'].map((room) =>
      house(room, `is it warm in the ${room}`, `air the ${room}`, `who is in the ${room}`)
    )
    const several = await meaning.understand('heat the attic or the bath', { tool: 'ask' })
    assert.deepEqual(
      [several.outcome, several.matches.map(({ capability }) => capability).sort()],
      ['ambiguous', ['attic', 'bath']]
    )
  })

  it('is nothing where nothing fits, and words there must be', async () => {
    const { outcome, matches } = await meaning.understand('żółw')
    assert.deepEqual([outcome, matches], ['none', []])
    await assert.rejects(meaning.understand('  '), fails('invalid_argument'))
  })

  it('says no more of a request again than its beginning, and how long it was', async () => {
    const short = await meaning.understand('turn the light on')
    assert.deepEqual([short.text, short.characters], ['turn the light on', 17])
    // A character of two code units at the place of the cut is left out whole.
    const request = `${'turn the light on '.padEnd(MAX_ECHO_CHARS - 1, '.')}💡${'.'.repeat(5_000)}`
    const long = await meaning.understand(request)
    assert.deepEqual([long.text, long.characters], [request.slice(0, MAX_ECHO_CHARS - 1), request.length])
  })

  it('follows what comes, changes and goes, and nothing else', async () => {
    const first = async (): Promise<string | undefined> => (await meaning.understand('play some jazz')).matches[0]?.capability
    assert.equal(await first(), 'radio')
    offers = offers.filter(({ id }) => id !== 'radio')
    assert.notEqual(await first(), 'radio')
    offers = [...offers, offer('d', { ...radio, id: 'player' })]
    assert.equal(await first(), 'player')
  })

  it('is whoever of some handlers is meant by what an event says, on all nodes, once that is known', async () => {
    const { events } = meaning
    const handler = (node: string, { id, type }: CapabilityDeclaration) => ({ node, capability: id, type, healthy: true })
    const all = [handler('peer-a', lamp), handler('peer-b', lamp), handler('peer-b', radio), handler('peer-c', keeper)]
    assert.equal(events.among('turn the light on', all), undefined)
    await events.ready()
    assert.deepEqual(events.among('turn the light on', all), all.slice(0, 2))
    assert.deepEqual(events.among('turn the light on', all.slice(2, 3)), [])
    assert.deepEqual(events.among('żółw', all), [])
    // The same words in a new list are known; others are not.
    offers = [...offers]
    assert.deepEqual(events.among('play some jazz', all), [all[2]])
    offers = [...offers, offer('d', { ...radio, id: 'player' })]
    assert.equal(events.among('play some jazz', all), undefined)
  })

  it('is not what is blocked', async () => {
    offers = [offer('a', lamp, { blocked: true }), offer('b', radio)]
    assert.deepEqual(
      (await meaning.understand('turn the light on')).matches.filter(({ capability }) => capability === 'lamp'),
      []
    )
  })

  it('is waited for by all who ask at once, each as long as it wants, and by nobody once the node stops', async () => {
    offers = Array.from({ length: 300 }, (_, n) =>
      offer('x', { ...radio, id: `radio-${n}`, type: `audio/r${n}`, examples: ['play', 'stop', `station ${n}`] })
    )
    const gone = new AbortController()
    const asked = ['play', 'stop'].map((text) => meaning.understand(text))
    const left = meaning.understand('play', { signal: gone.signal })
    gone.abort()
    await assert.rejects(left, fails('cancelled'))
    assert.equal((await Promise.all(asked)).length, 2)
    offers = offers.slice(1)
    const last = meaning.understand('play')
    meaning.stop()
    await assert.rejects(last, fails('cancelled'))
  })
})
