import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, open, readFile, readdir, rm, stat, unlink, writeFile, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject } from '../../protocols/json.ts'
import { COMPACT_BYTES, openEventLog, type EventLogFile } from '../../src/data-dir-event-log.ts'
import { isMeshError } from '../../src/errors.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { mountTmpfs } from '../fixtures/mount.ts'

const isNotKept = (error: unknown): boolean => isMeshError(error, 'unavailable') && error.details['reason'] === 'not_kept'

const MIB = 1024 * 1024

describe('a log of records as a file', () => {
  let dir: string
  let path: string
  let live: JsonObject[]
  const logs: EventLogFile[] = []
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-log-'))
    ;[path, live] = [join(dir, 'events-out.log'), []]
  })
  afterEach(async () => {
    await Promise.all(logs.splice(0).map((log) => log.close()))
    await rm(dir, { recursive: true, force: true })
  })
  const opened = async (fullBytes?: number): Promise<EventLogFile> => {
    const log = await openEventLog(path, (message) => assert.fail(message), fullBytes)
    logs.push(log)
    log.onCompact(() => live)
    return log
  }
  /** Its owner knows it, then it is written. */
  const add = (log: EventLogFile, record: JsonObject, flush?: boolean): Promise<void> => {
    live.push(record)
    return log.append(record, flush)
  }
  const written = async (): Promise<JsonObject[]> =>
    (await readFile(path, 'utf8').catch(() => ''))
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line.slice(9)) as JsonObject)

  describe('what it costs', () => {
    let prototype: FileHandle
    let calls: string[]
    let restore: () => void
    beforeEach(async () => {
      const probe = await open(join(dir, 'probe'), 'w')
      prototype = Object.getPrototypeOf(probe) as FileHandle
      await probe.close()
      calls = []
      const { write, datasync } = prototype
      restore = () => Object.assign(prototype, { write, datasync })
      prototype.write = function (this: FileHandle, ...args: unknown[]) {
        calls.push('write')
        return (write as (...all: unknown[]) => unknown).apply(this, args)
      } as FileHandle['write']
      prototype.datasync = function (this: FileHandle) {
        calls.push('flush')
        return datasync.call(this)
      }
    })
    afterEach(() => restore())

    it('is one write and one flush for all of one turn', async () => {
      const log = await opened()
      await Promise.all(Array.from({ length: 200 }, (_, n) => log.append({ n }, n % 2 === 0)))
      assert.deepEqual(calls, ['write', 'flush'])
    })

    it('is no flush for what a power cut may lose, and one for all before what it may not', async () => {
      const log = await opened()
      await log.append({ n: 1 }, false)
      await log.append({ n: 2 }, false)
      assert.deepEqual(calls, ['write', 'write'])
      await log.append({ n: 3 })
      assert.deepEqual(calls, ['write', 'write', 'write', 'flush'])
      assert.deepEqual(await written(), [{ n: 1 }, { n: 2 }, { n: 3 }])
    })

    it('of what comes while it writes is one more of both', async () => {
      const log = await opened()
      const first = log.append({ n: 0 })
      await until(() => calls.length > 0, 'it writes', 5_000)
      await Promise.all([first, ...Array.from({ length: 50 }, (_, n) => log.append({ n }))])
      assert.deepEqual(calls, ['write', 'flush', 'write', 'flush'])
    })
  })

  it('takes nothing any more once it is closed', async () => {
    const log = await opened()
    await log.append({ n: 1 })
    await log.close()
    await assert.rejects(log.append({ n: 2 }), isNotKept)
    assert.deepEqual(await written(), [{ n: 1 }])
  })

  it('that could not be written is written when that is possible, though nothing else comes', async () => {
    path = join(dir, 'later', 'events.log')
    const log = await opened()
    await assert.rejects(add(log, { n: 1 }), isNotKept)
    await mkdir(join(dir, 'later'))
    await until(async () => (await written()).length > 0, 'it is written by itself', 20_000)
    assert.deepEqual(await written(), live)
    await add(log, { n: 2 })
    assert.deepEqual(await written(), live)
  })

  it('that is full takes no more, says so, and is written when there is less to keep', async () => {
    const log = await opened(MIB)
    const text = 'x'.repeat(300 * 1024)
    for (let n = 0; n < 3; n++) await add(log, { n, text })
    await assert.rejects(add(log, { n: 3, text }), isNotKept)
    assert.deepEqual((await written()).length, 3)
    assert.ok((await stat(path)).size <= MIB)
    live.shift()
    await until(async () => (await written())[0]?.['n'] === 1, 'it is written by itself', 20_000)
    assert.deepEqual(await written(), live)
    await add(log, { n: 4 })
    assert.deepEqual(await written(), live)
  })

  it('of which more is to be kept than it holds stays as it is', async () => {
    const log = await opened(MIB)
    const text = 'x'.repeat(300 * 1024)
    await add(log, { n: 0, text })
    const all = [1, 2, 3, 4].map((n) => add(log, { n, text }))
    await Promise.all(all.map((one) => assert.rejects(one, isNotKept)))
    await log.close()
    assert.deepEqual(
      (await written()).map(({ n }) => n),
      [0]
    )
  })

  it('is written anew before it is full, however much of it is to be kept', async () => {
    const log = await opened(12 * MIB)
    await add(log, { text: 'x'.repeat(5 * MIB) })
    for (let n = 0; n < 20; n++) {
      await log.append({ n, text: 'y'.repeat(MIB) })
      assert.ok((await stat(path)).size <= 10.1 * MIB)
    }
    await add(log, { text: 'x'.repeat(4.5 * MIB) })
    for (let n = 0; n < 3; n++) await log.append({ n, text: 'y'.repeat(MIB) })
  })

  it('that could not be written is tried once more at its end', async () => {
    path = join(dir, 'later', 'events.log')
    const log = await opened()
    await assert.rejects(add(log, { n: 1 }), isNotKept)
    await mkdir(join(dir, 'later'))
    await log.close()
    assert.deepEqual(await written(), live)
  })

  describe('on a disk of its own', () => {
    let disk: string
    let isMounted: boolean
    beforeEach(async () => {
      disk = join(dir, 'disk')
      await mkdir(disk)
      ;[path, isMounted] = [join(disk, 'events-out.log'), false]
    })
    afterEach(async () => {
      await Promise.all(logs.splice(0).map((log) => log.close()))
      if (isMounted) spawnSync('umount', [disk])
    })
    const mount = (context: Mocha.Context, size: string): void => {
      mountTmpfs(context, disk, `size=${size},mode=700`)
      isMounted = true
    }
    const filler = (): string => join(disk, 'filler')
    /** All but so many bytes are taken. */
    async function fill(leave: number): Promise<void> {
      const file = await open(filler(), 'w')
      const block = new Uint8Array(4_096)
      for (let isFull = false; !isFull;)
        isFull = await file.write(block).then(
          ({ bytesWritten }) => bytesWritten < 4_096,
          () => true
        )
      await file.truncate((await file.stat()).size - leave)
      await file.close()
    }

    it('that is full says so of each record, and has all of them once there is room', async function () {
      mount(this, '256k')
      const log = await opened()
      await add(log, { n: 0 })
      await fill(0)
      const many = Array.from({ length: 200 }, (_, n) => add(log, { n, text: 'x'.repeat(100) }))
      for (const { status } of await Promise.allSettled(many)) assert.equal(status, 'rejected')
      assert.deepEqual(await written(), [{ n: 0 }], 'and half a line is not in it')
      await unlink(filler())
      await until(async () => (await written()).length === live.length, 'what is open is written', 20_000)
      assert.deepEqual(await written(), live)
      assert.deepEqual((await readdir(disk)).sort(), ['events-out.log'], 'nothing half written is left')
    })

    it('that has no room to write it anew has room for what comes, and it is written anew later', async function () {
      mount(this, '16m')
      const log = await opened()
      const sizeOf = async (): Promise<number> => (await stat(path).catch(() => ({ size: 0 }))).size
      /** By as much as it may grow before it is written anew with the next record. */
      const grow = async (): Promise<void> => {
        const enough = (await sizeOf()) + COMPACT_BYTES
        while ((await sizeOf()) <= enough) await add(log, { n: live.length, text: 'x'.repeat(64 * 1024) })
      }
      await grow()
      await fill(512 * 1024)
      await add(log, { n: 'no room' })
      await add(log, { n: 'for another' })
      assert.deepEqual((await written()).length, live.length)
      await unlink(filler())
      live = [{ n: 'all else' }, { n: 'is over' }]
      const before = await sizeOf()
      await grow()
      await add(log, { n: 'last' })
      assert.ok((await sizeOf()) < before + COMPACT_BYTES, 'what is over is gone')
      await log.close()
      const again = await openEventLog(path, (message) => assert.fail(message))
      logs.push(again)
      assert.deepEqual(again.initial, live)
    })
  })

  it('that is damaged is whole again with the next record', async () => {
    await writeFile(path, 'garbage\n')
    const troubles: string[] = []
    const log = await openEventLog(path, (message) => troubles.push(message))
    logs.push(log)
    log.onCompact(() => live)
    await add(log, { n: 1 })
    assert.deepEqual([await written(), troubles.length], [[{ n: 1 }], 1])
  })
})
