import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mochaGlobalSetup } from '../fixtures/build-first.ts'
import { readBuildInfo } from '../fixtures/built.ts'

describe('the command that tests run as it is installed', () => {
  let folder: string
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'atmo-built-'))))
  afterEach(() => rmSync(folder, { recursive: true }))

  it('is built anew where what the compiler left is only half there', () => {
    const file = join(folder, 'info')
    for (const [text, want] of [
      ['{"fileNames":[],"fileInfos":[]}', { fileNames: [], fileInfos: [] }],
      ['{"fileNames":[],"fileIn', undefined],
      ['', undefined]
    ] as const) {
      writeFileSync(file, text)
      assert.deepEqual(readBuildInfo(file), want)
    }
    assert.equal(readBuildInfo(join(folder, 'nowhere')), undefined)
  })

  it('is built before the first of several processes runs tests', () => {
    const require = createRequire(import.meta.url)
    const FIRST = './test/fixtures/build-first.ts'
    const parts = require('../../.mocharc.parts.cjs') as { parallel: boolean; require: string[] }
    assert.deepEqual([parts.parallel, parts.require], [true, [FIRST]])
    const { scripts } = require('../../package.json') as { scripts: Record<string, string> }
    const parallel = Object.values(scripts).filter((script) => script.includes('--parallel'))
    assert.equal(parallel.length, 1)
    for (const script of parallel) assert.ok(script.includes(` --require ${FIRST} `), script)
    assert.equal(typeof mochaGlobalSetup, 'function')
  })
})
