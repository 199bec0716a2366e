import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { CommanderError, InvalidArgumentError } from 'commander'
import { parseDuration, parseWait } from '../../../src/cli/command-line.ts'
import { createProgram } from '../../../src/cli/program.ts'
import { plain, showBytes, showDuration, table, wantsColor } from '../../../src/cli/output.ts'
import { showChanges } from '../../../src/cli/show-change.ts'
import { showEvent } from '../../../src/cli/show-event.ts'
import type { ChangedDescriptor } from '../../../src/mesh-api.ts'
import picocolors from 'picocolors'
import { startAtmo } from '../../fixtures/child.ts'

const COMMANDS = [
  'start',
  'scan',
  'init',
  'invite',
  'join',
  'leave',
  'members',
  'revoke',
  'rotate',
  'treaty',
  'approvals',
  'approve',
  'ignore',
  'accept',
  'audit',
  'status',
  'peers',
  'routes',
  'route',
  'trace',
  'capabilities',
  'call',
  'agents',
  'ask',
  'examples',
  'mcp',
  'fire',
  'events',
  'dead-letters',
  'watch',
  'stop',
  'completion'
]

const parse = async (args: string[]): Promise<unknown> => (await createProgram(true, args)).parseAsync(args, { from: 'user' })

/** What a module needs to be there before its first line runs. */
function loadedBy(file: string, found = new Set<string>()): Set<string> {
  const text = readFileSync(file, 'utf8')
  for (const [, name = ''] of text.matchAll(/^(?:import|export) (?!type )(?:[^'"]*? from )?'([^']+)'/gm)) {
    const next = name.startsWith('.') ? join(dirname(file), name) : name
    if (found.has(next)) continue
    found.add(next)
    if (next !== name) loadedBy(next, found)
  }
  return found
}

describe('cli usage', function () {
  this.timeout(60_000)
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-usage-'))
  })
  after(() => rm(dir, { recursive: true, force: true }))
  const atmo = (args: string[], env: Record<string, string> = {}) =>
    startAtmo(args, { env: { ATMO_DATA_DIR: dir, ...env } }).ended

  for (const name of ['main', 'peers', 'status', 'capabilities', 'call', 'fire', 'watch', 'mcp'])
    it(`starts fast: nothing of libp2p is loaded for what a running node is asked (${name})`, () => {
      const loaded = [...loadedBy(join(import.meta.dirname, `../../../src/cli/${name}.ts`))]
      assert.ok(loaded.length > 5, 'the imports are found')
      assert.deepEqual(
        loaded.filter((one) => /^(libp2p|@libp2p|@multiformats|@noble|multiformats|ajv)/.test(one)),
        []
      )
    })

  it('wrong usage is exit code 2, told on stderr', async () => {
    const wrong: [string[], RegExp][] = [
      [[], /Usage: atmo/],
      [['statsu'], /Did you mean status/],
      [['call', 'x', 'y', '--params', '{'], /--params is not JSON/]
    ]
    const ends = await Promise.all(wrong.map(([args]) => atmo(args)))
    ends.forEach(({ code, stdout, stderr }, index) => {
      const [args, message] = wrong[index]!
      assert.deepEqual([code, stdout], [2, ''], args.join(' '))
      assert.match(stderr, message)
    })
  })
  const WRONG: [string[], RegExp][] = [
    [['dance'], /unknown command 'dance'/],
    [['status', '--nope'], /unknown option/],
    [['status', 'extra'], /too many arguments/],
    [['call', 'x'], /missing required argument 'tool'/],
    [['call', 'x', 'y', '--timeout', 'soon'], /500ms, 5s, 2m/],
    [['fire', 'x', 'y', '--wait', '2h'], /--wait <duration>' argument '2h' is invalid.*at most 1m/],
    [['call', 'x', 'y', '--params', '@/does/not/exist'], /cannot read \/does\/not\/exist \(ENOENT\)/],
    [['call', 'x', 'y', '--param', 'novalue'], /KEY=VALUE/],
    [['call', 'x', 'y', '--params', '[1]', '--param', 'a=1'], /needs an object/],
    [['capabilities', '--status', 'alive'], /Allowed choices/],
    [['start', '--api', 'foo'], /--api: 'foo' is not an address for the local API/],
    [['start', '--api', '0.0.0.0:0'], /would be open to other machines/],
    [['start', '--listen', 'foo'], /--listen: "foo" is no multiaddr/],
    [['start', '--listen', '/ip4/127.0.0.1/udp/1'], /only TCP, WebSocket and WebRTC/],
    [['start', '--peer', '1.2.3.4:1'], /--peer: "1.2.3.4:1" is no multiaddr/],
    [['start', '--name', ''], /"" is no name for a node/],
    [['start', '--name', 'x'.repeat(65)], /is no name for a node/],
    [['treaty', 'offer', '--lend', 'x'], /required option '--with <mesh>'/],
    [['treaty', 'offer', '--with', 'x', '--for', '2y'], /30m, 12h or 90d/],
    [['treaty', 'show'], /which code/],
    [['treaty', 'dance'], /no such command: atmo treaty dance; there are: list, offer, show, accept, revoke$/],
    [['peers', 'dance'], /no such command: atmo peers dance; there are: add$/],
    [['routes', 'x'], /too many arguments/],
    [['route'], /missing required argument 'target'/],
    [['route', 'x', '--prefer', 'best'], /'best' is invalid\. Allowed choices are local, fast, cheap/],
    [['route', 'x', '--max-latency', '-5'], /milliseconds above 0/],
    [['route', 'x', '--max-latency', '0'], /milliseconds above 0/],
    [['route', 'x', '--max-latency', '2s'], /milliseconds above 0/],
    [['route', 'x', '--not-node', 'a', '--node', 'b', '--not-node', 'b'], /--node and --not-node both name b: nobody is left/],
    [['watch', ''], /a pattern of events must be TYPE or TYPE:EVENT/],
    [['watch', 'a/b:c:d'], /a pattern of events must be TYPE or TYPE:EVENT/],
    [['trace'], /missing required argument 'target'/],
    [['treaty', 'revoke', 'x', '--reason', 'x'.repeat(3000)], /--reason: at most \d+ characters/],
    [['treaty', 'accept', 'atmo1-ABC'], /this is an invite.*atmo join/],
    [['treaty', 'show', ' ATMO1ABC'], /this is an invite.*atmo join/],
    [['join', 'ATMO T1ABC'], /this is the code of a treaty.*atmo treaty accept/],
    [['invite', '--tag', 'UPPER'], /--tag: "UPPER" is no tag: small letters/],
    [['invite', ...'abcdefghi'.split('').flatMap((tag) => ['--tag', tag])], /--tag: a node has at most 8 tags/],
    [['revoke', 'x', '--reason', 'x'.repeat(3000)], /--reason: at most \d+ characters/],
    [['completion', 'tcsh'], /Allowed choices/]
  ]
  for (const [args, message] of WRONG) {
    it(`refuses: atmo ${args.join(' ')}`, () =>
      assert.rejects(
        parse(args),
        (error) => error instanceof CommanderError && error.exitCode !== 0 && message.test(error.message)
      ))
  }
  it('wrong usage with --json is one object on stdout', async () => {
    const [unknown, call] = await Promise.all([atmo(['peers', '--nope', '--json']), atmo(['call', 'x', '--json'])])
    assert.deepEqual([unknown.code, unknown.stderr, call.code, call.stderr], [2, '', 2, ''])
    const error = (JSON.parse(unknown.stdout) as { error: { code: string } }).error
    assert.equal(error.code, 'invalid_argument')
    assert.equal((JSON.parse(call.stdout) as { status: string }).status, 'error')
  })
  it('says how to start a node when none runs, with exit code 1', async () => {
    const [watch, status, call] = await Promise.all([
      atmo(['watch']),
      atmo(['status', '--json']),
      atmo(['call', 'x', 'y', '--json'])
    ])
    assert.deepEqual([watch.code, watch.stdout], [1, ''])
    assert.match(watch.stderr, /^error: No node is running here\. Start one with: atmo start\n/)
    const told = JSON.parse(status.stdout) as { error: { code: string; message: string } }
    assert.deepEqual(
      [status.code, told.error.code, told.error.message],
      [1, 'unavailable', 'No node is running here. Start one with: atmo start']
    )
    assert.deepEqual([call.code, (JSON.parse(call.stdout) as { status: string }).status], [1, 'error'])
    const peersAdd = ['peers', 'add', '/ip4/1.1.1.1/tcp/1']
    for (const args of [['peers'], peersAdd, ['capabilities'], ['routes'], ['route', 'x'], ['trace', 'x'], ['stop']]) {
      await assert.rejects(parse([...args, '--data-dir', dir]), { name: 'MeshError', code: 'unavailable' })
    }
  })
  it('sends its token to nobody when node.json is left over', async () => {
    await writeFile(join(dir, 'node.json'), JSON.stringify({ pid: 1, api: 'http://127.0.0.1:9', peerId: 'p', startedAt: 'x' }))
    await writeFile(join(dir, 'api-token'), 'T'.repeat(43))
    const { code, stderr } = await atmo(['status'])
    await rm(join(dir, 'node.json'))
    assert.equal(code, 1)
    assert.match(stderr, /No node is running here/)
  })
  it('says which file of the node it cannot read', async () => {
    await mkdir(join(dir, 'odd', 'node.json'), { recursive: true })
    const { code, stderr } = await atmo(['status', '--data-dir', join(dir, 'odd')])
    assert.equal(code, 1)
    assert.match(stderr, /^error: cannot read .*odd.* \(EISDIR\); run this as the user who started the node/)
  })
  it('says that a data directory is none, and makes none only to say no', async () => {
    const file = join(dir, 'file')
    await writeFile(file, '')
    const none = join(dir, 'none')
    const [odd, left, peers] = await Promise.all([
      atmo(['status', '--data-dir', file]),
      atmo(['leave', '--data-dir', none]),
      atmo(['peers', '--data-dir', none])
    ])
    assert.deepEqual([odd.code, left.code, peers.code], [1, 1, 1])
    assert.equal(odd.stderr, `error: the data directory ${file} is no directory; name another with --data-dir\n`)
    assert.match(left.stderr, /this node is of no mesh/)
    await assert.rejects(stat(none), { code: 'ENOENT' })
  })
  it('every command has a help text with its options', async () => {
    const [top, call, version] = await Promise.all([atmo(['--help']), atmo(['call', '--help']), atmo(['--version'])])
    for (const command of COMMANDS) assert.ok(top.stdout.includes(`  ${command}`), command)
    assert.deepEqual([top.code, call.code, version.code], [0, 0, 0])
    assert.match(call.stdout, /Usage: atmo call \[options\] <capability> <tool>[^]*--data-dir <dir>[^]*--json[^]*Examples:/)
    assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/)
    for (const command of (await createProgram(true)).commands) {
      assert.ok(COMMANDS.includes(command.name()) && command.description().length > 0)
      for (const { description, flags } of command.options) assert.ok(description.length > 0, flags)
      // What those two print is read by a shell, and by an MCP client.
      if (!['completion', 'mcp'].includes(command.name())) assert.match(command.helpInformation(), /--data-dir <dir>[^]*--json/)
    }
  })
  it('completion scripts name every command; bash accepts and uses its own', async () => {
    const scripts = await Promise.all(['bash', 'zsh', 'fish'].map(async (shell) => (await atmo(['completion', shell])).stdout))
    for (const script of scripts) for (const command of COMMANDS) assert.ok(script.includes(command), command)
    const file = join(dir, 'atmo.bash')
    await writeFile(file, scripts[0]!)
    const complete = (...words: string[]) =>
      `COMP_WORDS=(atmo ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _atmo; echo "\${COMPREPLY[@]}"`
    const tries: [string[], string][] = [
      [['call', '--ti'], '--timeout'],
      [['st'], 'start status stop'],
      [['invite', '--role', ''], 'owner admin member guest'],
      [['invite', '--role', 'me'], 'member'],
      [['ro'], 'rotate routes route'],
      [['route', '--prefer', ''], 'local fast cheap'],
      [['route', '--not'], '--not-node'],
      [['trace', '--j'], '--json'],
      [['help', 'st'], 'start status stop'],
      [['treaty', 'of'], 'offer'],
      [['treaty', 'offer', '--'], '--data-dir --json --with --lend --borrow --name --for --help'],
      [['treaty', 'accept', '--y'], '--yes'],
      [['peers', 'a'], 'add']
    ]
    const run = [`source ${file}`, ...tries.map(([words]) => complete(...words))].join('; ')
    const { stdout } = await promisify(execFile)('bash', ['-c', run])
    assert.deepEqual(stdout.split('\n'), [...tries.map(([, words]) => words), ''])
  })

  it('reads durations', () => {
    const good = {
      '500ms': 500,
      '5s': 5_000,
      '2m': 120_000,
      '1h': 3_600_000,
      '5': 5_000,
      '1.5s': 1_500,
      '24h': 86_400_000,
      '0.001': 1
    }
    for (const [text, ms] of Object.entries(good)) assert.equal(parseDuration(text), ms, text)
    for (const text of ['', '0', '-1s', 'soon', '5x', '25h', '0.1ms', 'Infinity', '1e3'])
      assert.throws(() => parseDuration(text), InvalidArgumentError, text)
    assert.deepEqual(['0', '0s', '500ms', '1m'].map(parseWait), [0, 0, 500, 60_000])
    for (const text of ['-1', '0.1ms', '61s', '2h', 'x']) assert.throws(() => parseWait(text), InvalidArgumentError, text)
  })
  it('shows durations and sizes', () => {
    assert.deepEqual([0.25, 1.25, 12.3, 999, 1_500, 61_000, 3_700_000, 180_000_000].map(showDuration), [
      '250 µs',
      '1.3 ms',
      '12 ms',
      '999 ms',
      '1.5 s',
      '1 min 1 s',
      '1 h 1 min',
      '2 d 2 h'
    ])
    assert.deepEqual([0, 999, 1_000, 1_234_567, 5e12].map(showBytes), ['0 B', '999 B', '1 kB', '1.2 MB', '5 TB'])
  })
  it('makes foreign text harmless', () => {
    assert.equal(plain('a\u001b[31mb\u0007\u202ec\u200bd\r\ne\u009b'), 'a[31mbcde')
    assert.equal(plain('say\u{e0068}\u{e0069}\u061c\u180e'), 'say', 'what only a model sees')
    assert.equal(plain('Küche 🍳 日本'), 'Küche 🍳 日本')
    const colors = picocolors.createColors(false)
    assert.equal(
      table(
        ['name', 'what'],
        [
          ['a\u001b[2J', 'x'.repeat(50)],
          ['long name', 'y']
        ],
        colors,
        30
      ),
      `NAME       WHAT\na[2J       ${'x'.repeat(18)}…\nlong name  y\n`
    )
  })
  it('shows a changed descriptor harmless, and says where two texts only look the same', () => {
    const colors = picocolors.createColors(false)
    const changed: ChangedDescriptor = {
      since: 's',
      hash: 'h',
      capability: [{ what: 'description', before: 'a', after: 'a\u{e0041}' }],
      tools: [
        { name: 'say', what: 'new', after: 'b\u001b[2J' },
        { name: 'pay', what: 'input' }
      ]
    }
    assert.deepEqual(showChanges(changed, colors), [
      'description',
      '  differs further on than is shown here, or in characters that do not show',
      '  was a',
      '  now a',
      'tool say: new',
      '  now b[2J',
      'tool pay: input'
    ])
    const event = {
      at: 1,
      event: 'descriptor-changed',
      node: 'p',
      nodeName: 'kitchen\u202e',
      capability: 'lamp',
      changed
    } as const
    assert.match(
      showEvent(event, colors),
      /! lamp on kitchen says something else of itself: description; tool say: new; tool pay: input atmo accept p lamp\n$/
    )
  })
  it('says what was accepted', () => {
    const changed = { since: '', hash: '', capability: [{ what: 'description' as const }], tools: [] }
    const event = { at: 1, event: 'descriptor-accepted', node: 'p', nodeName: 'kitchen', capability: 'lamp', changed } as const
    assert.match(showEvent(event, picocolors.createColors(false)), /lamp on kitchen is accepted as it is now: description\n$/)
  })
  it('says of which mesh a call that waits comes, without what a name hides', () => {
    const call = {
      kind: 'call',
      callerName: 'radio\u202e',
      callerRole: 'guest',
      capability: 'lamp',
      tool: 'on',
      inputBytes: 2,
      inputSha256: ''
    } as const
    const event = { at: 1, event: 'approval', id: '3', caller: 'p', ...call, mesh: 'club\u001b[2J', meshId: 'm' } as const
    assert.match(
      showEvent(event, picocolors.createColors(false)),
      /\? lamp on waits for your yes: atmo approve 3 radio \S+ \(of club\[2J\)\n$/
    )
  })
  it('colours only where a person looks', () => {
    assert.ok(wantsColor({ isTTY: true }, {}))
    assert.ok(!wantsColor({}, {}))
    assert.ok(!wantsColor({ isTTY: true }, { NO_COLOR: '1' }))
    assert.ok(wantsColor({ isTTY: true }, { NO_COLOR: '' }))
    assert.ok(!wantsColor({ isTTY: true }, { TERM: 'dumb' }))
    assert.ok(wantsColor({}, { FORCE_COLOR: '1' }))
  })
})
