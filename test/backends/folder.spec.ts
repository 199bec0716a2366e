import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, open, readdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createEventQueue } from '../../src/backends/event-queue.ts'
import type { FolderConfig } from '../../src/backends/folder-config.ts'
import { createFolderBackend } from '../../src/backends/folder.ts'
import type { FolderInit } from '../../src/backends/folder.ts'
import type { Backend } from '../../src/backends/backend.ts'
import { DEADLINE_MS, backendContract, collect, errorOf, invoke, run, until, within } from './contract.ts'
import { watchEvents } from './watched-events.ts'
import type { Watched } from './watched-events.ts'

const SETTLE_MS = 120
const MODIFIED = new Date('2026-01-01T00:00:00Z')

backendContract(
  'folder',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'atmo-folder-'))
    for (let n = 0; n < 8; n++) {
      await writeFile(join(folder, `${n}.txt`), 'x'.repeat(n))
      await utimes(join(folder, `${n}.txt`), MODIFIED, MODIFIED)
    }
    return {
      backend: createFolderBackend({ kind: 'folder', path: '.' }, { baseDir: folder }),
      capability: 'folder',
      echo: {
        tool: 'stat',
        input: (n) => ({ path: `${n}.txt` }),
        output: (n) => ({ path: `${n}.txt`, bytes: n, mediaType: 'text/plain', modified: MODIFIED.toISOString() })
      },
      dispose: () => rm(folder, { recursive: true, force: true })
    }
  },
  { instant: true }
)

const watchers = (): number => process.getActiveResourcesInfo().filter((name) => /FSEvent|FSReq|StatWatcher/.test(name)).length
const fileWatchers = (): number => process.getActiveResourcesInfo().filter((name) => /FSEvent/.test(name)).length

