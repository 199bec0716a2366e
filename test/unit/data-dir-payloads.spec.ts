import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MAX_PAYLOAD_PART } from '../../protocols/trigger/messages.ts'
import { openPayloadFiles } from '../../src/data-dir-payloads.ts'
import { isMeshError } from '../../src/errors.ts'
import { createPayloadKeeper } from '../../src/triggers/payload-keeper.ts'
import { MAX_PAYLOAD_MEMORY, createPayloadMemory, joined, type PayloadStore } from '../../src/triggers/payload-store.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { mountTmpfs } from '../fixtures/mount.ts'

const bytes = new Uint8Array(MAX_PAYLOAD_PART * 2 + 7).fill(7)

describe('payloads that are kept', () => {
  let base: string
  let dir: string
  let troubles: string[]
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'atmo-payloads-'))
    dir = join(base, 'payloads')
    troubles = []
  })
  afterEach(() => rm(base, { recursive: true, force: true }))
  const files = (): Promise<PayloadStore> => openPayloadFiles(dir, (message) => troubles.push(message))
  const unavailable = (error: unknown): boolean => isMeshError(error, 'unavailable')

  for (const [what, make] of [
    ['files', files],
    ['memory', async () => createPayloadMemory()]
  ] as const) {
    it(`${what}: are read as they were written, and are gone when deleted`, async () => {
      const store = await make()
      await store.write('a-1', [bytes.subarray(0, 9), bytes.subarray(9)])
      const sizes: number[] = []
      for await (const part of store.read('a-1')) sizes.push(part.length)
      assert.ok(sizes.every((size) => size <= MAX_PAYLOAD_PART))
      assert.deepEqual(await joined(store.read('a-1')), bytes)
      await store.delete('a-1')
      await store.delete('a-1')
      await assert.rejects(joined(store.read('a-1')), unavailable)
    })

    it(`${what}: what fails on its way is not there`, async () => {
      const store = await make()
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield bytes
        throw new Error('gone')
      }
      await assert.rejects(store.write('a', broken()), /gone/)
      await assert.rejects(joined(store.read('a')), unavailable)
      if (what === 'files') assert.deepEqual(await readdir(dir), [])
    })
  }

  it('are there after a restart, for the owner alone; what is half written is not', async () => {
    await (await files()).write('a', [bytes])
    await writeFile(join(dir, 'b.tmp'), 'half')
    assert.equal((await stat(join(dir, 'a'))).mode & 0o777, 0o600)
    const again = await files()
    assert.deepEqual([[...again.initial], await readdir(dir), troubles], [[['a', bytes.length]], ['a'], []])
  })

  it('a directory that cannot be one is told, and what cannot be written is unavailable', async () => {
    await writeFile(dir, 'no directory')
    const store = await files()
    assert.match(troubles[0]!, /cannot read .*ENOTDIR/)
    await assert.rejects(
      store.write('a', [bytes]),
      (error) => isMeshError(error, 'unavailable') && error.details['reason'] === 'not_kept'
    )
  })

  describe('by their source', () => {
    const ref = (hash: string, size = bytes.length) => ({ hash, size })
    const names = (): Promise<string[]> => readdir(dir).catch(() => [])

    it('one of two events is over: it stays for the other, and goes with that', async () => {
      const keeper = createPayloadKeeper(await files(), () => undefined)
      assert.ok(keeper.hold('1', ref('aa'), bytes) && keeper.hold('2', ref('aa'), bytes))
      assert.deepEqual(await joined(keeper.own('aa')), bytes, 'also before it is written')
      await keeper.written('2')
      keeper.release('1')
      assert.deepEqual(await joined(keeper.own('aa')), bytes)
      keeper.release('2')
      await assert.rejects(joined(keeper.own('aa')), unavailable)
      await until(async () => (await names()).length === 0, 'the file is gone')
    })

    it('one that comes again at once is there', async () => {
      const keeper = createPayloadKeeper(await files(), () => undefined)
      keeper.hold('1', ref('aa'), bytes)
      keeper.release('1')
      keeper.hold('2', ref('aa'), bytes)
      await keeper.written('2')
      assert.deepEqual([await names(), await joined(keeper.own('aa'))], [['aa'], bytes])
    })

    it('after a restart those of kept events are there, others go, and a damaged one is none', async () => {
      await mkdir(dir)
      for (const [name, size] of [
        ['aa', 5],
        ['bb', 5],
        ['cc', 4]
      ] as const)
        await writeFile(join(dir, name), 'x'.repeat(size))
      const keeper = createPayloadKeeper(await files(), () => undefined)
      assert.deepEqual(
        [keeper.restore('1', ref('aa', 5)), keeper.restore('2', ref('cc', 5)), keeper.restore('3', ref('dd', 5))],
        [true, false, false]
      )
      keeper.tidy()
      await until(async () => (await names()).length === 1, 'the others are gone')
      assert.equal((await joined(keeper.own('aa'))).length, 5)
    })

    it('one that a full disk has no room for goes out from memory, and is on disk once there is room', async function () {
      await mkdir(dir)
      mountTmpfs(this, dir, 'size=256k,mode=700')
      try {
        await writeFile(join(dir, '.filler'), new Uint8Array(512 * 1024)).catch(() => undefined)
        const keeper = createPayloadKeeper(await files(), () => undefined)
        assert.ok(keeper.hold('1', ref('aa'), bytes))
        await assert.rejects(keeper.written('1'), unavailable)
        assert.deepEqual(await joined(keeper.own('aa')), bytes)
        assert.deepEqual(await names(), ['.filler'], 'nothing half written is left')
        await rm(join(dir, '.filler'))
        await until(async () => (await names()).includes('aa'), 'it is written by itself', 20_000)
        await keeper.written('1')
        assert.deepEqual(await joined(keeper.own('aa')), bytes)
        const again = createPayloadKeeper(await files(), () => undefined)
        assert.ok(again.restore('1', ref('aa')))
        keeper.stop()
      } finally {
        spawnSync('umount', [dir])
      }
    })

    it('one whose event is over meanwhile is not tried again, others are', async () => {
      const tried: string[] = []
      let isFull = true
      const store: PayloadStore = {
        ...createPayloadMemory(),
        write(name) {
          tried.push(name)
          return isFull ? Promise.reject(new Error('full')) : Promise.resolve()
        }
      }
      const keeper = createPayloadKeeper(store, () => undefined)
      for (const hash of ['aa', 'bb']) keeper.hold(hash, ref(hash), bytes)
      for (const hash of ['aa', 'bb']) await assert.rejects(keeper.written(hash))
      keeper.release('aa')
      isFull = false
      await until(() => tried.length > 2, 'it is tried again', 20_000)
      await keeper.written('bb')
      assert.deepEqual(tried, ['aa', 'bb', 'bb'])
      keeper.stop()
    })

    it('past its room one is refused: of all, and of what is not on disk yet', async () => {
      const memory = createPayloadKeeper(createPayloadMemory(2 * bytes.length), () => undefined)
      assert.ok(memory.hold('1', ref('aa'), bytes) && memory.hold('2', ref('bb'), bytes))
      assert.equal(memory.hold('3', ref('cc'), bytes), false)
      memory.release('1')
      assert.ok(memory.hold('3', ref('cc'), bytes))
      await writeFile(dir, 'no directory')
      const broken = createPayloadKeeper(await files(), () => undefined)
      const half = MAX_PAYLOAD_MEMORY / 2
      assert.ok(broken.hold('1', ref('aa', half), bytes) && broken.hold('2', ref('bb', half), bytes))
      await assert.rejects(broken.written('1'), unavailable)
      assert.deepEqual(await joined(broken.own('aa')), bytes, 'it goes out all the same')
      assert.equal(broken.hold('3', ref('cc'), bytes), false)
      broken.release('1')
      assert.ok(broken.hold('3', ref('cc'), bytes))
    })
  })
})
