import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { buildSync } from 'esbuild'
import { BUNDLED, forgetOld, hashedSources, programOf } from '../fixtures/bundle.ts'

const LONG_AGO = new Date(0)

/** What tests run instead of the sources must be made of these as they are now. */
describe('the bundle of the programs that tests start', () => {
  it('is made anew after a change of anything that it is made of', () => {
    const { metafile } = buildSync({ ...BUNDLED, outdir: 'unused', write: false, metafile: true })
    const own = Object.keys(metafile.inputs).filter((name) => !/(^|[/:])node_modules\//.test(name))
    assert.ok(own.includes('src/cli/main.ts') && own.length > 300, `${own.length} files`)
    const hashed = new Set(hashedSources())
    assert.deepEqual(
      own.filter((name) => !hashed.has(name)),
      []
    )
  })

  it('is removed once nobody has used it for long, also where another removes it at the same time', () => {
    const folder = mkdtempSync(join(tmpdir(), 'atmo-bundles-'))
    const [old, young, gone] = ['old', 'young', 'gone'].map((name) => join(folder, name)) as [string, string, string]
    try {
      for (const path of [old, young]) mkdirSync(path)
      utimesSync(old, LONG_AGO, LONG_AGO)
      // Listed, and not there when it is looked at.
      symlinkSync(join(folder, 'nowhere'), gone)
      forgetOld(folder)
      assert.deepEqual([existsSync(old), existsSync(young)], [false, true])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('is in use as long as its programs are started', () => {
    const made = dirname(dirname(dirname(programOf('src/cli/main.ts')[0]!)))
    utimesSync(made, LONG_AGO, LONG_AGO)
    programOf('src/cli/main.ts')
    assert.ok(Date.now() - statSync(made).mtimeMs < 60_000)
  })
})
