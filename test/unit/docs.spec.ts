import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readSources } from '../fixtures/boundary.ts'
import { brokenLinks, markdownFiles, undocumentedExports } from '../fixtures/documentation.ts'

const ROOT = join(import.meta.dirname, '../..')

describe('docs', () => {
  it('describe every export of src and protocols', () => {
    const missing = readSources(ROOT).flatMap(undocumentedExports)
    assert.equal(missing.length, 0, `\n${missing.join('\n')}\n`)
  })

  it('have no relative link that leads nowhere', () => {
    const files = markdownFiles(ROOT)
    assert.ok(files.includes('README.md') || files.includes('CONTRIBUTING.md'))
    const broken = files.flatMap((path) => brokenLinks(ROOT, path))
    assert.equal(broken.length, 0, `\n${broken.join('\n')}\n`)
  })

  it('would see an export without a comment', () => {
    const text = `
      /** Known. */
      export const a = 1
      export const b = 2
      /** */
      export function c() {}
      /** One comment for the overloads. */
      export function d(x: string): void
      export function d(x: unknown) {}
      const hidden = 3
      export type { E } from './e.ts'
    `
    assert.deepEqual(undocumentedExports({ path: 'x.ts', text }), ['x.ts:4 b', 'x.ts:6 c'])
  })

  it('would see a broken link, and lets good ones pass', () => {
    const folder = mkdtempSync(join(tmpdir(), 'atmo-docs-'))
    try {
      writeFileSync(join(folder, 'b.md'), '# One heading\n## With `code` & more\n')
      const good =
        '[b](b.md) [h](b.md#one-heading) [c](./b.md#with-code--more) [web](https://example.org/x) [self](#top)\n# Top\n'
      const bad = '[x](gone.md) [y](b.md#no-such) `[code](gone2.md)`\n```\n[code](gone3.md)\n```\n[ref]: gone4.md\n'
      writeFileSync(join(folder, 'a.md'), good + bad)
      assert.deepEqual(brokenLinks(folder, 'a.md'), ['a.md -> gone.md', 'a.md -> b.md#no-such', 'a.md -> gone4.md'])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
