import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend } from '../../src/backends/backend.ts'
import { CHUNK_BYTES, createFileShareBackend } from '../../src/backends/file-share.ts'
import type { FilesConfig } from '../../src/backends/files-config.ts'
import type { Item, JsonObject } from '../../src/core/invoke.ts'
import { backendContract, collect, errorOf, invoke, resultOf, run } from './contract.ts'

backendContract('files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'atmo-files-'))
  for (let n = 0; n < 8; n++) await writeFile(join(folder, `${n}.txt`), 'x'.repeat(n))
  await writeFile(join(folder, 'big'), new Uint8Array(20 * CHUNK_BYTES))
  return {
    backend: createFileShareBackend({ kind: 'files', path: '.' }, { baseDir: folder }),
    capability: 'files',
    echo: {
      tool: 'read',
      input: (n) => ({ path: `${n}.txt` }),
      output: (n) => ({ bytes: n, sha256: createHash('sha256').update('x'.repeat(n)).digest('hex') })
    },
    slow: { tool: 'read', input: { path: 'big' }, isGone: () => !process.getActiveResourcesInfo().includes('FSReqCallback') },
    dispose: () => rm(folder, { recursive: true, force: true })
  }
})

describe('files backend', () => {
  let outside: string
  let folder: string
  let backend: Backend

  const make = (config: Partial<FilesConfig> = {}): Backend =>
    createFileShareBackend({ kind: 'files', path: 'shared', writable: true, ...config }, { baseDir: outside, recheckMs: 20 })
  const call = (tool: string, input: JsonObject = {}, stream?: AsyncIterable<Item>) =>
    invoke(backend, 'files', tool, input, { stream })
  const names = async (input: JsonObject = {}): Promise<string[]> =>
    ((await resultOf(call('list', input))) as { entries: { path: string }[] }).entries.map(({ path }) => path)

  beforeEach(async () => {
    outside = await mkdtemp(join(tmpdir(), 'atmo-files-'))
    folder = join(outside, 'shared')
    await mkdir(join(folder, 'sub', 'deep'), { recursive: true })
    await writeFile(join(outside, 'secret.txt'), 'secret')
    await mkdir(join(outside, 'shared-too'))
    await writeFile(join(outside, 'shared-too', 'secret.txt'), 'secret')
    await writeFile(join(folder, 'hello.txt'), 'hello world')
    await writeFile(join(folder, 'sub', 'a.txt'), 'a')
    await writeFile(join(folder, 'sub', 'deep', 'b.txt'), 'b')
    await writeFile(join(folder, '.hidden'), 'hidden')
    await symlink('../secret.txt', join(folder, 'leak'))
    await symlink('..', join(folder, 'up'))
    await symlink('../shared-too', join(folder, 'prefix'))
    await symlink('.hidden', join(folder, 'show-hidden'))
    await symlink('hello.txt', join(folder, 'inside'))
    await symlink('.', join(folder, 'sub', 'loop'))
    backend = make()
  })
  afterEach(() => rm(outside, { recursive: true }))

  it('lists what may be seen, and goes down as deep as asked', async () => {
    assert.deepEqual(await names(), ['hello.txt', 'inside', 'sub'])
    assert.deepEqual(await names({ depth: 8 }), [
      'hello.txt',
      'inside',
      'sub',
      'sub/a.txt',
      'sub/deep',
      'sub/deep/b.txt',
      'sub/loop'
    ])
    assert.deepEqual(await names({ path: 'sub/deep' }), ['sub/deep/b.txt'])
    const stat = (await resultOf(call('stat', { path: 'hello.txt' }))) as JsonObject
    assert.equal(stat['kind'], 'file')
    assert.equal(stat['bytes'], 11)
  })

  it('reads all, or a part', async () => {
    const items = await collect(call('read', { path: './sub//a.txt' }))
    assert.deepEqual(items[0], { kind: 'bytes', bytes: new Uint8Array([97]) })
    const part = await collect(call('read', { path: 'hello.txt', offset: 6, length: 3 }))
    assert.equal(part[0]?.kind === 'bytes' && Buffer.from(part[0].bytes).toString(), 'wor')
    assert.deepEqual(part.at(-1), {
      kind: 'result',
      value: { bytes: 3, sha256: createHash('sha256').update('wor').digest('hex') }
    })
    assert.deepEqual((await collect(call('read', { path: 'hello.txt', offset: 99 }))).length, 1)
  })

  for (const path of [
    '../secret.txt',
    'sub/../../secret.txt',
    '/etc/passwd',
    'leak',
    'up/secret.txt',
    'prefix/secret.txt',
    'up/shared/hello.txt/../../secret.txt',
    '..',
    'sub/..',
    'hello.txt\0.png',
    '.hidden',
    'show-hidden',
    'sub',
    '',
    'nothing-here',
    'x'.repeat(5_000)
  ]) {
    it(`does not read "${path.slice(0, 40).replace('\0', '\\0')}"`, async () => {
      const error = await errorOfAny(call('read', { path }))
      assert.ok(['invalid_argument', 'permission_denied', 'too_large'].includes(error.code), error.code)
      assert.ok(!error.message.includes(outside), 'the message does not tell where the folder is')
    })
  }

  it('shows hidden files if told so, but nothing outside', async () => {
    backend = make({ hidden: true })
    assert.ok((await names()).includes('.hidden'))
    assert.equal((await collect(call('read', { path: 'show-hidden' }))).length, 2)
    await errorOf(call('read', { path: 'leak' }), 'permission_denied')
  })

  it('refuses pipes, sockets and devices', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe')])
    const server = createServer().listen(join(folder, 'socket'))
    await new Promise((resolve) => server.once('listening', resolve))
    try {
      for (const path of ['pipe', 'socket']) {
        await errorOf(call('read', { path }), 'invalid_argument')
        await errorOf(call('stat', { path }), 'invalid_argument')
        await errorOf(call('write', { path, text: 'x', overwrite: true }), 'invalid_argument')
      }
      assert.ok(!(await names()).some((name) => name === 'pipe' || name === 'socket'))
    } finally {
      server.close()
    }
  })

  it('reads 200 MB in bounded memory', async () => {
    const bytes = 200 * 1024 * 1024
    await truncate(join(folder, 'hello.txt'), bytes)
    const before = process.memoryUsage.rss()
    let most = 0
    let seen = 0
    let result: unknown
    for await (const item of call('read', { path: 'hello.txt' })) {
      if (item.kind === 'bytes') seen += item.bytes.length
      if (item.kind === 'bytes') assert.ok(item.bytes.length <= CHUNK_BYTES)
      if (item.kind === 'result') result = item.value
      if (seen % (16 * 1024 * 1024) === 0) most = Math.max(most, process.memoryUsage.rss() - before)
    }
    assert.equal(seen, bytes)
    assert.equal((result as JsonObject)['bytes'], bytes)
    assert.ok(most < 100 * 1024 * 1024, `grew by ${most} bytes`)
  })

  it('writes what is streamed, all or nothing', async () => {
    async function* chunks(fail: boolean): AsyncGenerator<Item> {
      yield { kind: 'bytes', bytes: Buffer.from('one ') }
      yield { kind: 'bytes', bytes: Buffer.from('two') }
      if (fail) throw new Error('the line broke')
    }
    assert.deepEqual(await resultOf(call('write', { path: 'sub/new.txt' }, chunks(false))), {
      bytes: 7,
      sha256: createHash('sha256').update('one two').digest('hex')
    })
    assert.equal(await readFile(join(folder, 'sub', 'new.txt'), 'utf8'), 'one two')
    await errorOf(call('write', { path: 'sub/new.txt', text: 'x' }), 'conflict')
    await resultOf(call('write', { path: 'sub/new.txt', text: 'replaced', overwrite: true }))
    assert.equal(await readFile(join(folder, 'sub', 'new.txt'), 'utf8'), 'replaced')
    await errorOfAny(call('write', { path: 'broken.txt' }, chunks(true)))
    await errorOf(call('write', { path: 'nothing.txt' }), 'invalid_argument')
    backend = make({ maxFileBytes: 5 })
    await errorOf(call('write', { path: 'large.txt' }, chunks(false)), 'too_large')
    assert.deepEqual((await readdir(folder)).sort(), [
      '.hidden',
      'hello.txt',
      'inside',
      'leak',
      'prefix',
      'show-hidden',
      'sub',
      'up'
    ])
    assert.deepEqual((await readdir(join(folder, 'sub'))).sort(), ['a.txt', 'deep', 'loop', 'new.txt'])
  })

  it('stops writing when the caller does', async () => {
    async function* endless(): AsyncGenerator<Item> {
      yield { kind: 'bytes', bytes: new Uint8Array(10) }
      await new Promise(() => {})
    }
    const running = run(backend)
    await running.snapshot()
    await errorOf(
      invoke(backend, 'files', 'write', { path: 'x' }, { stream: endless(), signal: AbortSignal.timeout(30) }),
      'deadline_exceeded'
    )
    await running.stop()
    assert.ok(!(await readdir(folder)).some((name) => name === 'x' || name.endsWith('.part')))
  })

  for (const path of [
    '../new.txt',
    'up/new.txt',
    'leak',
    'prefix/new.txt',
    '/tmp/new.txt',
    '.new',
    'sub/',
    '',
    'no-folder/new.txt'
  ]) {
    it(`does not write "${path}"`, async () => {
      await errorOfAny(call('write', { path, text: 'owned', overwrite: true }))
      assert.equal(await readFile(join(outside, 'secret.txt'), 'utf8'), 'secret')
      assert.deepEqual((await readdir(outside)).sort(), ['secret.txt', 'shared', 'shared-too'])
      assert.deepEqual(await readdir(join(outside, 'shared-too')), ['secret.txt'])
    })
  }

  it('never leaks while someone swaps a folder for a link', async () => {
    await mkdir(join(folder, 'swap'))
    await writeFile(join(folder, 'swap', 'secret.txt'), 'public')
    // A process of its own: within this one the steps of both would always meet in the same order.
    const script = 'while [ ! -e ../stop ]; do mv swap ../aside; ln -s ../shared-too swap; rm swap; mv ../aside swap; done'
    const swapping = spawn('sh', ['-c', script], { cwd: folder, stdio: 'ignore' })
    const gone = once(swapping, 'exit')
    let read = 0
    try {
      const end = performance.now() + 1_000
      while (performance.now() < end) {
        const items = await collect(call('read', { path: 'swap/secret.txt' })).catch(() => [])
        for (const item of items) {
          if (item.kind !== 'bytes') continue
          read++
          assert.equal(Buffer.from(item.bytes).toString(), 'public')
        }
      }
    } finally {
      // Not a signal: the mv that it has begun would go on while the folder is cleared away.
      await writeFile(join(outside, 'stop'), '')
      await gone
    }
    assert.ok(read > 0)
  })

  it('has no write unless allowed, and is offline while the folder is away', async () => {
    backend = make({ writable: false })
    await errorOf(call('write', { path: 'x', text: 'y' }), 'unknown_tool')
    const running = run(backend)
    const first = await running.snapshot(({ status }) => status === 'online')
    assert.deepEqual(
      first.tools?.map(({ name }) => name),
      ['list', 'stat', 'read']
    )
    await rename(folder, `${folder}-away`)
    await running.snapshot(({ status }) => status === 'offline')
    await errorOf(call('list'), 'unavailable')
    await writeFile(folder, 'a file')
    await running.snapshot(({ statusReason }) => statusReason === 'what is shared is not a folder; change its path')
    await rm(folder)
    await rename(`${folder}-away`, folder)
    await running.snapshot(({ status }) => status === 'online')
    await running.stop()
  })
})

async function errorOfAny(call: AsyncIterable<Item>): Promise<{ code: string; message: string }> {
  try {
    await collect(call)
  } catch (error) {
    return error as { code: string; message: string }
  }
  assert.fail('no error')
}
