import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileArguments } from '../../src/backends/command-arguments.ts'
import type { CommandConfig, CommandToolConfig } from '../../src/backends/command-config.ts'
import { MAX_LINE_BYTES, MAX_RESULT_BYTES } from '../../src/backends/command-output.ts'
import { MAX_STDERR_BYTES } from '../../src/backends/child-process.ts'
import { createCommandBackend } from '../../src/backends/command.ts'
import type { Backend, TriggerEvent } from '../../src/backends/backend.ts'
import type { Item, JsonObject } from '../../src/core/invoke.ts'
import { isMeshError } from '../../src/errors.ts'
import { backendContract, collect, errorOf, invoke, isProcessGone, resultOf, run, until, within } from './contract.ts'

const NODE = process.execPath
const text = (...names: string[]): JsonObject => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, {}]))
})

/** A backend `c` with these tools. */
function backendWith(...tools: CommandToolConfig[]): Backend {
  return createCommandBackend({ kind: 'command', id: 'c', type: 'test/command', tools }, { baseDir: tmpdir() })
}

/** The processes that a tool printed as JSON lines or plain numbers. */
async function pidsGone(items: Item[]): Promise<boolean> {
  const pids = items.flatMap((item) => (item.kind === 'json' ? [Number(item.value)] : []))
  assert.ok(pids.length > 0 && pids.every((pid) => pid > 1))
  return (await Promise.all(pids.map(isProcessGone))).every(Boolean)
}

backendContract('command', () => ({
  backend: backendWith(
    { name: 'echo', run: ['printf', '%s', '{n}'], input: text('n'), stdout: 'json' },
    { name: 'slow', run: ['sh', '-c', 'echo $$; exec sleep 1000'], streams: true },
    { name: 'fail', run: ['sh', '-c', 'echo first >&2; echo "no such llama" >&2; exit 3'] }
  ),
  capability: 'c',
  echo: { tool: 'echo', input: (n) => ({ n }), output: (n) => n },
  slow: { tool: 'slow', input: {}, isGone: pidsGone },
  failing: { tool: 'fail', input: {}, message: /exit code 3: no such llama/ }
}))

describe('command backend: arguments', () => {
  const build = (run: string[], input: JsonObject, allowDash = false): string[] =>
    compileArguments({ name: 't', run: ['p', ...run], input: text('a', 'b'), allowDash })(input)

  it('fills placeholders, each value in one argument', () => {
    assert.deepEqual(build(['{a}', 'x={a},y={b}'], { a: 'one two; rm -rf "$HOME" `id` \n*', b: 2 }), [
      'one two; rm -rf "$HOME" `id` \n*',
      'x=one two; rm -rf "$HOME" `id` \n*,y=2'
    ])
    assert.deepEqual(build(['{a}', '{b}'], { a: true, b: [1, 'x'] }), ['true', '[1,"x"]'])
    assert.deepEqual(build(['{a}'], { a: '' }), [''])
  })

  it('does not fill values again', () => {
    assert.deepEqual(build(['{a}'], { a: '{b}', b: 'secret' }), ['{b}'])
  })

  it('drops an argument whose value is missing', () => {
    assert.deepEqual(build(['-v', '--size={a}', '{b}', 'end'], { b: null }), ['-v', 'end'])
    assert.deepEqual(build(['{a}'], Object.create({ a: 'inherited' }) as JsonObject), [])
  })

  it('leaves other braces alone', () => {
    assert.deepEqual(build(['{"a":{"b":1}}', '{ print $1 }', '{{a}}', '{}'], { a: 1 }), [
      '{"a":{"b":1}}',
      '{ print $1 }',
      '{a}',
      '{}'
    ])
  })

  it('refuses values that the program could take for options', () => {
    const refused = (run: string[], input: JsonObject): void =>
      assert.throws(
        () => build(run, input),
        (error) => isMeshError(error, 'invalid_argument')
      )
    refused(['{a}'], { a: '-rf' })
    refused(['{a}'], { a: '--output=/etc/passwd' })
    refused(['{a}'], { a: -5 })
    refused(['{a}{b}'], { a: '', b: '-x' })
    refused(['{a}'], { a: 'x\0y' })
    assert.deepEqual(build(['--n={a}'], { a: '-5' }), ['--n=-5'])
    assert.deepEqual(build(['{a}'], { a: '-5' }, true), ['-5'])
  })

  it('refuses an argument that no system takes', () => {
    assert.throws(
      () => build(['{a}'], { a: 'é'.repeat(70_000) }),
      (error) => isMeshError(error, 'too_large')
    )
  })

  it('refuses configurations that cannot work', () => {
    const broken = (tool: Partial<CommandToolConfig>): void =>
      assert.throws(
        () => backendWith({ name: 't', run: ['p'], ...tool }),
        (error) => isMeshError(error, 'invalid_config')
      )
    broken({ run: ['{a}'], input: text('a') })
    broken({ run: ['/bin/{a}'], input: text('a') })
    broken({ run: [] })
    broken({ run: ['p', '{typo}'], input: text('a') })
    assert.throws(
      () => backendWith({ name: 't', run: ['p'] }, { name: 't', run: ['p'] }),
      (error) => isMeshError(error, 'invalid_config')
    )
  })
})

