import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createAtmo, errorOf, type Atmo } from '../fixtures/atmo.ts'
import { eventually } from '../fixtures/eventually.ts'
import { mountTmpfs } from '../fixtures/mount.ts'

interface Status {
  peerId: string
  mesh: { id: string; name: string; role: string }
}

/** Two machines on which nodes run already, as services do: real processes. */
describe('joining a mesh with a node that runs', function () {
  this.timeout(120_000)
  let cli: Atmo
  beforeEach(async () => (cli = await createAtmo()))
  afterEach(() => cli.close())

  const statusOf = async (node: string): Promise<Status> => JSON.parse(await cli.ok(node, 'status', '--json')) as Status
  const calls = (from: string, to: string): Promise<string> =>
    cli.ok(from, 'call', `system@${to}`, 'echo', '--param', 'message=hi')

  it('takes one command: the node goes on in it, with its key, and leaves it again', async () => {
    await cli.start('one')
    const two = await cli.start('two')
    const before = await statusOf('two')
    const { id } = JSON.parse(await cli.ok('two', 'join', (await cli.ok('one', 'invite')).trim(), '--json')) as { id: string }
    const after = await statusOf('two')
    assert.deepEqual([after.mesh.id, after.mesh.role, after.peerId], [id, 'member', before.peerId])
    assert.equal(id, (await statusOf('one')).mesh.id)
    assert.equal(((await cli.until(two.child, 'ready'))['mesh'] as Status['mesh']).id, id)
    // Where it was let in, it is found again.
    assert.match(await eventually(() => calls('two', 'one')), /hi/)
    assert.match(await eventually(() => calls('one', 'two')), /hi/)

    const again = await cli.atmo('two', ['join', (await cli.ok('one', 'invite')).trim(), '--json'])
    assert.equal(errorOf(again).code, 'conflict')

    assert.match(await cli.ok('two', 'leave'), /left the mesh/)
    const alone = await statusOf('two')
    assert.deepEqual([alone.mesh.role, alone.peerId], ['owner', before.peerId])
    assert.ok(![id, before.mesh.id].includes(alone.mesh.id))
    assert.match(await cli.ok('two', 'audit'), /leave +mesh=\S+ name=one's mesh/)
    const files = await readdir(join(cli.dir, 'two'))
    assert.ok(files.includes('mesh.left.json') && files.includes('mesh.left.2.json'), 'nothing that was a mesh is lost')
    two.child.process.kill('SIGTERM')
    assert.equal((await two.child.ended).code, 0)
  })

  it('keeps running as it was when a code opens nothing, and in the open mesh', async () => {
    const one = await cli.start('one')
    const code = (await cli.ok('one', 'invite')).trim()
    const two = await cli.start('two')
    one.child.process.kill('SIGKILL')
    await one.child.ended
    const before = await statusOf('two')
    assert.equal(errorOf(await cli.atmo('two', ['join', code, '--json'])).code, 'unavailable')
    assert.deepEqual((await statusOf('two')).mesh, before.mesh)
    two.child.process.kill('SIGTERM')
    await two.child.ended

    await cli.start('one')
    await cli.start('two', ['--open'])
    const refused = errorOf(await cli.atmo('two', ['join', (await cli.ok('one', 'invite')).trim(), '--json']))
    assert.deepEqual([refused.code, /--open/.test(refused.message)], ['conflict', true])
  })

  it('keeps running as it was on a full disk, and spends no invite there', async function () {
    const full = join(cli.dir, 'two')
    await mkdir(full)
    mountTmpfs(this, full, 'size=128k')
    try {
      await cli.start('one')
      const { child } = await cli.start('two')
      const code = (await cli.ok('one', 'invite')).trim()
      const ballast = join(full, 'ballast')
      await writeFile(ballast, Buffer.alloc(1024 * 1024)).catch(() => undefined)
      const before = await readFile(join(full, 'mesh.json'), 'utf8')
      for (const args of [['join', code], ['leave']]) {
        const refused = await cli.atmo('two', [...args, '--json'])
        const { code: why, message } = errorOf(refused)
        assert.deepEqual([refused.code, why], [1, 'unavailable'])
        assert.match(message, /^cannot write .*two\/mesh\.json \(ENOSPC\); nothing has changed$/)
        assert.equal(await readFile(join(full, 'mesh.json'), 'utf8'), before)
      }
      assert.equal(child.process.exitCode, null)
      await rm(ballast)
      await cli.ok('two', 'join', code)
      assert.equal((await statusOf('two')).mesh.id, (await statusOf('one')).mesh.id)
      assert.deepEqual(
        (await readdir(full)).filter((name) => name.endsWith('.tmp')),
        []
      )
      child.process.kill('SIGKILL')
      await child.ended
    } finally {
      spawnSync('umount', ['-l', full])
    }
  })

  it('says at once what became of a node that cannot start anew', async () => {
    const two = await cli.start('two')
    const { mesh } = await statusOf('two')
    await rm(join(cli.dir, 'two', 'incarnation'))
    await mkdir(join(cli.dir, 'two', 'incarnation'))
    const began = performance.now()
    const { code, message, details } = errorOf(await cli.atmo('two', ['leave', '--json']))
    assert.ok(performance.now() - began < 25_000, 'without waiting for the time that a start may take')
    assert.equal(code, 'unavailable')
    assert.match(
      message,
      /^the node that ran here could not start anew and has ended; what it printed says why\. It is now of the mesh "two's mesh"; when that is mended, run: atmo start$/
    )
    assert.notEqual(details['mesh'], mesh.id)
    const ended = await two.child.ended
    assert.deepEqual([ended.code, /EISDIR/.test(ended.stdout)], [1, true])
  })

  it('lets in one of two joins at once, and spends no code for the other', async () => {
    await cli.start('one')
    await cli.start('two')
    const codes = [(await cli.ok('one', 'invite')).trim(), (await cli.ok('one', 'invite')).trim()]
    const ended = await Promise.all(codes.map((code) => cli.atmo('two', ['join', code, '--json'])))
    const lost = ended.findIndex(({ code }) => code !== 0)
    const { code, message } = errorOf(ended[lost]!)
    assert.deepEqual([ended[1 - lost]!.code, ended[lost]!.code, code], [0, 1, 'conflict'])
    // Or it came so late that the other was done.
    assert.match(message, /^another atmo join \(process \d+\) is under way on the data directory|^this node is of the mesh/)
    assert.equal((await cli.atmo('three', ['join', codes[lost]!])).code, 0)
  })

  it('says that a join is under way where no node runs', async () => {
    const { address } = await cli.start('one')
    await cli.ok('one', 'invite', '--nearby')
    const asks = cli.run('two', ['join', '--nearby', '--no-mdns', '--peer', address, '--yes'])
    await eventually(async () => assert.match(await cli.ok('one', 'approvals'), /joins/))
    const refused = errorOf(await cli.atmo('two', ['join', (await cli.ok('one', 'invite')).trim(), '--json']))
    assert.equal(refused.code, 'conflict')
    assert.match(refused.message, /^another atmo join \(process \d+\) is under way/)
    const start = errorOf(await cli.atmo('two', ['start', '--no-mdns', '--json']))
    assert.match(start.message, /^atmo join \(process \d+\) is under way/)
    asks.process.kill('SIGTERM')
    await asks.ended
  })
})
