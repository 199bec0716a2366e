import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openExampleFile } from '../../src/data-dir-examples.ts'

const LIGHT = { capability: 'lamp', type: 'light/lamp', text: 'make it bright' }

describe('learned examples in the data directory', () => {
  let dir: string
  let file: string
  let troubles: string[]
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-examples-'))
    file = join(dir, 'examples.json')
    troubles = []
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))
  const opened = () => openExampleFile(dir, (message) => troubles.push(message))

  it('are there again after a restart, the last that was saved, for the owner alone', async () => {
    const store = await opened()
    assert.deepEqual(store.initial, [])
    await Promise.all([store.save([LIGHT]), store.save([LIGHT, { ...LIGHT, text: 'more light' }])])
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.deepEqual((await opened()).initial, [LIGHT, { ...LIGHT, text: 'more light' }])
    assert.deepEqual([await readdir(dir), troubles], [['examples.json'], []])
  })

  it('a file that is damaged, or holds something else, is told, set aside, and begun anew', async () => {
    const others = [
      '{',
      'null',
      '[]',
      '{"format":2,"examples":[]}',
      '{"format":1,"examples":[{"capability":"lamp"}]}',
      '{"format":1,"examples":[null]}'
    ]
    for (const text of others) {
      await writeFile(file, text)
      assert.deepEqual((await opened()).initial, [], text)
      assert.equal(await readFile(join(dir, 'examples.damaged.json'), 'utf8'), text)
    }
    assert.equal(troubles.length, others.length)
    assert.match(
      troubles[0]!,
      /^cannot read the learned examples in .*examples\.json .*; it is now .*examples\.damaged\.json: what words mean is learned anew$/
    )
  })

  it('that cannot be written are told, and kept in memory', async () => {
    const store = await opened()
    await mkdir(file)
    await store.save([LIGHT])
    assert.match(troubles[0]!, /^cannot write .*examples\.json \(E[A-Z]+\): what was learned is forgotten at the next start$/)
  })
})
