import assert from 'node:assert/strict'
import { buildSync } from 'esbuild'
import { BUNDLED, hashedSources } from '../fixtures/bundle.ts'

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
})