describe('folder backend', () => {
  let outside: string
  let folder: string
  let backend: Backend
  let watched: Watched | undefined

  const start = async (config: Partial<FolderConfig> = {}, init: Partial<FolderInit> = {}): Promise<Watched> => {
    const watching = new Promise<void>((onWatching) => {
      backend = createFolderBackend(
        { kind: 'folder', path: 'inbox', settleMs: SETTLE_MS, ...config },
        { baseDir: outside, checkMs: 50, onWatching, ...init }
      )
    })
    watched = watchEvents(backend)
    await within(watching, 'watching')
    return watched
  }
  const told = (): string[] => watched!.events.map(({ event, payload }) => `${event} ${(payload as { path: string }).path}`)

  beforeEach(async () => {
    outside = await mkdtemp(join(tmpdir(), 'atmo-folder-'))
    folder = join(outside, 'inbox')
    await mkdir(join(folder, 'sub'), { recursive: true })
    await writeFile(join(outside, 'secret.txt'), 'secret')
    await writeFile(join(folder, 'old.txt'), 'old')
  })
  afterEach(async () => {
    await watched?.stop()
    watched = undefined
    await rm(outside, { recursive: true, force: true })
  })

  it('tells what is added, changed and removed, and nothing that was there', async () => {
    const events = await start()
    await writeFile(join(folder, 'sub', 'Plan B.PDF'), 'plan')
    const added = await events.next('file_added')
    assert.deepEqual(
      { ...added, modified: undefined },
      {
        path: 'sub/Plan B.PDF',
        bytes: 4,
        mediaType: 'application/pdf',
        modified: undefined
      }
    )
    assert.ok(Math.abs(Date.parse(added['modified'] as string) - Date.now()) < 60_000)
    await appendFile(join(folder, 'old.txt'), ' and new')
    assert.equal((await events.next('file_changed'))['bytes'], 11)
    await rm(join(folder, 'old.txt'))
    assert.deepEqual(await events.next('file_removed'), { path: 'old.txt', mediaType: 'text/plain' })
    await mkdir(join(folder, 'new'))
    await writeFile(join(folder, 'new', 'x'), '')
    assert.equal((await events.next('file_added'))['path'], 'new/x')
    assert.equal(events.events.length, 4)
  })

  /** What happened before has been told once a file that came after it is. */
  const allTold = async (events: Watched): Promise<void> => {
    await writeFile(join(folder, 'last.pdf'), '')
    await events.next('file_added', ({ path }) => path === 'last.pdf')
  }

  it('waits until a file is written whole, and tells it once', async () => {
    const events = await start()
    const handle = await open(join(folder, 'slow.bin'), 'w')
    let bytes = 0
    // One that is whole at once is told after the time in which nothing may happen: this one would be, too.
    await writeFile(join(folder, 'quick.txt'), 'quick')
    const write = async (): Promise<boolean> => {
      bytes += (await handle.write(Buffer.alloc(10))).bytesWritten
      return told().includes('file_added quick.txt')
    }
    for (const deadline = performance.now() + DEADLINE_MS; !(await write());) assert.ok(performance.now() < deadline)
    assert.deepEqual(told(), ['file_added quick.txt'])
    await handle.close()
    assert.equal((await events.next('file_added', ({ path }) => path === 'slow.bin'))['bytes'], bytes)
    // Replaced in one step, as editors do.
    await writeFile(join(folder, 'slow.tmp'), 'short')
    await rename(join(folder, 'slow.tmp'), join(folder, 'slow.bin'))
    assert.equal((await events.next('file_changed'))['bytes'], 5)
    await writeFile(join(folder, 'gone.txt'), 'gone')
    await rm(join(folder, 'gone.txt'))
    await allTold(events)
    assert.deepEqual(told(), ['file_added quick.txt', 'file_added slow.bin', 'file_changed slow.bin', 'file_added last.pdf'])
  })

  it('leaves out what is hidden, and links that lead out', async () => {
    const events = await start()
    await writeFile(join(folder, '.secret'), 'x')
    await mkdir(join(folder, '.git'))
    await writeFile(join(folder, '.git', 'config'), 'x')
    await symlink('../secret.txt', join(folder, 'leak'))
    await symlink('..', join(folder, 'up'))
    await symlink('.secret', join(folder, 'shown'))
    await symlink('old.txt', join(folder, 'inside'))
    assert.equal((await events.next('file_added'))['path'], 'inside')
    await appendFile(join(outside, 'secret.txt'), 'more')
    await allTold(events)
    assert.deepEqual(told(), ['file_added inside', 'file_added last.pdf'])
    await errorOf(invoke(backend, 'folder', 'stat', { path: 'leak' }), 'permission_denied')
    await errorOf(invoke(backend, 'folder', 'stat', { path: '.secret' }), 'invalid_argument')
    await errorOf(invoke(backend, 'folder', 'stat', { path: 'sub' }), 'invalid_argument')
    await errorOf(invoke(backend, 'folder', 'read', { path: 'old.txt' }), 'unknown_tool')
  })

  it('tells only what is asked for', async () => {
    const events = await start({ match: ['**.pdf'], hidden: true, readable: true, triggers: { file_removed: false } })
    await writeFile(join(folder, 'a.txt'), 'a')
    await writeFile(join(folder, 'sub', '.b.pdf'), 'b')
    assert.equal((await events.next('file_added'))['path'], 'sub/.b.pdf')
    await rm(join(folder, 'sub', '.b.pdf'))
    await allTold(events)
    assert.equal(events.events.length, 2)
    const running = run(backend)
    const { triggers, tools } = await running.snapshot()
    assert.deepEqual(
      triggers?.map(({ event }) => event),
      ['file_added', 'file_changed']
    )
    assert.deepEqual(
      tools?.map(({ name }) => name),
      ['stat', 'read']
    )
    assert.equal((await collect(invoke(backend, 'folder', 'read', { path: 'old.txt' })))[0]?.kind, 'bytes')
    await running.stop()
  })

  it('is offline while the folder is away, and then tells what is other than before', async () => {
    await writeFile(join(folder, 'kept.txt'), 'kept')
    const events = await start()
    const running = run(backend)
    await running.snapshot(({ status }) => status === 'online')
    await rename(folder, `${folder}-away`)
    const { statusReason } = await running.snapshot(({ status }) => status === 'offline')
    assert.match(statusReason ?? '', /is not there; create it, or change its path/)
    await rm(join(outside, 'inbox-away', 'old.txt'))
    await writeFile(join(outside, 'inbox-away', 'fresh.txt'), 'fresh')
    assert.equal(events.events.length, 0)
    await rename(`${folder}-away`, folder)
    await running.snapshot(({ status }) => status === 'online')
    assert.equal((await events.next('file_added'))['path'], 'fresh.txt')
    assert.equal((await events.next('file_removed'))['path'], 'old.txt')
    await writeFile(join(folder, 'again.txt'), 'again')
    assert.equal((await events.next('file_added'))['path'], 'again.txt')
    assert.equal(events.events.length, 3)
    await rm(folder, { recursive: true })
    await writeFile(folder, 'a file')
    await running.snapshot(({ statusReason: reason }) => reason === 'what is watched is not a folder; change its path')
    await running.stop()
  })

  it('remembers a bounded number of files, and says so', async () => {
    const events = await start({}, { maxFiles: 3 })
    const running = run(backend)
    for (const name of ['a', 'b', 'c', 'd']) {
      await writeFile(join(folder, name), name)
      // Of the others nothing is told.
      if (name < 'c') await events.next('file_added')
    }
    const { statusReason } = await running.snapshot(({ status }) => status === 'degraded')
    assert.match(statusReason ?? '', /more than 3 files/)
    assert.deepEqual(
      events.events.map(({ event }) => event),
      ['file_added', 'file_added']
    )
    await running.stop()
  })

  it('looks again and again where it is told to', async () => {
    const events = await start({ poll: true })
    await writeFile(join(folder, 'polled.txt'), 'x')
    assert.equal((await events.next('file_added'))['path'], 'polled.txt')
  })

  it('watches nothing any more when it is stopped, not even a file that is being written', async () => {
    const before = watchers()
    const events = await start()
    assert.ok(watchers() > before)
    const watching = fileWatchers()
    await writeFile(join(folder, 'half.txt'), 'half')
    await until(() => fileWatchers() > watching, 'that it is seen')
    await events.stop()
    await until(() => watchers() <= before, `the end of watchers, there are ${watchers()}`)
    assert.equal(events.events.length, 0)
    assert.ok((await readdir(folder)).includes('half.txt'))
  })
})

describe('event queue', () => {
  it('loses the oldest at its limit, and tells how many', async () => {
    const queue = createEventQueue('c', { limit: 2 })
    for (let n = 0; n < 5; n++) queue.raise('e', { n })
    const controller = new AbortController()
    const payloads = []
    for await (const { payload } of queue.events(controller.signal)) {
      payloads.push(payload)
      if (payloads.length === 2) controller.abort()
    }
    assert.deepEqual(payloads, [{ n: 3, lost: 3 }, { n: 4 }])
  })
})