describe('command backend: programs', () => {
  const result = (tool: Omit<CommandToolConfig, 'name'>, input: JsonObject = {}) =>
    resultOf(invoke(backendWith({ name: 't', ...tool }), 'c', 't', input))
  const items = (tool: Omit<CommandToolConfig, 'name'>, input: JsonObject = {}, stream?: AsyncIterable<Item>) =>
    collect(invoke(backendWith({ name: 't', ...tool }), 'c', 't', input, { stream }))
  const failure = (tool: Omit<CommandToolConfig, 'name'>, code: Parameters<typeof errorOf>[1]) =>
    errorOf(invoke(backendWith({ name: 't', ...tool }), 'c', 't'), code)

  it('never uses a shell', async () => {
    const hostile = '$(touch /tmp/owned); `id` && echo "$HOME" | cat > x'
    const script = 'console.log(JSON.stringify(process.argv.slice(1)))'
    assert.deepEqual(await result({ run: [NODE, '-e', script, '--', '{a}'], input: text('a'), stdout: 'json' }, { a: hostile }), [
      hostile
    ])
  })

  it('gives text, JSON, lines, JSON lines and bytes', async () => {
    assert.equal(await result({ run: ['printf', 'a b\\n\\n'] }), 'a b')
    assert.deepEqual(await result({ run: ['printf', '{"a":[1]}'], stdout: 'json' }), { a: [1] })
    assert.deepEqual(await items({ run: ['printf', 'a\\r\\nb\\n\\nc'], stdout: 'lines' }), [
      { kind: 'json', value: 'a' },
      { kind: 'json', value: 'b' },
      { kind: 'json', value: '' },
      { kind: 'json', value: 'c' },
      { kind: 'result', value: { lines: 4 } }
    ])
    assert.deepEqual(await items({ run: ['printf', '{"n":1}\\n\\n2\\n'], stdout: 'ndjson' }), [
      { kind: 'json', value: { n: 1 } },
      { kind: 'json', value: 2 },
      { kind: 'result', value: { lines: 2 } }
    ])
    const bytes = await items({ run: ['printf', '\\377\\001'], stdout: 'bytes' })
    assert.deepEqual(bytes, [
      { kind: 'bytes', bytes: new Uint8Array([255, 1]) },
      { kind: 'result', value: { bytes: 2 } }
    ])
  })

  it('streams lines as they come', async () => {
    const script = 'console.log("first"); process.stdin.on("data", () => { console.log("second"); process.exit() })'
    let send = (): void => {}
    async function* stream(): AsyncGenerator<Item> {
      await new Promise<void>((resolve) => (send = resolve))
      yield { kind: 'json', value: 'go' }
    }
    const seen: unknown[] = []
    const backend = backendWith({ name: 't', run: [NODE, '-e', script], stdin: 'stream', stdout: 'lines' })
    for await (const item of invoke(backend, 'c', 't', {}, { stream: stream() })) {
      if (item.kind === 'json') seen.push(item.value)
      // The program only goes on because its first line is here already.
      if (item.kind === 'json' && item.value === 'first') send()
    }
    assert.deepEqual(seen, ['first', 'second'])
  })

  it('streams through a program with backpressure on both sides', async () => {
    const total = 24 * 1024 * 1024
    let sent = 0
    async function* stream(): AsyncGenerator<Item> {
      while (sent < total) {
        sent += 65_536
        yield { kind: 'bytes', bytes: new Uint8Array(65_536) }
      }
    }
    const backend = backendWith({ name: 't', run: ['cat'], stdin: 'stream', stdout: 'bytes' })
    let got = 0
    let furthestAhead = 0
    for await (const item of invoke(backend, 'c', 't', {}, { stream: stream() })) {
      if (item.kind === 'bytes') got += item.bytes.length
      furthestAhead = Math.max(furthestAhead, sent - got)
      if (got < 1_000_000) await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal(got, total)
    assert.ok(furthestAhead < 2 * 1024 * 1024, `${furthestAhead} bytes ahead`)
  })

  it('gives the input as JSON on stdin, and does not mind programs that ignore it', async () => {
    assert.deepEqual(await result({ run: ['cat'], stdin: 'input', stdout: 'json' }, { a: [1, 'ü'] }), { a: [1, 'ü'] })
    assert.equal(await result({ run: ['true'], stdin: 'input' }, { a: 'x'.repeat(1_000_000) }), '')
    assert.equal(await result({ run: ['cat'], stdin: 'stream' }), '')
  })

  it('does not wait for a stream that never ends when the program has', async () => {
    async function* stream(): AsyncGenerator<Item> {
      yield { kind: 'json', value: 1 }
      await new Promise(() => {})
    }
    const got = await within(items({ run: ['head', '-n', '1'], stdin: 'stream' }, {}, stream()), 'the end')
    assert.deepEqual(got, [{ kind: 'result', value: '1' }])
  })

  it('tells exit code, signal and the end of stderr', async () => {
    const script = 'process.stderr.write("x".repeat(1e6) + "\\nthe last line\\n", () => process.exit(7))'
    const error = await failure({ run: [NODE, '-e', script] }, 'tool_failed')
    assert.match(error.message, /exit code 7: the last line$/)
    assert.equal(error.details['exitCode'], 7)
    assert.ok(String(error.details['stderr']).length <= MAX_STDERR_BYTES)
    const killed = await failure({ run: ['sh', '-c', 'kill -9 $$'] }, 'tool_failed')
    assert.equal(killed.details['signal'], 'SIGKILL')
    assert.match(
      (await failure({ run: ['sh', '-c', 'echo "{bad"; exit 4'], stdout: 'json' }, 'tool_failed')).message,
      /exit code 4/
    )
    assert.match((await failure({ run: ['echo', '{bad'], stdout: 'json' }, 'tool_failed')).message, /not JSON: \{bad/)
  })

  it('bounds its output', async () => {
    await failure({ run: ['sh', '-c', `head -c ${MAX_RESULT_BYTES + 1} /dev/zero`] }, 'too_large')
    await failure({ run: ['cat', '/dev/zero'], stdout: 'lines' }, 'too_large')
    const longest = await items({ run: ['sh', '-c', `head -c ${MAX_LINE_BYTES} /dev/zero; echo; echo x`], stdout: 'lines' })
    assert.equal(longest.length, 3)
  })

  it('passes on a safe environment only', async () => {
    process.env['ATMO_TEST_SECRET'] = 'secret'
    try {
      const env = (await result({
        run: [NODE, '-p', 'JSON.stringify(process.env)'],
        stdout: 'json',
        env: { MODE: 'test' }
      })) as JsonObject
      assert.equal(env['MODE'], 'test')
      assert.equal(env['PATH'], process.env['PATH'])
      assert.equal(env['ATMO_TEST_SECRET'], undefined)
    } finally {
      delete process.env['ATMO_TEST_SECRET']
    }
  })

  it('kills grandchildren, and those who ignore SIGTERM', async () => {
    const script = 'trap "" TERM; echo $$; sh -c \'trap "" TERM; echo $$; while :; do sleep 1; done\' & wait'
    const backend = backendWith({ name: 't', run: ['sh', '-c', script], stdout: 'lines' })
    const controller = new AbortController()
    const seen: Item[] = []
    const read = async (): Promise<void> => {
      for await (const item of invoke(backend, 'c', 't', {}, { signal: controller.signal })) {
        seen.push(item)
        if (seen.length === 2) controller.abort()
      }
    }
    await assert.rejects(read(), (error) => isMeshError(error, 'cancelled'))
    await until(() => pidsGone(seen), 'the end of both')
  })

  it('ends what a program leaves behind in its group', async () => {
    const seen = await items({ run: ['sh', '-c', 'sleep 1000 & echo $!'], stdout: 'lines' })
    await until(() => pidsGone(seen), 'the end of the background job')
  })

  it('does not wait for a daemon that holds the output open', async () => {
    const script = `const { spawn } = require('node:child_process')
      const child = spawn('sleep', ['1000'], { detached: true, stdio: 'inherit' })
      console.log(child.pid); process.exit()`
    const seen = await within(items({ run: [NODE, '-e', script], stdout: 'lines' }), 'the end of the call')
    const pid = seen[0]?.kind === 'json' ? Number(seen[0].value) : 0
    assert.ok(pid > 1 && !(await isProcessGone(pid)), 'a real daemon is left alone')
    process.kill(pid)
  })

  it('says unavailable when the program cannot be started', async () => {
    await failure({ run: ['no-such-program-at-all'] }, 'unavailable')
  })
})

describe('command backend: discovery', () => {
  let folder: string
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'atmo-command-'))))
  afterEach(() => rm(folder, { recursive: true }))

  it('declares tools without telling how they are made', async () => {
    const config: CommandConfig = {
      kind: 'command',
      id: 'speech',
      type: 'audio/generate',
      description: 'Speaks',
      tools: [
        {
          name: 'say',
          run: ['cat', '{text}'],
          input: text('text'),
          stdin: 'stream',
          stdout: 'bytes',
          env: { KEY: 'secret' },
          timeoutMs: 5,
          allowDash: true
        },
        { name: 'gone', run: ['no-such-program-at-all'] }
      ],
      triggers: [{ event: 'spoken', run: ['cat'] }]
    }
    const running = run(createCommandBackend(config, { baseDir: folder }))
    const capability = await running.snapshot()
    assert.deepEqual(capability.tools, [{ name: 'say', input: text('text'), timeoutMs: 5, streams: true, acceptsStream: true }])
    assert.deepEqual(capability.triggers, [{ event: 'spoken' }])
    assert.equal(capability.status, 'degraded')
    assert.match(capability.statusReason ?? '', /tool "gone": program "no-such-program-at-all" is not on PATH/)
    assert.ok(!JSON.stringify(capability).includes('secret') && !('kind' in capability))
    await running.stop()
  })

  it('is offline while its program is missing, and comes back', async () => {
    const config: CommandConfig = { kind: 'command', id: 'c', type: 't', tools: [{ name: 't', run: ['./tool.sh'] }] }
    const backend = createCommandBackend(config, { baseDir: folder, recheckMs: 20 })
    const running = run(backend)
    assert.match((await running.snapshot(({ status }) => status === 'offline')).statusReason ?? '', /tool\.sh/)
    await writeFile(join(folder, 'tool.sh'), '#!/bin/sh\necho hi\n', { mode: 0o755 })
    await running.snapshot(({ status }) => status === 'online')
    assert.equal(await resultOf(invoke(backend, 'c', 't')), 'hi')
    await rm(join(folder, 'tool.sh'))
    await errorOf(invoke(backend, 'c', 't'), 'unavailable')
    await running.snapshot(({ status }) => status === 'offline')
    await running.stop()
  })

  it('raises triggers from a program that runs all the time, and restarts it', async () => {
    const script = 'echo $$; echo \'{"level":3}\'; echo plain'
    const config: CommandConfig = {
      kind: 'command',
      id: 'c',
      type: 't',
      triggers: [{ event: 'line', run: ['sh', '-c', script] }]
    }
    const backend = createCommandBackend(config, { baseDir: folder })
    const controller = new AbortController()
    const events: TriggerEvent[] = []
    const read = async (): Promise<void> => {
      for await (const event of backend.watch!(controller.signal)) {
        events.push(event)
        if (events.length === 4) controller.abort()
      }
    }
    await within(read(), 'events of two runs')
    assert.deepEqual(events.slice(1, 3), [
      { capability: 'c', event: 'line', payload: { level: 3 } },
      { capability: 'c', event: 'line', payload: { line: 'plain' } }
    ])
    assert.notDeepEqual(events[0], events[3], 'another process')
  })
})
