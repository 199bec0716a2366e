import assert from 'node:assert/strict'
import { buildLexicalIndex, type MeaningItem } from '../../src/core/meaning/lexical-index.ts'
import { isMeshError } from '../../src/errors.ts'
import { BUILDING_SHARE, MAX_BUILDS_WAITED, createMeaningIndex, type MeaningIndex } from '../../src/mesh-meaning-index.ts'
import { createRandom } from '../../scripts/simulate/random.ts'

const COUNT = 40
const item = (key: string, word: string): MeaningItem => ({ key, description: `the ${word} machine`, examples: [] })
const WORDS = Array.from({ length: COUNT }, (_, n) => `w${String.fromCharCode(97 + (n % 26), 97 + ((n * 7) % 26))}q${n}x`)

describe('the index of what is offered', () => {
  let items: Map<string, MeaningItem>
  let index: MeaningIndex
  let [builds, clock, step] = [0, 0, 1]
  const change = (...changes: (MeaningItem | string)[]): void => {
    items = new Map(items)
    for (const one of changes)
      if (typeof one === 'string') items.delete(one)
      else items.set(one.key, one)
  }
  const first = async (text: string): Promise<string | undefined> => (await index.current()).find(text, 1).matches[0]?.key

  beforeEach(() => {
    ;[builds, clock, step] = [0, 0, 1]
    items = new Map(WORDS.map((word, n) => [`k${n}`, item(`k${n}`, word)]))
    index = createMeaningIndex({
      items: () => items,
      now: () => (clock += step),
      random: createRandom(1),
      build(all, random) {
        builds++
        return buildLexicalIndex(all, random)
      }
    })
  })
  afterEach(() => index.stop())

  it('is built once for all who ask, and not again as long as nothing changes', async () => {
    const [a, b] = await Promise.all([index.current(), index.current()])
    assert.equal(a, b)
    assert.equal(await index.current(), a)
    assert.equal(builds, 1)
  })

  it('takes in a change of one without being built anew, and is asked at once', async () => {
    const before = await index.current()
    change(item('new', 'zebrafish'))
    assert.equal(await first('zebrafish'), 'new')
    change(item('new', 'armadillo'), 'k3')
    assert.equal(await first('armadillo'), 'new')
    assert.notEqual(await first(WORDS[3]!), 'k3')
    assert.equal((await index.current()).size, COUNT)
    assert.equal(await index.current(), before)
    assert.equal(builds, 1)
  })

  it('takes the same words of another object for the same', async () => {
    await index.current()
    items = new Map([...items].map(([key, one]) => [key, structuredClone(one)]))
    const of = await index.current()
    clock += 1e9
    assert.equal(await index.current(), of)
    assert.equal(builds, 1)
  })

  it('is built anew behind the one that answers, once that has become cheap', async () => {
    const before = await index.current()
    const costMs = clock
    change(item('new', 'zebrafish'))
    assert.equal(await index.current(), before)
    assert.equal(builds, 1)
    clock += costMs / BUILDING_SHARE
    assert.equal(await index.current(), before)
    assert.equal(builds, 2)
    while ((await index.current()) === before) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(await first('zebrafish'), 'new')
    clock += 1e9
    await index.current()
    assert.equal(builds, 2)
  })

  it('is built anew and waited for where more than a quarter is new', async () => {
    const before = await index.current()
    change(...Array.from({ length: COUNT / 2 }, (_, n) => item(`n${n}`, `zebra${n}`)))
    assert.notEqual(await index.current(), before)
    assert.equal(builds, 2)
    assert.equal(await first('zebra7'), 'n7')
  })

  it('is of what is there when it is done, whatever changed meanwhile', async () => {
    // A pause after every piece of work.
    step = 10
    const asked = first('zebrafish')
    change(item('new', 'zebrafish'))
    assert.equal(await asked, 'new')
  })

  it('is built one at a time, however often everything changes while it is, and the last one stays', async () => {
    step = 10
    let [running, most] = [0, 0]
    index = createMeaningIndex({
      items: () => items,
      now: () => (clock += step),
      random: createRandom(1),
      *build(all, random) {
        builds++
        most = Math.max(most, ++running)
        // The first is the longest by far.
        for (let n = 0; n < 20 / builds; n++) yield undefined
        const built = yield* buildLexicalIndex(all, random)
        running--
        return built
      }
    })
    const asked: Promise<string | undefined>[] = []
    for (const word of ['zebra', 'walrus', 'ocelot', 'ferret']) {
      change(...WORDS.map((_, n) => item(`k${n}`, word)), item('new', `unicorn ${word}`))
      asked.push(first(`unicorn ${word}`))
      await new Promise((resolve) => setTimeout(resolve))
    }
    assert.equal((await Promise.all(asked)).at(-1), 'new')
    assert.equal(await first('unicorn ferret'), 'new')
    assert.equal(most, 1)
    assert.ok(builds <= 1 + asked.length, `${builds} builds`)
    assert.deepEqual((await index.current()).find('zebra', 3).matches, [])
  })

  it('is known at once when it has been waited for, though changes were still being taken into the one of before', async () => {
    const whole = <T>(work: Generator<undefined, T>): T => {
      for (let step = work.next(); ; step = work.next()) if (step.done === true) return step.value
    }
    index = createMeaningIndex({
      items: () => items,
      now: () => (clock += step),
      random: createRandom(1),
      *build(all, random) {
        return whole(buildLexicalIndex(all, random))
      }
    })
    await index.current()
    // A pause after each change.
    step = 10
    change(...Array.from({ length: COUNT / 5 }, (_, n) => item(`k${n}`, `zebra${n}`)))
    const before = index.current()
    // Most of the mesh is lost.
    change(...[...items.keys()].slice(2))
    const small = await index.current()
    assert.equal(index.peek(), small)
    assert.equal(small.size, 2)
    assert.equal((await before).size, 2)
  })

  it('is not compared again with what is there, however often it is asked for while that is not known', async () => {
    await index.current()
    let compared = 0
    const counting = { ...item('k1', 'zebrafish'), toJSON: () => ++compared }
    change(counting)
    for (let n = 0; n < 1_000; n++) assert.equal(index.peek(), undefined)
    assert.equal(compared, 1)
    await index.current()
    assert.notEqual(index.peek(), undefined)
    // The same words as before, of other objects.
    items = new Map(items)
    assert.notEqual(index.peek(), undefined)
    change('k2')
    assert.equal(index.peek(), undefined)
  })

  it('is waited for through two builds, however much changes in each, and is of what is there then', async () => {
    index = createMeaningIndex({
      items: () => items,
      now: () => (clock += step),
      random: createRandom(1),
      *build(all, random) {
        // It would have ended somewhen, without a bound.
        if (++builds <= 20) change(...WORDS.map((_, n) => item(`k${n}`, `walrus${builds}`)), item('new', `unicorn${builds}`))
        return yield* buildLexicalIndex(all, random)
      }
    })
    const found = (await index.current()).find(`unicorn${MAX_BUILDS_WAITED}`, 1).matches[0]?.key
    assert.deepEqual([found, builds], ['new', MAX_BUILDS_WAITED])
    assert.notEqual(index.peek(), undefined)
  })

  it('is nobody’s once it is stopped', async () => {
    await index.current()
    change('k1')
    const asked = index.current()
    index.stop()
    await assert.rejects(asked, (error) => isMeshError(error, 'cancelled'))
  })
})
