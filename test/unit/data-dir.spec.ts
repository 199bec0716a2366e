import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockDataDir, lockHolder } from '../../src/data-dir-lock.ts'
import {
  createIdentityKey,
  defaultDataDir,
  ensureApiToken,
  identityKeyPath,
  nextIncarnation,
  openDataDir,
  readApiToken,
  readIdentityKey,
  readNodeFile,
  removeNodeFile,
  resolveDataDir,
  writeNodeFile
} from '../../src/data-dir.ts'
import { isMeshError } from '../../src/errors.ts'
import { startChild } from '../fixtures/child.ts'
import { mountTmpfs } from '../fixtures/mount.ts'

const mode = async (path: string) => (await stat(path)).mode & 0o777

describe('data directory', () => {
  let base: string
  let dir: string
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'atmo-dir-'))
    dir = join(base, 'deep', 'data')
    await mkdir(dir, { recursive: true, mode: 0o700 })
  })
  afterEach(() => rm(base, { recursive: true, force: true }))

  describe('path', () => {
    const of = (platform: NodeJS.Platform, env: Record<string, string>) => defaultDataDir({ platform, env, home: '/home/u' })
    it('follows XDG, and ignores a relative path there', () => {
      assert.equal(of('linux', {}), '/home/u/.local/share/atmosphere')
      assert.equal(of('linux', { XDG_DATA_HOME: '/data' }), '/data/atmosphere')
      assert.equal(of('linux', { XDG_DATA_HOME: 'data' }), '/home/u/.local/share/atmosphere')
    })
    it('follows macOS and Windows', () => {
      assert.equal(of('darwin', {}), '/home/u/Library/Application Support/atmosphere')
      assert.match(of('win32', { LOCALAPPDATA: '/local' }), /local.atmosphere$/)
    })
    it('takes the flag before ATMO_DATA_DIR', () => {
      const env = { ATMO_DATA_DIR: '/from/env' }
      assert.equal(resolveDataDir('/flag', { env }), '/flag')
      assert.equal(resolveDataDir(undefined, { env }), '/from/env')
    })
  })

  describe('permissions', () => {
    it('makes it 0700', async () => {
      const fresh = join(base, 'a', 'b')
      const opened = await openDataDir(fresh)
      assert.equal(await mode(fresh), 0o700)
      await opened.release()
    })
    it('tightens a directory of ours that is open to others', async () => {
      await ensureApiToken(dir)
      await chmod(dir, 0o755)
      const opened = await openDataDir(dir)
      assert.equal(await mode(dir), 0o700)
      await opened.release()
    })
    it('refuses a foreign directory that others may write', async () => {
      await writeFile(join(dir, 'letter.txt'), 'x')
      await chmod(dir, 0o777)
      await assert.rejects(
        openDataDir(dir),
        (error) => isMeshError(error, 'invalid_config') && error.message.includes('chmod 700')
      )
    })
    it('says which directory cannot be made', async () => {
      await writeFile(join(base, 'file'), 'x')
      await assert.rejects(
        openDataDir(join(base, 'file', 'data')),
        (error) => isMeshError(error, 'invalid_config') && error.message.includes('ENOTDIR')
      )
    })
  })

  it('makes missing directories, and gives up at once where none can be made', async () => {
    const deep = join(base, 'a', 'b', 'c')
    await (await openDataDir(deep)).release()
    assert.equal(await mode(join(base, 'a')), 0o700)
    if (process.platform !== 'linux') return
    for (const path of ['/proc/foo', '/proc/foo/bar']) {
      await assert.rejects(
        openDataDir(path),
        (error) =>
          isMeshError(error, 'invalid_config') && error.message.startsWith(`cannot use the data directory ${path} (ENOENT)`)
      )
    }
  })

  describe('lock', () => {
    it('refuses a second holder in the same process, and names the process', async () => {
      const opened = await openDataDir(dir)
      await assert.rejects(openDataDir(dir), (error) => isMeshError(error, 'conflict') && error.details['pid'] === process.pid)
      await opened.release()
      await opened.release()
      await (await openDataDir(dir)).release()
    })
    it('refuses a node in another process', async () => {
      const child = startChild('test/fixtures/hold-data-dir.ts', [dir])
      assert.deepEqual(JSON.parse(await child.line()), { held: true })
      await assert.rejects(
        openDataDir(dir),
        (error) => isMeshError(error, 'conflict') && error.details['pid'] === child.process.pid
      )
      child.process.kill('SIGTERM')
      await child.ended
    })
    it('says which command holds it, and has one of its own for changes', async () => {
      const joining = await openDataDir(dir, 'atmo join')
      for (const [what, said] of [
        ['atmo join', /^another atmo join \(process \d+\) is under way on the data directory .*; try again when it has ended$/],
        [undefined, /^atmo join \(process \d+\) is under way/]
      ] as const)
        await assert.rejects(openDataDir(dir, what), (error) => isMeshError(error, 'conflict') && said.test(error.message))
      const change = await lockDataDir(dir, { name: 'change', what: 'atmo leave' })
      await assert.rejects(lockDataDir(dir, { name: 'change', what: 'atmo join' }), /^MeshError: atmo leave \(process/)
      const holder = await lockHolder(dir)
      assert.equal(holder?.what, 'atmo join')
      holder.cancel()
      await change.release()
      await (await lockDataDir(dir, { name: 'change', what: 'atmo join' })).release()
      await joining.release()
    })
    it('says that the file system is read-only, or that it is no directory', async function () {
      const file = join(base, 'no-directory')
      await writeFile(file, '')
      await assert.rejects(openDataDir(file), /the data directory .*no-directory is no directory; choose another/)
      const readOnly = join(base, 'read-only')
      await mkdir(readOnly, { mode: 0o700 })
      mountTmpfs(this, readOnly, 'ro,mode=700')
      try {
        await assert.rejects(openDataDir(readOnly), (error: Error) => {
          assert.equal(error.message, `cannot write to ${readOnly}: the file system is read-only (EROFS)`)
          return true
        })
      } finally {
        spawnSync('umount', ['-l', readOnly])
      }
    })
    it('is free at once after kill -9, and tells who waits', async () => {
      const child = startChild('test/fixtures/hold-data-dir.ts', [dir])
      await child.line()
      const holder = await lockHolder(dir)
      assert.equal(holder?.pid, child.process.pid)
      child.process.kill('SIGKILL')
      await holder?.released
      const opened = await openDataDir(dir)
      assert.deepEqual(
        (await readdir(dir)).filter((name) => name.includes('lock')),
        ['lock.2']
      )
      await opened.release()
      assert.equal(await lockHolder(dir), undefined)
    })
    it('holds while its process is stopped', async () => {
      const child = startChild('test/fixtures/hold-data-dir.ts', [dir])
      await child.line()
      child.process.kill('SIGSTOP')
      await assert.rejects(openDataDir(dir), (error) => isMeshError(error, 'conflict'))
      child.process.kill('SIGKILL')
      await child.ended
    })
    it('lets exactly one of many through, over a stale lock too', async () => {
      await (await openDataDir(dir)).release()
      for (let round = 0; round < 5; round++) {
        const tries = await Promise.allSettled(Array.from({ length: 20 }, () => openDataDir(dir)))
        const held = tries.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
        assert.equal(held.length, 1)
        for (const one of tries) if (one.status === 'rejected') assert.ok(isMeshError(one.reason, 'conflict'), String(one.reason))
        await held[0]!.release()
      }
      assert.equal((await readdir(dir)).filter((name) => name.startsWith('.lock')).length, 0)
    })
    it('works below a path longer than a socket address', async function () {
      if (process.platform !== 'linux') this.skip()
      const deep = join(dir, 'd'.repeat(100), 'e'.repeat(100))
      const opened = await openDataDir(deep)
      await assert.rejects(openDataDir(deep), (error) => isMeshError(error, 'conflict'))
      await opened.release()
    })
  })

  describe('key', () => {
    it('is stored once, 0600, and never overwritten', async () => {
      assert.equal(await readIdentityKey(dir), undefined)
      await createIdentityKey(dir, new Uint8Array([1, 2, 3]))
      assert.equal(await mode(identityKeyPath(dir)), 0o600)
      assert.deepEqual(await readIdentityKey(dir), new Uint8Array([1, 2, 3]))
      await assert.rejects(createIdentityKey(dir, new Uint8Array([9])), (error) => isMeshError(error, 'conflict'))
      assert.deepEqual(await readIdentityKey(dir), new Uint8Array([1, 2, 3]))
    })
    it('is refused when others may read it, or when it is empty', async () => {
      await createIdentityKey(dir, new Uint8Array([1]))
      await chmod(identityKeyPath(dir), 0o644)
      await assert.rejects(
        readIdentityKey(dir),
        (error) => isMeshError(error, 'invalid_config') && error.message.includes('chmod 600')
      )
      await writeFile(identityKeyPath(dir), '')
      await chmod(identityKeyPath(dir), 0o600)
      await assert.rejects(readIdentityKey(dir), (error) => isMeshError(error, 'invalid_config'))
    })
  })

  describe('api token', () => {
    it('has 256 bits, is 0600, stays the same, and differs between directories', async () => {
      const token = await ensureApiToken(dir)
      assert.match(token, /^[A-Za-z0-9_-]{43}$/)
      assert.equal(await mode(join(dir, 'api-token')), 0o600)
      assert.equal(await ensureApiToken(dir), token)
      assert.equal(await readApiToken(dir), token)
      assert.notEqual(await ensureApiToken(base), token)
    })
    it('is made anew when it is damaged', async () => {
      await writeFile(join(dir, 'api-token'), 'short')
      assert.equal(await readApiToken(dir), undefined)
      assert.match(await ensureApiToken(dir), /^[A-Za-z0-9_-]{43}$/)
    })
  })

  it('node.json is written, read and removed; nonsense in it is no node', async () => {
    const info = { pid: 1, api: 'http://127.0.0.1:1', peerId: 'p', startedAt: '2026-01-01T00:00:00.000Z' }
    await writeNodeFile(dir, info)
    assert.equal(await mode(join(dir, 'node.json')), 0o600)
    assert.deepEqual(await readNodeFile(dir), info)
    await writeFile(join(dir, 'node.json'), '{"pid":')
    assert.equal(await readNodeFile(dir), undefined)
    await removeNodeFile(dir)
    await removeNodeFile(dir)
    assert.equal(await readNodeFile(dir), undefined)
  })

  describe('incarnation', () => {
    it('is the Unix time, and grows by one where that does not', async () => {
      assert.deepEqual(await nextIncarnation(dir, 1_800_000_000_999), { value: 1_800_000_000 })
      assert.deepEqual(await nextIncarnation(dir, 1_800_000_000_999), { value: 1_800_000_001 })
      assert.deepEqual(await nextIncarnation(dir, 0), { value: 1_800_000_002 })
      assert.equal(await readFile(join(dir, 'incarnation'), 'utf8'), '1800000002\n')
    })
    it('grows by one without a clock', async () => {
      for (const value of [1, 2]) assert.deepEqual(await nextIncarnation(dir, 0), { value })
    })
    it('is higher than before also where the directory is set back to an older state', async () => {
      await nextIncarnation(dir, 1_800_000_000_000)
      const old = await readFile(join(dir, 'incarnation'))
      const { value } = await nextIncarnation(dir, 1_800_000_010_000)
      await writeFile(join(dir, 'incarnation'), old)
      assert.ok((await nextIncarnation(dir, 1_800_000_020_000)).value > value)
    })
    it('fits into an event, whatever the clock says', async () => {
      assert.ok((await nextIncarnation(dir, 8.64e15)).value < 2 ** 32)
    })
    for (const [what, text] of Object.entries({ empty: '', garbage: '\0\0\0', negative: '-4', huge: '9'.repeat(40) })) {
      it(`goes on from the Unix time, with a warning, when the counter is ${what}`, async () => {
        await writeFile(join(dir, 'incarnation'), text)
        const { value, warning } = await nextIncarnation(dir, 1_800_000_000_000)
        assert.equal(value, 1_800_000_000)
        assert.match(warning ?? '', /damaged/)
        assert.deepEqual(await nextIncarnation(dir, 1_800_000_000_000), { value: 1_800_000_001 })
      })
    }
    it('begins without a warning for a new key', async () => {
      await createIdentityKey(dir, new Uint8Array([1]))
      assert.deepEqual(await nextIncarnation(dir, 0), { value: 1 })
    })
    it('does not start over when the counter is gone but the key is there', async () => {
      await createIdentityKey(dir, new Uint8Array([1]))
      await rm(join(dir, 'incarnation'))
      const { value, warning } = await nextIncarnation(dir, 1_800_000_000_000)
      assert.equal(value, 1_800_000_000)
      assert.match(warning ?? '', /missing/)
    })
  })
})
