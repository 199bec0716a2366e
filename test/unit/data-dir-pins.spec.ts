import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPins } from '../../src/core/pins.ts'
import { openPinFile } from '../../src/data-dir-pins.ts'

const ORIGIN = '12D3KooWKitchen'

describe('pins in the data directory', () => {
  let dir: string
  let file: string
  let troubles: string[]
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-pins-'))
    file = join(dir, 'pins.json')
    troubles = []
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  async function opened() {
    const store = await openPinFile(dir, (message) => troubles.push(message))
    const pins = createPins(store.initial, () => store.changed(() => pins.stored()))
    return { pins, store }
  }
  const say = (description: string) => ({ id: 'lamp', type: 'home/lamp', description, tools: [{ name: 'on' }] })

  it('are there again after a restart, what was seen as well, for the owner alone', async () => {
    const first = await opened()
    first.pins.see(ORIGIN, say('A lamp.'), 't0')
    first.pins.see(ORIGIN, say('Another.'), 't1')
    await first.store.flush()
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    const second = await opened()
    assert.equal(second.pins.see(ORIGIN, say('Another.'), 't2'), false, 'no news')
    const changed = second.pins.changed(ORIGIN, 'lamp')
    assert.deepEqual(
      [changed?.since, changed?.capability],
      ['t1', [{ what: 'description', before: 'A lamp.', after: 'Another.' }]]
    )
    second.pins.accept(ORIGIN, 'lamp')
    await second.store.flush()
    const third = await opened()
    third.pins.see(ORIGIN, say('Another.'), 't3')
    assert.equal(third.pins.changed(ORIGIN, 'lamp'), undefined)
    assert.deepEqual(troubles, [])
  })

  it('a file that is damaged, or holds something else, is told, set aside, and begun anew', async () => {
    const hash = 'a'.repeat(64)
    const pin = { origin: ORIGIN, id: 'lamp', pinned: { hash } }
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '{"format":2,"pins":[],"full":[]}',
      '{"format":1,"pins":{},"full":[]}',
      '{"format":1,"pins":[],"full":[7]}',
      ...[
        { ...pin, id: 7 },
        { ...pin, pinned: undefined },
        { ...pin, pinned: { hash: 'short' } },
        { ...pin, pinned: { hash, details: { parts: [], text: '' } } },
        { ...pin, pinned: { hash, details: { parts: [], text: '', tools: [{ name: 'x', parts: [1], text: '' }] } } },
        { ...pin, seen: { hash } },
        { ...pin, seen: null }
      ].map((bad) => JSON.stringify({ format: 1, pins: [bad], full: [] }))
    ]) {
      troubles = []
      await writeFile(file, text)
      const { pins, store } = await opened()
      assert.deepEqual([pins.size, troubles.length], [0, 1], text)
      assert.match(troubles[0]!, /cannot read the pinned descriptors.*pins\.damaged\.json.*trusted anew/)
      assert.equal(await readFile(join(dir, 'pins.damaged.json'), 'utf8'), text)
      pins.see(ORIGIN, say('A lamp.'), 't0')
      await store.flush()
      assert.equal((await opened()).pins.size, 1)
    }
    await writeFile(file, JSON.stringify({ format: 1, pins: [pin], full: [ORIGIN] }))
    assert.equal((await opened()).pins.size, 1, 'a good one is read')
  })

  it('says once that it cannot write, and leaves no half file', async function () {
    if (process.getuid?.() === 0) await rm(dir, { recursive: true })
    else await chmod(dir, 0o500)
    const { pins, store } = await opened()
    pins.see(ORIGIN, say('A lamp.'), 't0')
    await store.flush()
    await store.flush()
    assert.equal(troubles.length, 1)
    assert.match(troubles[0]!, /cannot write .*pins\.json \((ENOENT|EACCES)\)/)
    if (process.getuid?.() === 0) return
    await chmod(dir, 0o700)
    await store.flush()
    assert.deepEqual(await readdir(dir), ['pins.json'])
  })
})
