import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createAtmo, errorOf, type Atmo } from '../fixtures/atmo.ts'
import { eventually } from '../fixtures/eventually.ts'

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
})
