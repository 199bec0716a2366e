import assert from 'node:assert/strict'
import { mkdtemp, open, readFile, readdir, rm, writeFile, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openChainLog } from '../../src/data-dir-chain-writer.ts'
import { createPrivate, writeAtomic } from '../../src/data-dir-files.ts'
import { replaceMesh } from '../../src/data-dir-mesh.ts'
import { foundMesh } from '../../src/trust/mesh-state.ts'

/** What is on disk after a power cut: names that are not flushed with their directory may be the old ones. */
describe('files of the data directory, at a power cut', () => {
  let dir: string
  let file: string
  let handles: FileHandle
  let sync: FileHandle['sync']
  /** Content of the file, if any, whenever its directory was flushed. */
  let flushed: (string | undefined)[]
  /** What flushing the directory ends with. */
  let failure: string | undefined
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-files-'))
    file = join(dir, 'mesh.json')
    flushed = []
    failure = undefined
    const probe = await open(dir, 'r')
    handles = Object.getPrototypeOf(probe) as FileHandle
    await probe.close()
    sync = handles.sync
    handles.sync = async function (this: FileHandle) {
      if (!(await this.stat()).isDirectory()) return sync.call(this)
      flushed.push(await readFile(file, 'utf8').catch(() => undefined))
      if (failure !== undefined) throw Object.assign(new Error(failure), { code: failure })
      return sync.call(this)
    }
  })
  afterEach(async () => {
    handles.sync = sync
    await rm(dir, { recursive: true, force: true })
  })

  it('have their new names, not their content alone', async () => {
    await writeFile(file, 'old')
    await writeAtomic(file, 'new')
    assert.deepEqual(flushed, ['new'])
    assert.equal(await createPrivate(file, 'other'), false)
    await rm(file)
    assert.equal(await createPrivate(file, 'key'), true)
    assert.equal(flushed.at(-1), 'key')
    assert.deepEqual(await readdir(dir), ['mesh.json'])
  })

  it('and so has the head of a log, by the same flush', async () => {
    file = join(dir, 'log.head')
    const log = await openChainLog({ dir, name: 'log', now: () => new Date(0), onTrouble: assert.fail })
    log.append({ at: '', event: 'first' })
    await log.flush()
    assert.ok(flushed.length >= 2 && flushed.length === new Set(flushed).size, 'one flush for each head')
    assert.equal(flushed.at(-1), await readFile(file, 'utf8'))
  })

  for (const code of ['EISDIR', 'EPERM', 'EINVAL'])
    it(`are written where a directory cannot be flushed (${code})`, async () => {
      failure = code
      await writeAtomic(file, 'new')
      assert.equal(await readFile(file, 'utf8'), 'new')
    })

  it('are not called written where the disk fails, and the mesh that was there is not lost', async () => {
    const [old, next] = [await foundMesh('old'), await foundMesh('next')]
    await replaceMesh(dir, old)
    failure = 'EIO'
    await assert.rejects(writeAtomic(join(dir, 'x'), 'new'), { code: 'EIO' })
    await assert.rejects(replaceMesh(dir, next), { code: 'unavailable' })
    const kept = await Promise.all((await readdir(dir)).map((name) => readFile(join(dir, name), 'utf8')))
    assert.ok(kept.some((text) => text.includes(old.mesh)))
  })
})
