import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAtmo, errorOf, type Atmo } from '../fixtures/atmo.ts'
import { atmoCommand, type Child } from '../fixtures/child.ts'
import { createLab, requireLab, type Host, type HostProcess, type Lab } from '../fixtures/netns.ts'

interface Approval {
  id: string
  kind: string
  name: string
  code: string
}

/** Without a code: one opens the door, the other asks, a person compares. */
describe('joining a mesh nearby by its commands', function () {
  this.timeout(90_000)
  let cli: Atmo
  let one: Child
  let address: string
  beforeEach(async () => {
    cli = await createAtmo()
    const started = await cli.start('one')
    one = started.child
    address = started.address
  })
  afterEach(() => cli.close())

  const args = (...more: string[]): string[] => ['join', '--nearby', '--no-mdns', '--peer', address, '--json', ...more]
  const approvals = async (): Promise<Approval[]> =>
    (JSON.parse(await cli.ok('one', 'approvals', '--json')) as { approvals: Approval[] }).approvals
  /** Asks, and resolves when the request is there. */
  async function asks(node: string): Promise<{ child: Child; code: string; request: Approval }> {
    const child = cli.run(node, args('--yes', '--name', node))
    const { code } = JSON.parse(await child.line(20_000)) as { code: string }
    await cli.until(one, 'approval')
    const request = (await approvals()).find(({ name }) => name === node)
    assert.ok(request)
    return { child, code, request }
  }

  it('says nothing while the door is shut, and is told how to open it', async () => {
    const shut = await cli.atmo('two', args('--yes'))
    assert.deepEqual([shut.code, errorOf(shut).code], [1, 'unavailable'])
    assert.match(errorOf(shut).message, /atmo invite --nearby/)
    await assert.rejects(stat(join(cli.dir, 'two', 'mesh.json')), { code: 'ENOENT' })
  })

  it('lets one in that a person approves, whose digits are the same, and shuts the door', async () => {
    assert.equal((JSON.parse(await cli.ok('one', 'invite', '--nearby', '--json')) as { role: string }).role, 'member')
    const two = await asks('two')
    const three = await asks('three')
    assert.deepEqual([two.request.kind, two.request.code], ['join', two.code])
    await cli.ok('one', 'approve', two.request.id)
    const joined = await two.child.ended
    assert.equal(joined.code, 0, joined.stderr)
    assert.equal((JSON.parse(joined.stdout.trim().split('\n').at(-1)!) as { role: string }).role, 'member')
    const late = await three.child.ended
    assert.deepEqual([late.code, errorOf(late).code, errorOf(late).details['reason']], [1, 'permission_denied', 'closed'])
    await assert.rejects(stat(join(cli.dir, 'three', 'mesh.json')), { code: 'ENOENT' })
    const shut = await cli.atmo('three', args('--yes'))
    assert.equal(errorOf(shut).code, 'unavailable')
    await cli.start('two', ['--peer', address])
    await cli.until(one, 'peer:join')
    assert.match(await cli.ok('two', 'call', 'system@one', 'echo', '--param', 'message=hi'), /hi/)
  })

  it('does not ask again about whom nobody wanted', async () => {
    await cli.ok('one', 'invite', '--nearby')
    const two = await asks('two')
    await cli.ok('one', 'ignore', two.request.id)
    const refused = await two.child.ended
    assert.deepEqual([refused.code, errorOf(refused).code], [1, 'permission_denied'])
    const again = await cli.atmo('two', args('--yes'))
    assert.deepEqual([again.code, errorOf(again).code], [1, 'permission_denied'])
    assert.match(String(errorOf(again).details['hint']), /atmo invite --nearby/)
    assert.deepEqual(await approvals(), [])
  })

  it('takes a request back when whoever asks gives up', async () => {
    await cli.ok('one', 'invite', '--nearby')
    const two = await asks('two')
    two.child.process.kill('SIGINT')
    assert.equal((await two.child.ended).code, 1)
    for (let left = await approvals(); left.length > 0; left = await approvals());
    const late = await cli.atmo('one', ['approve', two.request.id, '--json'])
    assert.equal(errorOf(late).code, 'not_found')
  })

  it('asks nobody without a terminal, and opens no door where it may not', async () => {
    const mute = await cli.atmo('two', args())
    assert.deepEqual([mute.code, errorOf(mute).code], [2, 'invalid_argument'])
    assert.match(errorOf(mute).message, /--yes/)
    const both = await cli.atmo('two', ['join', 'ATMO1', '--nearby', '--json'])
    assert.deepEqual([both.code, errorOf(both).code], [2, 'invalid_argument'])
    const owner = await cli.atmo('one', ['invite', '--nearby', '--role', 'owner', '--json'])
    assert.equal(owner.code, 0)
    const other = await cli.atmo('two', args('--yes', '--mesh', 'another'))
    assert.deepEqual([other.code, errorOf(other).code], [1, 'unavailable'])
    assert.match(errorOf(other).message, /seen: "one's mesh"/)
  })
})

describe('joining a mesh nearby between hosts', function () {
  this.timeout(90_000)
  let lab: Lab
  let dir: string
  before(function () {
    requireLab(this)
  })
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'atmo-nearby-'))))
  afterEach(async () => {
    await lab?.close()
    await rm(dir, { recursive: true, force: true })
  })

  it('finds the mesh by itself', async () => {
    lab = createLab([{}, {}])
    const [a, b] = lab.hosts as [Host, Host]
    const atmo = (host: Host, ...args: string[]): string[] => [
      ...[...atmoCommand(), ...args],
      ...['--data-dir', join(dir, host.namespace)]
    ]
    const node = (host: Host, name: string): HostProcess => lab.spawn(host, atmo(host, 'start', '--json', '--name', name))
    const one = node(a, 'one')
    await one.waitFor(({ event }) => event === 'ready', 30_000, 'ready')
    lab.exec(a, atmo(a, 'invite', '--nearby'))
    const joining = lab.spawn(b, atmo(b, 'join', '--nearby', '--yes', '--json', '--name', 'two'))
    const shown = await joining.waitFor(({ code }) => typeof code === 'string', 30_000, 'the digits')
    const request = await one.waitFor(({ event }) => event === 'approval', 10_000, 'the request')
    assert.deepEqual([request['kind'], request['name'], request['code']], ['join', 'two', shown['code']])
    lab.exec(a, atmo(a, 'approve', String(request['id'])))
    await joining.waitFor(({ role }) => role === 'member', 10_000, 'joined')
    node(b, 'two')
    await one.waitFor(({ event, name }) => event === 'peer:join' && name === 'two', 30_000, 'two is there')
  })
})
