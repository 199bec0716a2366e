import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { ObservedEvent } from '../../../src/mesh-api.ts'
import { until as eventually } from '../../fixtures/libp2p-pair.ts'
import { atmoCommand, startAtmo, startChild, type Child, type ChildOptions } from '../../fixtures/child.ts'

type Line = Record<string, unknown> & { error?: { code: string; message: string; details: Record<string, unknown> } }

describe('cli with a node', function () {
  this.timeout(60_000)
  let dir: string
  let node: Child
  let ready: Line
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-cli-'))
    node = startChild('test/fixtures/fake-node.ts', [dir, '--json'])
    ready = JSON.parse(await node.line()) as Line
  })
  after(async () => {
    node.process.kill('SIGKILL')
    await node.ended
    await rm(dir, { recursive: true, force: true })
  })
  const start = (args: string[], options: ChildOptions = {}) =>
    startAtmo([...args, '--data-dir', dir], {
      ...options,
      env: { FORCE_COLOR: undefined, NO_COLOR: undefined, ...options.env }
    })
  const atmo = async (args: string[], options: ChildOptions = {}) => {
    const { code, stdout, stderr } = await start(args, options).ended
    const lines = args.includes('--json')
      ? stdout
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line) as Line)
      : []
    return { code, stdout, stderr, lines }
  }

  it('ready says what scripts need', () => {
    assert.equal(ready['event'], 'ready')
    assert.equal(ready['name'], 'fake')
    assert.match(String(ready['api']), /^http:\/\/127\.0\.0\.1:\d+$/)
    assert.ok(Array.isArray(ready['multiaddrs']) && typeof ready['peerId'] === 'string')
  })
  it('status, peers, capabilities --json print one object', async () => {
    const [status, peers, capabilities] = await Promise.all([
      atmo(['status', '--json']),
      atmo(['peers', '--json']),
      atmo(['capabilities', '--json', '--tool', 'echo'])
    ])
    for (const { code, lines } of [status, peers, capabilities]) assert.deepEqual([code, lines.length], [0, 1])
    assert.equal(status.lines[0]?.['api'], ready['api'])
    const [peer] = peers.lines[0]?.['peers'] as Record<string, unknown>[]
    for (const key of ['peerId', 'name', 'version', 'rttMs', 'direct', 'hops', 'via', 'capabilities'])
      assert.ok(key in peer!, key)
    const [capability] = capabilities.lines[0]?.['capabilities'] as Record<string, unknown>[]
    for (const key of ['id', 'type', 'node', 'name', 'status', 'tools', 'triggers']) assert.ok(key in capability!, key)
  })
  it('status, peers, capabilities are tables for people, without colour in a pipe', async () => {
    const texts = await Promise.all(['status', 'peers', 'capabilities'].map((command) => atmo([command])))
    assert.match(texts[0]!.stdout, /fake up 1 min 1 s/)
    assert.match(texts[1]!.stdout, /^NAME +PEER +RTT +ROUTE[^\n]*\nkitchen .*1\.3 ms +direct +mdns +demo\n/)
    assert.match(texts[1]!.stdout, /\npi-garden +\S+ +- +3 hops via kitchen +peer\ncellar +\S+ +- +no way known +peer\n$/)
    assert.match(texts[2]!.stdout, /^CAPABILITY[^\n]*\ndemo +test\/demo +kitchen +online +echo/)
    for (const { stdout, code } of texts) assert.ok(code === 0 && !stdout.includes('\u001b'))
  })
  it('approvals says what is cut, and shows one whole, with what would not show', async () => {
    const [list, one, json, none] = await Promise.all([
      atmo(['approvals']),
      atmo(['approvals', '1']),
      atmo(['approvals', '1', '--json']),
      atmo(['approvals', '9', '--json'])
    ])
    assert.match(list.stdout, /^1 +lamp on .*CUT, 3 kB: x+…+$/m)
    assert.match(list.stdout, /^2 +"pi" joins as member .*shows 012 345$/m)
    assert.match(list.stdout, /^3 +lamp on +agent keeper of this node for \S+ /m)
    assert.match(list.stderr, /All of an input, also where it is cut here: atmo approvals ID/)
    assert.match(one.stdout, /^lamp on {2}other \S+, member\n {2}peer 12D3KooW\w+\n {2}input: 3 kB, SHA-256 (ab){32}\n\{\n/)
    assert.match(one.stdout, /"note": " {3000}off\\u200b"\n\}\n$/)
    assert.equal((json.lines[0]?.['input'] as Line)['note'], `${' '.repeat(3_000)}off\u200b`)
    assert.deepEqual([none.code, (none.lines[0]?.['error'] as Line)['code']], [1, 'not_found'])
  })
  it('capabilities takes ID@NODE, as call does', async () => {
    const [one, none, mistyped] = await Promise.all([
      atmo(['capabilities', 'demo@kitchen']),
      atmo(['capabilities', 'other@kitchen']),
      atmo(['capabilities', 'demmo'])
    ])
    assert.match(one.stdout, /^demo {2}test\/demo {2}online\n {2}on kitchen/)
    assert.equal(none.stdout, 'Nothing fits.\n')
    assert.match(none.stderr, /^nothing has the id "other"/)
    const hint = 'nothing has the id "demmo"; did you mean "demo"?\n'
    assert.deepEqual([mistyped.code, mistyped.stdout, mistyped.stderr], [0, 'Nothing fits.\n', hint])
  })
  it('FORCE_COLOR colours, NO_COLOR wins over it, --json has none', async () => {
    const env = { FORCE_COLOR: '1' }
    const [color, none, json] = await Promise.all([
      atmo(['status'], { env }),
      atmo(['status'], { env: { ...env, NO_COLOR: '1' } }),
      atmo(['status', '--json'], { env })
    ])
    assert.ok(color.stdout.includes('\u001b['))
    assert.ok(!none.stdout.includes('\u001b['))
    assert.ok(!json.stdout.includes('\u001b['))
  })
  it('peers add', async () => {
    const [ok, bad] = await Promise.all([
      atmo(['peers', 'add', '/ip4/192.0.2.9/tcp/1', '--json']),
      atmo(['peers', 'add', 'nonsense', '--json'])
    ])
    assert.deepEqual([ok.code, ok.lines], [0, [{ added: '/ip4/192.0.2.9/tcp/1' }]])
    assert.deepEqual([bad.code, bad.lines[0]?.error?.code], [2, 'invalid_argument'])
  })

  it('fire says what became of it; what goes nowhere is a failure', async () => {
    const fire = (payload: string, ...more: string[]) => atmo(['fire', 'demo', 'bell', payload, ...more])
    const [delivered, queued, notKept, coalesced, full, json, none, usage] = await Promise.all([
      fire('{"n":1}'),
      fire('"queued"'),
      fire('"not kept"'),
      fire('"coalesced"'),
      fire('"full"', '--json'),
      fire('1', '--json', '--wait', '7ms'),
      atmo(['fire', 'demo', 'ring', '--json']),
      fire('{')
    ])
    assert.equal(delivered.stdout, 'delivered 1-8: guard@kitchen\n')
    assert.equal(queued.stdout, 'queued 1-8: nobody is there who handles it\n')
    const away = await fire('"away"')
    assert.equal(
      away.stdout,
      'queued 1-8: nobody takes it now: guard@kitchen is suspended (on holiday); on kitchen: atmo agents guard --resume | own@fake is suspended; atmo agents own --resume | fan@kitchen is suspended; it gets the event when its program resumes it | and 2 more\n'
    )
    assert.match(notKept.stdout, /^queued .*could not be written to disk: a restart loses it\n$/)
    assert.match(coalesced.stdout, /^coalesced/)
    assert.deepEqual(
      [delivered, queued, notKept, coalesced].map(({ code }) => code),
      [0, 0, 0, 0]
    )
    assert.deepEqual([full.code, full.lines[0]?.error?.code, full.lines[0]?.error?.details['reason']], [1, 'unavailable', 'full'])
    assert.deepEqual([json.code, json.lines[0]?.['outcome'], (json.lines[0]?.['tried'] as string[]).length], [0, 'delivered', 1])
    assert.deepEqual([none.code, none.lines[0]?.error?.code], [1, 'unknown_trigger'])
    assert.equal(usage.code, 2)
    const [again, other, wrong] = await Promise.all([
      fire('1', '--key', 'again'),
      fire('1', '--key', 'reading "17" \\', '--json'),
      fire('1', '--key', 'gr\u00fcn')
    ])
    assert.equal(again.stdout, 'delivered 1-8: guard@kitchen (fired before with this key)\n')
    assert.deepEqual([other.code, 'duplicate' in other.lines[0]!], [0, false])
    assert.deepEqual([wrong.code, /--key/.test(wrong.stderr)], [2, true])
    const piped = await atmo(['fire', 'demo', 'bell', '-'], { input: '"queued"' })
    assert.match(piped.stdout, /^queued/)
  })
  it('events lists what waits, with why, and discards', async () => {
    const list = await atmo(['events'])
    assert.match(
      list.stdout,
      /^ID +EVENT +PRIORITY [^\n]*\n1-6 +demo bell +high +\d+ d \d+ h +3 +guard@kitchen +not taken, is tried again; busy: too many +Somebody rings\./
    )
    const [json, unknown, wrong] = await Promise.all([
      atmo(['events', '--json']),
      atmo(['events', 'discard', '1-9', '--json']),
      atmo(['events', 'forget'])
    ])
    assert.deepEqual([json.lines[0]?.['total'], (json.lines[0]?.['events'] as unknown[]).length], [1, 1])
    assert.deepEqual([unknown.code, unknown.lines[0]?.error?.code], [1, 'not_found'])
    assert.equal(wrong.code, 2)
    assert.equal((await atmo(['events', 'discard', '1-6'])).stdout, '1-6 is forgotten\n')
    assert.equal((await atmo(['events'])).stdout, 'None.\n')
  })
  it('examples lists, adds and forgets, and asks what to forget', async () => {
    assert.equal((await atmo(['examples'])).stdout, 'None.\n')
    assert.equal((await atmo(['examples', 'add', 'demo', 'ring the bell'])).stdout, '"ring the bell" means demo\n')
    await atmo(['examples', 'add', 'demo', 'a model said so'])
    const [list, json, unknown, wrong, nothing] = await Promise.all([
      atmo(['examples']),
      atmo(['examples', '--json']),
      atmo(['examples', 'add', 'nosuch', 'x', '--json']),
      atmo(['examples', 'learn']),
      atmo(['examples', 'forget'])
    ])
    assert.match(
      list.stdout,
      /^MEANS +TEXT +BY *\ndemo +ring the bell +person *\ndemo +a model said so +model at kitchen …eKitchen *\n$/
    )
    const demo = { capability: 'demo', type: 'test/demo' }
    const examples = [
      { ...demo, text: 'ring the bell', by: 'person' },
      { ...demo, text: 'a model said so', by: 'model', node: '12D3KooWFakeKitchen', nodeName: 'kitchen' }
    ]
    assert.deepEqual(json.lines, [{ learns: true, examples }])
    assert.deepEqual([unknown.code, unknown.lines[0]?.error?.code], [1, 'unknown_capability'])
    assert.deepEqual([wrong.code, nothing.code], [2, 2])
    const [near, far] = await Promise.all([
      atmo(['examples', 'forget', 'dmeo']),
      atmo(['examples', 'forget', 'demo', '--text', 'no such text', '--json'])
    ])
    assert.deepEqual([near.code, near.stdout], [1, ''])
    assert.match(near.stderr, /^error: this node has no examples of "dmeo"; did you mean "demo"\?\n/)
    assert.deepEqual(
      [far.code, far.lines[0]?.error?.code, far.lines[0]?.error?.message],
      [1, 'invalid_argument', 'no example of "demo" is "no such text"; see atmo examples']
    )
    await atmo(['route', 'please do it', '--confirm'])
    assert.equal((await atmo(['examples', 'forget', 'demo', '--text', 'please do it'])).stdout, '1 forgotten\n')
    assert.deepEqual((await atmo(['examples', 'forget', '--all', '--json'])).lines, [{ forgotten: 2 }])
  })
  it('route --explain says by what words were understood that mean nothing, or several things', async () => {
    const by = { path: 'both', model: 'tiny', reason: 'vectors of tiny (capability nomic, int8) of 2 of 2 capabilities' }
    const [none, several, plain, json] = await Promise.all([
      atmo(['route', 'fly me to the moon', '--explain']),
      atmo(['route', 'perhaps to the moon', '--explain']),
      atmo(['route', 'fly me to the moon']),
      atmo(['route', 'fly me to the moon', '--explain', '--json'])
    ])
    assert.match(
      none.stderr,
      /^error: no capability is meant by "fly me to the moon"[^\n]*\nunderstood by words and vectors: vectors of tiny [^\n]*\n$/
    )
    assert.match(
      several.stderr,
      /^error: "perhaps to the moon" may mean [^\n]*\nunderstood by words and vectors: vectors of tiny /
    )
    assert.doesNotMatch(plain.stderr, /understood by/)
    assert.deepEqual(json.lines[0]?.error?.details?.['by'], by)
    assert.deepEqual(
      [none, several, plain, json].map(({ code }) => code),
      [1, 1, 1, 1]
    )
  })
  it('dead-letters lists, discards, and knows no others', async () => {
    const list = await atmo(['dead-letters'])
    assert.match(list.stdout, /^ID +EVENT[^\n]*\n1-7 +demo bell +door +tool_failed +no arms +Somebody rings\./)
    const [json, unknown, wrong] = await Promise.all([
      atmo(['dead-letters', '--json']),
      atmo(['dead-letters', 'replay', '1-9', '--json']),
      atmo(['dead-letters', 'forget'])
    ])
    assert.equal((json.lines[0]?.['letters'] as unknown[]).length, 1)
    assert.deepEqual([unknown.code, unknown.lines[0]?.error?.code], [1, 'not_found'])
    assert.equal(wrong.code, 2)
    const discarded = await atmo(['dead-letters', 'discard', '1-7'])
    assert.deepEqual([discarded.code, discarded.stdout], [0, '1-7 is forgotten\n'])
    assert.equal((await atmo(['dead-letters'])).stdout, 'None.\n')
  })

  describe('call', () => {
    it('--json prints a line per item, a status last', async () => {
      const { code, lines } = await atmo(['call', 'demo', 'items', '--json'])
      assert.equal(code, 0)
      assert.deepEqual(
        lines.slice(0, 3).map(({ kind }) => kind),
        ['progress', 'json', 'json']
      )
      const last = lines[3]!
      assert.deepEqual([last['status'], last['result']], ['success', { sum: 1 }])
      assert.ok(
        typeof last['durationMs'] === 'number' && typeof last['provider'] === 'string' && typeof last['route'] === 'object'
      )
    })
    it('prints items and the result on stdout, the rest on stderr; text goes into a pipe as it is', async () => {
      const { code, stdout, stderr } = await atmo(['call', 'demo', 'items'])
      assert.deepEqual([code, stdout], [0, '{\n  "n": 1\n}\ntext\u001b[31m\n{\n  "sum": 1\n}\n'])
      assert.match(stderr, /^✓ kitchen, direct, /)
    })
    it('gives the input by --params, a file, stdin and --param', async () => {
      const file = join(dir, 'input.json')
      await writeFile(file, '{"a":"file"}')
      const call = (...args: string[]) => ['call', 'demo', 'echo', '--json', ...args]
      const [inline, fromFile, stdin, keys, both] = await Promise.all([
        atmo(call('--params', '{"a":[1]}')),
        atmo(call('--params', `@${file}`)),
        atmo(call('--params', '-'), { input: '{"a":"stdin"}' }),
        atmo(
          call('--param', 'text=5', '--param', 'count=5', '--param', 'list=[1,"x"]', '--param', 'other=a=b', '--param', 'empty=')
        ),
        atmo(call('--params', '{"a":1,"b":1}', '--param', 'b=2'))
      ])
      assert.deepEqual(inline.lines.at(-1)?.['result'], { a: [1] })
      assert.deepEqual(fromFile.lines.at(-1)?.['result'], { a: 'file' })
      assert.deepEqual(stdin.lines.at(-1)?.['result'], { a: 'stdin' })
      // The schema says that `text` is a string.
      assert.deepEqual(keys.lines.at(-1)?.['result'], { text: '5', count: 5, list: [1, 'x'], other: 'a=b', empty: '' })
      assert.deepEqual(both.lines.at(-1)?.['result'], { a: 1, b: 2 })
    })
    it('tells a failure with exit code 1', async () => {
      const [failed, unknown, people] = await Promise.all([
        atmo(['call', 'demo', 'fail', '--json']),
        atmo(['call', 'nothing', 'x', '--json']),
        atmo(['call', 'demo', 'fail'])
      ])
      assert.deepEqual(
        [failed.code, failed.lines],
        [1, [{ status: 'error', error: { code: 'internal', message: 'it broke', details: {} } }]]
      )
      assert.deepEqual(
        [unknown.code, unknown.lines[0]?.['status'], unknown.lines[0]?.error?.code],
        [1, 'error', 'unknown_capability']
      )
      assert.deepEqual([people.code, people.stdout, people.stderr], [1, '', 'error: it broke\n'])
    })
    it('writes bytes to --out, or raw to a pipe', async () => {
      const file = join(dir, 'out.bin')
      const [toFile, raw] = await Promise.all([
        atmo(['call', 'demo', 'bytes', '--out', file]),
        atmo(['call', 'demo', 'items', '--out', join(dir, 'none')])
      ])
      assert.deepEqual([toFile.code, toFile.stdout, raw.code], [0, '', 0])
      assert.deepEqual([...(await readFile(file))], [0, 255, 10, 13])
      const child = start(['call', 'demo', 'bytes'])
      const chunks: Buffer[] = []
      child.process.stdout.setEncoding('latin1').on('data', (text: string) => chunks.push(Buffer.from(text, 'latin1')))
      assert.equal((await child.ended).code, 0)
      assert.deepEqual([...Buffer.concat(chunks)], [0, 255, 10, 13])
    })
    it('starts the file over when the provider changes', async () => {
      const file = join(dir, 'restart.bin')
      const { code, stderr } = await atmo(['call', 'demo', 'restarts', '--out', file])
      assert.equal(code, 0, stderr)
      assert.deepEqual([...(await readFile(file))], [9])
    })
    it('leaves the file of --out alone when the call fails or yields no bytes', async () => {
      const [file, none] = [join(dir, 'kept.bin'), join(dir, 'none.bin')]
      await writeFile(file, 'precious')
      const [failed, empty, fresh, full] = await Promise.all([
        atmo(['call', 'demo', 'fail', '--out', file]),
        atmo(['call', 'demo', 'items', '--out', file]),
        atmo(['call', 'demo', 'items', '--out', none]),
        atmo(['call', 'demo', 'bytes', '--out', '/dev/full'])
      ])
      assert.deepEqual([failed.code, empty.code, fresh.code, full.code], [1, 0, 0, 1])
      assert.match(empty.stderr, /the tool yielded no bytes; .*kept\.bin was not written\n/)
      assert.match(full.stderr, /error: cannot write \/dev\/full \(ENOSPC\)/)
      assert.equal(await readFile(file, 'utf8'), 'precious')
      assert.deepEqual(
        (await readdir(dir)).filter((name) => /none\.bin|\.part$/.test(name)),
        []
      )
    })
    it('takes a byte order mark, and refuses input that is too deep or has no end', async () => {
      const [bom, deep] = [join(dir, 'bom.json'), join(dir, 'deep.json')]
      await writeFile(bom, '\ufeff{"text":"x"}')
      await writeFile(deep, `{"a":${'['.repeat(1e5)}${']'.repeat(1e5)}}`)
      const [ok, tooDeep, endless] = await Promise.all([
        atmo(['call', 'demo', 'echo', '--params', `@${bom}`]),
        atmo(['call', 'demo', 'echo', '--params', `@${deep}`]),
        atmo(['call', 'demo', 'echo', '--params', '@/dev/zero'])
      ])
      assert.deepEqual([ok.code, tooDeep.code, endless.code], [0, 2, 2], ok.stderr)
      assert.match(tooDeep.stderr, /nested too deep; 128 levels/)
      assert.match(endless.stderr, /\/dev\/zero is over 33554432 bytes/)
    })
    it('says that standard output cannot be written', async () => {
      const full = await open('/dev/full', 'w')
      const child = spawn(atmoCommand()[0]!, [atmoCommand()[1]!, 'status', '--data-dir', dir], {
        stdio: ['ignore', full.fd, 'pipe']
      })
      const [said, ended] = await Promise.all([text(child.stderr!), once(child, 'exit')])
      await full.close()
      assert.deepEqual([ended[0], said], [1, 'error: cannot write to standard output (ENOSPC)\n'])
    })
    it('Ctrl-C cancels the tool where it runs', async () => {
      const seen = new Promise<void>((resolve) =>
        node.process.stderr.on('data', (text: string) => text.includes('cancelled') && resolve())
      )
      const child = start(['call', 'demo', 'forever', '--json'])
      assert.equal(await child.line(), '{"kind":"json","value":"started"}')
      child.process.kill('SIGINT')
      const { code, stdout } = await child.ended
      assert.equal(code, 1)
      assert.equal((JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as Line).error?.code, 'cancelled')
      await seen
    })
    it('a client that is killed cancels the tool, too', async () => {
      const seen = new Promise<void>((resolve) =>
        node.process.stderr.on('data', (text: string) => text.includes('cancelled') && resolve())
      )
      const child = start(['call', 'demo', 'forever', '--json'])
      await child.line()
      child.process.kill('SIGKILL')
      await seen
      await child.ended
    })
    it('ends quietly when its reader goes', async () => {
      const child = start(['call', 'demo', 'forever', '--json'])
      await child.line()
      const watcher = start(['watch', '--json'])
      watcher.process.stdout.destroy()
      child.process.kill('SIGKILL')
      await child.ended
      // Events keep coming until the write fails.
      const timer = setInterval(() => node.process.stdin.write('{"at":1,"event":"network","state":"ok","message":"m"}\n'), 20)
      const { code, stderr } = await watcher.ended
      clearInterval(timer)
      assert.deepEqual([code, stderr], [0, ''])
    })
  })

  it('watch streams events, filtered, until Ctrl-C', async () => {
    const child = start(['watch', 'peer:*', '--json'])
    const timer = setInterval(
      () =>
        node.process.stdin.write(
          '{"at":1,"event":"network","state":"ok","message":"m"}\n{"at":2,"event":"peer:join","peerId":"p","name":"attic"}\n'
        ),
      20
    )
    const line = JSON.parse(await child.line()) as Line
    clearInterval(timer)
    assert.deepEqual(line, { at: 2, event: 'peer:join', peerId: 'p', name: 'attic' })
    child.process.kill('SIGINT')
    assert.equal((await child.ended).code, 0)
  })
  it('watch of types shows the events of capabilities, with the names of their nodes, and as CloudEvents', async () => {
    const event = (given: Partial<ObservedEvent> = {}): string => {
      const ids = { id: '1-1', mesh: 'open', node: '12D3KooWFakeKitchen', capability: 'cam', sequence: '0'.repeat(26) }
      const what = { capabilityType: 'sensor/camera', event: 'person', type: 'sensor.camera.person', priority: 'high' as const }
      const rest = { intent: 'Somebody\u001b[31m.', payload: { at: 'door' }, depth: 0, coalesced: 1, lost: 0, causes: [] }
      return `${JSON.stringify({ ...ids, ...what, ...rest, ...given } satisfies ObservedEvent)}\n`
    }
    const [text, json, single] = [
      ['watch', 'sensor/*'],
      ['watch', 'sensor/**:person', '--json'],
      ['watch', 'doorbell:*', '--json']
    ].map((args) => start(args)) as [Child, Child, Child]
    const large = { priority: 'critical' as const, subject: 'hall', coalesced: 3, lost: 2, payload: 'x'.repeat(600) }
    const timer = setInterval(() => {
      node.process.stdin.write(event() + event({ node: String(ready['peerId']), ...large }))
      node.process.stdin.write(event({ capabilityType: 'doorbell', type: 'doorbell.rings', event: 'rings' }))
      node.process.stdin.write('{"at":1,"event":"network","state":"ok","message":"m"}\n')
    }, 20)
    const [first, second, told, rings] = [await text.line(), await text.line(), await json.line(), await single.line()]
    clearInterval(timer)
    const lines = [first, second].map((line) => line.replace(/^\d\d:\d\d:\d\d /, '')).sort()
    assert.deepEqual(lines, [
      '! sensor.camera.person cam on kitchen: Somebody[31m. {"at":"door"}',
      `(2 before it are lost) !! sensor.camera.person hall x3 cam on this node: Somebody[31m. "${'x'.repeat(499)}…`
    ])
    const { specversion, type, data } = JSON.parse(told) as Line
    assert.deepEqual([specversion, type, data], ['1.0', 'sensor.camera.person', { at: 'door' }])
    assert.equal((JSON.parse(rings) as Line)['type'], 'doorbell.rings')
    for (const child of [text, json, single]) child.process.kill('SIGINT')
    for (const child of [text, json, single]) assert.equal((await child.ended).code, 0)
  })
  it('watch of types says on stderr whose events do not come, and which', async () => {
    const observing = (...states: [state: 'open' | 'asking', ...refused: string[]][]): void => {
      const sources = states.map(([state, ...refused]) => ({ node: '12D3KooWFakeKitchen', state, refused }))
      node.process.stdin.write(`${JSON.stringify({ observing: sources })}\n`)
    }
    observing(['open', 'mic'])
    const [text, json] = [start(['watch', 'sensor/*']), start(['watch', 'sensor/*', '--json'])]
    const said = { text: '', json: '' }
    text.process.stderr.on('data', (more: string) => (said.text += more))
    json.process.stderr.on('data', (more: string) => (said.json += more))
    const until = (what: 'text' | 'json', words: string): Promise<void> =>
      eventually(() => said[what].includes(words), `${what} says ${words}`, 30_000)
    // One after the other, since of those that are not read the last one alone is told.
    for (const what of ['text', 'json'] as const) await until(what, 'mic')
    observing(['asking', 'mic'])
    await until('text', 'do not come now')
    await until('json', '"asking"')
    observing(['open', 'mic', 'cam\u001b[31m'])
    await until('text', 'cam')
    await until('json', 'cam')
    observing(['open'])
    await until('text', 'lets this node observe')
    observing()
    await until('text', 'do not come any more')
    await until('json', '"sources":[]')
    for (const child of [text, json]) child.process.kill('SIGINT')
    for (const child of [text, json]) assert.deepEqual([(await child.ended).code, (await child.ended).stdout], [0, ''])
    assert.deepEqual(said.text.trimEnd().split('\n').slice(1), [
      'note: nothing that is announced now raises events of sensor/*; events are raised by test/demo; what comes later is shown',
      'note: kitchen does not let this node observe mic',
      'note: events of kitchen do not come now',
      'note: events of kitchen come again',
      'note: kitchen does not let this node observe cam[31m',
      'note: kitchen lets this node observe mic, cam[31m now',
      'note: events of kitchen do not come any more'
    ])
    const [unmatched, first] = said.json.split('\n')
    assert.deepEqual(JSON.parse(unmatched!), { unmatched: { pattern: 'sensor/*', known: ['test/demo'] } })
    assert.deepEqual(JSON.parse(first!), { sources: [{ node: '12D3KooWFakeKitchen', state: 'open', refused: ['mic'] }] })
    const wrong = await atmo(['watch', 'Sensor/*'])
    assert.deepEqual([wrong.code, wrong.stdout], [2, ''])
    assert.match(wrong.stderr, /^error: a pattern of events must be TYPE or TYPE:EVENT/)
  })
})
