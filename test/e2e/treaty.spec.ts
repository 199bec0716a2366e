import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createAtmo, errorOf, type Atmo } from '../fixtures/atmo.ts'

interface View {
  serial: string
  state: string
  lends: string[]
  borrows: string[]
  name: string
}

/** From two meshes to a call from one to the other, by the commands that people type, on loopback. */
describe('a treaty by its commands', function () {
  this.timeout(120_000)
  let cli: Atmo
  beforeEach(async () => (cli = await createAtmo()))
  afterEach(() => cli.close())
  const treaties = async (node: string): Promise<View[]> =>
    (JSON.parse(await cli.ok(node, 'treaty', 'list', '--json')) as { treaties: View[] }).treaties

  it('takes offer here, accept there, accept here, and a call; revoke ends it', async () => {
    const { ready, address, child: lender } = await cli.start('attic')
    const { ready: other, child: borrower } = await cli.start('club', ['--peer', address])
    const [home, club] = [ready, other].map((one) => (one['mesh'] as { id: string }).id) as [string, string]
    const { stdout: offered, stderr } = await cli.atmo('attic', [
      ...['treaty', 'offer', '--with', club, '--name', 'the club', '--lend', 'system/*', '--for', '30d']
    ])
    assert.match(offered, /^ATMOT1[A-Z2-7]+\n$/)
    assert.match(stderr, /the club[^]*lends +system\/\*[^]*borrows +nothing/)
    const code = offered.trim()

    // At the other side it reads the other way round; nothing is signed without a yes.
    const shown = JSON.parse(await cli.ok('club', 'treaty', 'show', code, '--json')) as { treaty: View; signs: boolean }
    assert.deepEqual([shown.signs, shown.treaty.lends, shown.treaty.borrows], [true, [], ['system/*']])
    const unasked = await cli.atmo('club', ['treaty', 'accept', code])
    assert.deepEqual([unasked.code, unasked.stdout], [2, ''])
    assert.match(unasked.stderr, /--yes/)
    assert.deepEqual(await treaties('club'), [])
    const own = await cli.atmo('attic', ['treaty', 'accept', code, '--yes', '--json'])
    assert.deepEqual([own.code, errorOf(own).code, errorOf(own).details['reason']], [1, 'permission_denied', 'half_signed'])

    const file = join(cli.dir, 'signed.txt')
    await writeFile(file, await cli.ok('club', 'treaty', 'accept', code, '--yes'))
    const taken = JSON.parse(await cli.ok('attic', 'treaty', 'accept', '--file', file, '--json')) as {
      treaty: View
      code: string
    }
    assert.deepEqual(
      [taken.treaty.state, taken.treaty.lends, taken.code],
      ['in_force', ['system/*'], (await readFile(file, 'utf8')).trim()]
    )

    // They were strangers, and connect by themselves now.
    const event = await cli.until(borrower, 'capability:available').then(async (first) => {
      for (let one = first; ; one = await cli.until(borrower, 'capability:available'))
        if ((one['capability'] as { meshId?: string }).meshId === home) return one['capability'] as { ref: string; mesh: string }
    })
    assert.deepEqual([event.ref, event.mesh], ['system@attic', "attic's mesh"])
    const called = JSON.parse(await cli.ok('club', 'call', 'system@attic', 'echo', '--param', 'message=hi', '--json')) as object
    assert.ok(JSON.stringify(called).includes('hi'))
    assert.match(await cli.ok('club', 'capabilities'), /system@attic +system\/node +attic \(of attic's mesh\)/)
    const back = await cli.atmo('attic', ['call', 'system@club', 'echo', '--param', 'message=hi', '--json'])
    assert.deepEqual([back.code, errorOf(back).code], [1, 'unavailable'])
    assert.match(await cli.ok('attic', 'treaty'), /the club +[0-9a-f]{32} +in force +20\d\d-\d\d-\d\d +1 +system\/\* +-/)

    const ended = JSON.parse(await cli.ok('attic', 'treaty', 'revoke', 'the club', '--reason', 'moved away', '--json')) as View
    assert.equal(ended.state, 'revoked')
    await cli.until(borrower, 'capability:removed')
    const gone = await cli.atmo('club', ['call', 'system@attic', 'echo', '--param', 'message=hi', '--json'])
    assert.deepEqual([gone.code, errorOf(gone).code], [1, 'unavailable'])
    for (const node of ['attic', 'club']) {
      const { stdout } = await cli.atmo(node, ['audit', '--json'])
      const events = stdout
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { event: string }).event)
      assert.ok(events.includes('treaty'), `${node}: ${events.join()}`)
      const signed =
        node === 'attic' ? ['treaty-offer', 'treaty-accept', 'treaty-revoke', 'treaty-revoked'] : ['treaty-accept', 'sent']
      assert.deepEqual(
        signed.filter((event) => !events.includes(event)),
        [],
        `${node}: ${events.join()}`
      )
      assert.equal(events[0], 'init')
    }
    void lender
  })

  it('says what is wrong, with the exit codes of the other commands', async () => {
    const { ready } = await cli.start('one')
    await cli.start('open', ['--open'])
    const mesh = (ready['mesh'] as { id: string }).id
    const elsewhere = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
    const code = (await cli.ok('one', 'treaty', 'offer', '--with', elsewhere, '--lend', 'x')).trim()
    const flipped = `${code.slice(0, 30)}${code[30] === 'A' ? 'B' : 'A'}${code.slice(31)}`
    for (const [node, args, exit, error] of [
      ['one', ['offer', '--with', mesh, '--lend', 'x'], 1, 'invalid_argument'],
      ['one', ['offer', '--with', elsewhere], 2, 'invalid_argument'],
      ['one', ['offer', '--with', elsewhere, '--lend', 'No Type'], 2, 'invalid_argument'],
      ['one', ['accept', flipped], 2, 'invalid_argument'],
      ['one', ['accept', code], 1, 'permission_denied'],
      ['one', ['revoke', 'nobody'], 1, 'invalid_argument'],
      ['open', ['offer', '--with', mesh, '--lend', 'x'], 1, 'unsupported'],
      ['open', ['show', code], 1, 'unsupported']
    ] as const) {
      const ended = await cli.atmo(node, ['treaty', ...args, '--json'])
      assert.deepEqual([ended.code, errorOf(ended).code], [exit, error], args.join(' ').slice(0, 80))
    }
    // An offer is taken back by its number, before anybody has signed it.
    const { treaty } = JSON.parse(await cli.ok('one', 'treaty', 'show', code, '--json')) as { treaty: View }
    await cli.ok('one', 'treaty', 'revoke', treaty.serial)
    const late = await cli.atmo('one', ['treaty', 'show', code, '--json'])
    assert.deepEqual([late.code, errorOf(late).details['reason']], [1, 'revoked'])
  })
})
