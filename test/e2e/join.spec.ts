import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createAtmo, errorOf, type Atmo } from '../fixtures/atmo.ts'
import { mountTmpfs } from '../fixtures/mount.ts'

/** From nothing to a mesh of one's own, by the commands that people type, on loopback. */
describe('joining a mesh by its commands', function () {
  this.timeout(90_000)
  let cli: Atmo
  let dir: string
  let atmo: Atmo['atmo']
  let ok: Atmo['ok']
  let start: Atmo['start']
  let until: Atmo['until']
  beforeEach(async () => ({ dir, atmo, ok, start, until } = cli = await createAtmo()))
  afterEach(() => cli.close())

  it('takes start and invite here, join and start there, and a call', async () => {
    const { child: one, ready, address } = await start('one')
    assert.deepEqual([(ready['mesh'] as { open: boolean }).open, (ready['mesh'] as { role: string }).role], [false, 'owner'])
    const code = (await ok('one', 'invite', '--tag', 'kitchen', '--tag', 'shared')).trim()
    const joined = JSON.parse(await ok('two', 'join', code, '--json', '--name', 'two')) as { id: string; role: string }
    assert.deepEqual([joined.id, joined.role], [(ready['mesh'] as { id: string }).id, 'member'])
    const { child: two } = await start('two', ['--peer', address])
    await until(two, 'peer:join')
    await until(one, 'peer:join')
    const info = JSON.parse(await ok('two', 'call', 'system@one', 'echo', '--param', 'message=hi', '--json')) as {
      result: unknown
    }
    assert.ok(JSON.stringify(info).includes('hi'))
    const { members } = JSON.parse(await ok('one', 'members', '--json')) as {
      members: { name: string; role: string; tags: string[] }[]
    }
    assert.deepEqual(
      members.map(({ name, role, tags }) => [name, role, tags]),
      [
        ['one', 'owner', []],
        ['two', 'member', ['kitchen', 'shared']]
      ]
    )
    for (const node of ['one', 'two']) assert.equal((await stat(join(dir, node, 'mesh.json'))).mode & 0o777, 0o600)
  })

  it('takes the code from a file, the environment or standard input', async () => {
    await start('one')
    const code = async (): Promise<string> => ok('one', 'invite')
    const file = join(dir, 'code.txt')
    await writeFile(file, await code())
    await ok('a', 'join', '--file', file)
    assert.equal((await atmo('b', ['join'], { env: { ATMO_INVITE: await code() } })).code, 0)
    const ended = await atmo('c', ['join', '-'], { input: await code() })
    assert.equal(ended.code, 0, ended.stderr)
  })

  it('says what is wrong with a code that opens nothing, and changes nothing', async () => {
    const { child } = await start('one')
    const code = (await ok('one', 'invite')).trim()
    for (const [bad, exit, error] of [
      [`${code.slice(0, 20)}${code[20] === 'A' ? 'B' : 'A'}${code.slice(21)}`, 2, 'invalid_argument'],
      [code.slice(0, -5), 2, 'invalid_argument'],
      ['', 2, 'invalid_argument']
    ] as const) {
      const ended = await atmo('two', ['join', bad, '--json'])
      assert.deepEqual([ended.code, errorOf(ended).code], [exit, error], bad)
    }
    await ok('two', 'join', code)
    const used = await atmo('three', ['join', code, '--json'])
    assert.deepEqual([used.code, errorOf(used).code, errorOf(used).details['reason']], [1, 'permission_denied', 'unknown_invite'])
    const again = (await ok('one', 'invite')).trim()
    child.process.kill('SIGTERM')
    await child.ended
    const gone = await atmo('three', ['join', again, '--json'])
    assert.deepEqual([gone.code, errorOf(gone).code], [1, 'unavailable'])
    assert.match(errorOf(gone).message, /is it running/)
    await assert.rejects(stat(join(dir, 'three', 'mesh.json')), { code: 'ENOENT' })
  })

  it('leaves a mesh only when told to, and keeps its keys', async () => {
    await start('one')
    const code = async (): Promise<string> => (await ok('one', 'invite')).trim()
    await ok('two', 'init', '--name', 'lonely')
    // Nobody else is in it: it is given up without a question.
    await ok('two', 'join', await code())
    const other = await atmo('two', ['join', await code(), '--json'])
    assert.deepEqual([other.code, errorOf(other).code], [1, 'conflict'])
    assert.match(errorOf(other).message, /atmo leave/)
    const init = await atmo('two', ['init', '--json'])
    assert.deepEqual([init.code, errorOf(init).code], [1, 'conflict'])
    const { kept } = JSON.parse(await ok('two', 'leave', '--json')) as { kept: string }
    assert.equal((JSON.parse(await readFile(kept, 'utf8')) as { version: number }).version, 1)
    const logged = (await ok('two', 'audit', '--json')).trim().split('\n')
    assert.deepEqual(
      logged.map((line) => (JSON.parse(line) as { event: string }).event),
      ['init', 'leave']
    )
    const none = await atmo('two', ['leave', '--json'])
    assert.deepEqual([none.code, errorOf(none).code], [1, 'conflict'])
    await ok('two', 'join', await code())
    // A running node holds its data directory.
    const running = await atmo('one', ['leave', '--json'])
    assert.deepEqual([running.code, errorOf(running).code], [1, 'conflict'])
  })

  it('remembers who let it in, and what it was called there', async () => {
    const { child } = await start('one')
    await ok('two', 'join', (await ok('one', 'invite')).trim(), '--name', 'kitchen')
    // Without mDNS and without a peer: it knows one.
    const two = cli.run('two', ['start', '--json', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'])
    assert.equal((JSON.parse(await two.line(20_000)) as { name: string }).name, 'kitchen')
    assert.equal((await until(child, 'peer:join'))['name'], 'kitchen')
  })

  it('tells a node that it was revoked, whoever opens the connection, also after a start; a new invite lets it in', async () => {
    const one = await start('one')
    for (const node of ['two', 'three']) await ok(node, 'join', (await ok('one', 'invite')).trim(), '--name', node)
    const two = await start('two', ['--peer', one.address])
    await until(one.child, 'peer:join')
    await ok('one', 'revoke', 'two', '--reason', 'left on a train')
    // It connects again, and is told by what.
    const told = async (node: string): Promise<{ reason: string }> => {
      for (const end = performance.now() + 20_000; performance.now() < end;) {
        const { mesh } = JSON.parse(await ok(node, 'status', '--json')) as { mesh: { revoked?: { reason: string } } }
        if (mesh.revoked !== undefined) return mesh.revoked
      }
      throw new Error(`${node} was not told`)
    }
    assert.equal((await told('two')).reason, 'left on a train')
    const refused = await atmo('two', ['invite', '--json'])
    assert.deepEqual([refused.code, errorOf(refused).details['reason']], [1, 'revoked'])
    const twice = errorOf(await atmo('one', ['revoke', 'two', '--json']))
    assert.equal(twice.code, 'invalid_argument')
    assert.match(twice.message, /^"two" was revoked already, on \d{4}-\d\d-\d\d at \d\d:\d\d UTC$/)
    const [members, peers] = [await atmo('two', ['members']), await atmo('two', ['peers'])]
    assert.match(members.stdout, /two +\S+ +member +revoked /)
    assert.match(members.stderr, /this node was revoked \(left on a train\); a new invite lets it in again: atmo join/)
    assert.match(peers.stdout, /^No peers: this node was revoked \(left on a train\); a new invite/)
    two.child.process.kill('SIGTERM')
    assert.match((await two.child.ended).stderr, /was revoked.*left on a train/)
    // One that was away, and is dialled: it only answers.
    await ok(
      'one',
      'revoke',
      (JSON.parse(await ok('one', 'members', '--json')) as { members: { name: string; peerId: string }[] }).members.find(
        ({ name }) => name === 'three'
      )!.peerId
    )
    await rm(join(dir, 'three', 'peers.json'))
    const three = await start('three')
    const dialled = await start('four', ['--peer', three.address])
    dialled.child.process.kill('SIGTERM')
    await dialled.child.ended
    await ok('four', 'join', (await ok('one', 'invite')).trim())
    await start('four', ['--peer', three.address, '--peer', one.address])
    assert.equal((await told('three')).reason, '')
    await ok('two', 'join', (await ok('one', 'invite')).trim())
    const again = await start('two', ['--peer', one.address])
    await until(again.child, 'peer:join')
  })

  it('keeps the only owner of a mesh with members from leaving it, and no key is lost when it insists', async () => {
    const one = await start('one')
    await ok('two', 'join', (await ok('one', 'invite')).trim())
    one.child.process.kill('SIGTERM')
    await one.child.ended
    const only = await atmo('one', ['leave', '--json'])
    assert.deepEqual([only.code, errorOf(only).code], [1, 'conflict'])
    assert.match(errorOf(only).message, /--role owner.*--force/)
    const kept = async (...args: string[]): Promise<string> =>
      (JSON.parse(await ok('one', 'leave', '--json', ...args)) as { kept: string }).kept
    const first = await kept('--force')
    await ok('one', 'init')
    const second = await kept()
    assert.notEqual(first, second)
    for (const path of [first, second]) assert.match(await readFile(path, 'utf8'), /"meshKey"/)
  })

  it('tells who joins that the disk of the other node is full, and nothing of its paths', async function () {
    const full = join(dir, 'one')
    await mkdir(full)
    mountTmpfs(this, full, 'size=256k')
    try {
      const { child } = await start('one')
      const code = (await ok('one', 'invite')).trim()
      await writeFile(join(full, 'ballast'), Buffer.alloc(1024 * 1024)).catch(() => undefined)
      const ended = await atmo('two', ['join', code, '--json'])
      assert.deepEqual([ended.code, errorOf(ended).code, errorOf(ended).details['reason']], [1, 'unavailable', 'not_kept'])
      assert.ok(!ended.stdout.includes(dir))
      child.process.kill('SIGKILL')
      assert.match((await child.ended).stderr, /was not let in.*ENOSPC/)
    } finally {
      spawnSync('umount', ['-l', full])
    }
  })

  it('refuses an invite in the open mesh, and by a member', async () => {
    const { child } = await start('one', ['--open'])
    const open = await atmo('one', ['invite', '--json'])
    assert.deepEqual([open.code, errorOf(open).code], [1, 'unsupported'])
    child.process.kill('SIGTERM')
    await child.ended
    await start('one')
    await ok('two', 'join', (await ok('one', 'invite')).trim())
    await start('two')
    const tag = await atmo('one', ['invite', '--tag', 'Not This', '--json'])
    assert.deepEqual([tag.code, errorOf(tag).code], [2, 'invalid_argument'])
    const member = await atmo('two', ['invite', '--json'])
    assert.deepEqual([member.code, errorOf(member).code], [1, 'permission_denied'])
  })
})
