import assert from 'node:assert/strict'
import { createAtmo, errorOf, type Atmo } from '../fixtures/atmo.ts'
import { eventually } from '../fixtures/eventually.ts'

interface Status {
  mesh: { id: string; role: string; revoked?: unknown }
}

/** The key of a mesh is replaced: real processes, by their commands. */
describe('a mesh whose key is replaced', function () {
  this.timeout(180_000)
  let cli: Atmo
  beforeEach(async () => (cli = await createAtmo()))
  afterEach(() => cli.close())

  const statusOf = async (node: string): Promise<Status> => JSON.parse(await cli.ok(node, 'status', '--json')) as Status
  const calls = (from: string, to: string): Promise<string> =>
    cli.ok(from, 'call', `system@${to}`, 'echo', '--param', 'message=hi', '--timeout', '10s')

  async function invited(by: string, node: string, ...options: string[]): Promise<void> {
    await cli.ok(node, 'join', (await cli.ok(by, 'invite', ...options)).trim())
  }

  it('keeps its members when the machine of an owner is stolen; the thief lets nobody in', async () => {
    const one = await cli.start('one')
    await invited('one', 'two', '--role', 'owner')
    await invited('one', 'three')
    await invited('one', 'away')
    await invited('one', 'unseen')
    const two = await cli.start('two', ['--peer', one.address])
    const three = await cli.start('three', ['--peer', one.address, '--peer', two.address])
    const { mesh } = await statusOf('two')
    await eventually(() => calls('three', 'two'))
    const away = await cli.start('away', ['--peer', two.address])
    await eventually(() => calls('away', 'two'))
    away.child.process.kill('SIGTERM')
    await away.child.ended
    // What the thief has: all that the machine knew.
    one.child.process.kill('SIGKILL')
    await one.child.ended

    const revoked = JSON.parse(await cli.ok('two', 'revoke', 'one', '--reason', 'stolen', '--json')) as { rotated: boolean }
    assert.equal(revoked.rotated, true, 'an owner has the key: there must be another one')
    assert.match(await calls('three', 'two'), /hi/)
    assert.deepEqual((await statusOf('three')).mesh.id, mesh.id)

    const thief = await cli.start('one', ['--peer', two.address, '--peer', three.address])
    await eventually(async () => assert.notEqual((await statusOf('one')).mesh.revoked, undefined))
    const refused = await cli.atmo('one', ['invite', '--json'])
    assert.equal(errorOf(refused).code, 'permission_denied')

    // Who was away knows the old key alone, and meets the thief and a member.
    await cli.start('away', ['--peer', three.address, '--peer', thief.address])
    await eventually(() => calls('away', 'three'))
    await eventually(() => calls('three', 'away'))
    assert.notEqual((await cli.atmo('away', ['call', 'system@one', 'echo', '--param', 'message=hi', '--timeout', '2s'])).code, 0)

    // It goes on knocking, and all are one host here.
    thief.child.process.kill('SIGKILL')
    await thief.child.ended

    // The mesh goes on: its second owner invites.
    await invited('two', 'new')
    await cli.start('new', ['--peer', three.address])
    await eventually(() => calls('new', 'three'))
    // No owner that is left ever saw it: it is told so, and a new invite lets it in.
    const unseen = await cli.start('unseen', ['--peer', two.address])
    await eventually(async () => assert.notEqual((await statusOf('unseen')).mesh.revoked, undefined))
    unseen.child.process.kill('SIGTERM')
    await unseen.child.ended
    await invited('two', 'unseen')
    await cli.start('unseen', ['--peer', two.address])
    await eventually(() => calls('unseen', 'two'))
  })

  it('is done by a command, only by an owner, and said in the audit log', async () => {
    const one = await cli.start('one')
    await invited('one', 'member')
    await cli.start('member', ['--peer', one.address])
    await eventually(() => calls('member', 'one'))
    assert.equal(errorOf(await cli.atmo('member', ['rotate', '--json'])).code, 'permission_denied')
    const made = JSON.parse(await cli.ok('one', 'rotate', '--json')) as { generation: number; kept: number }
    assert.deepEqual([made.generation, made.kept], [1, 2])
    assert.match(await cli.ok('one', 'rotate'), /key 3/)
    assert.match(await calls('member', 'one'), /hi/)
    assert.match(await cli.ok('one', 'audit'), /rotate/)
    assert.ok(!(await cli.ok('one', 'audit')).includes('rotated'), 'it was here')
    await eventually(async () => assert.match(await cli.ok('member', 'audit'), /rotated +mesh=\S+ generation=2 kept=\d/))
    await cli.ok('one', 'audit', '--json')
  })
})
