import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readSources } from '../fixtures/boundary.ts'
import { bundleForBrowser } from '../fixtures/browser-bundle.ts'

const ROOT = join(import.meta.dirname, '../..')
/** libp2p with gossipsub, noise and yamux is about 750 kB minified; our part on top stays small. */
const MAX_BYTES = 1_500_000

const contents = (text: string): { stdin: { contents: string; resolveDir: string; loader: 'ts' } } => ({
  stdin: { contents: text, resolveDir: ROOT, loader: 'ts' }
})

describe('browser bundle', function () {
  this.timeout(60_000)

  it('reaches nothing of Node from src/browser.ts', async () => {
    // The layers below are checked by themselves until the entry is there.
    const below = readSources(ROOT)
      .filter(({ path }) => /^(protocols|src\/core|src\/calls)\//.test(path))
      .map(({ path }) => `export * as _${path.replaceAll(/\W/g, '_')} from './${path}'`)
      .join('\n')
    const entry = existsSync(join(ROOT, 'src/browser.ts')) ? { entryPoints: ['src/browser.ts'] } : contents(below)
    const { builtins, nodeFiles, bytes, inputs } = await bundleForBrowser(ROOT, entry)
    assert.deepEqual({ builtins, nodeFiles }, { builtins: [], nodeFiles: [] })
    assert.ok(inputs.some((path) => path.startsWith('protocols/')))
    assert.ok(bytes < MAX_BYTES, `${bytes} bytes, the limit is ${MAX_BYTES}`)
  })

  it('would see a builtin, also behind a lazy import', async () => {
    const direct = await bundleForBrowser(ROOT, contents("import { readFileSync } from 'node:fs'; readFileSync('x')"))
    assert.deepEqual(direct.builtins, ['node:fs (<stdin>)'])
    const lazy = await bundleForBrowser(ROOT, contents("export const f = () => import('node:os')"))
    assert.deepEqual(lazy.builtins, ['node:os (<stdin>)'])
  })

  it('would see a builtin inside a package', async () => {
    const { builtins } = await bundleForBrowser(ROOT, contents("export { Client } from '@grpc/grpc-js'"))
    assert.ok(builtins.some((found) => found.startsWith('http2 (node_modules/@grpc/grpc-js')))
  })

  it('would see a Node-only file of ours', async () => {
    const { nodeFiles } = await bundleForBrowser(ROOT, contents("export * from './src/data-dir.ts'"))
    assert.ok(nodeFiles.includes('src/data-dir.ts'))
  })
})
