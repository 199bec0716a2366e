import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend } from '../../src/backends/backend.ts'
import type { SpeechConfig } from '../../src/backends/speech-config.ts'
import { readVoices } from '../../src/backends/speech-voice.ts'
import { MAX_TEXT, createSpeechBackend } from '../../src/backends/speech.ts'
import type { JsonObject } from '../../src/core/invoke.ts'
import { compileIntent } from '../../src/core/triggers/intent-template.ts'
import { requireProgram } from '../fixtures/system-program.ts'
import { backendContract, collect, errorOf, invoke, isProcessGone, resultOf, run, until } from './contract.ts'
import { watchEvents } from './watched-events.ts'

/** A player that plays nothing for ever, and says which process it is. */
const ENDLESS = ['sh', '-c', 'echo $$ > player.pid; cat > /dev/null; exec sleep 1000']

describe('speech backend', () => {
  let folder: string

  before(function () {
    requireProgram(this, 'espeak-ng')
  })
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atmo-speech-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  const make = (config: Partial<SpeechConfig> = {}): Backend =>
    createSpeechBackend({ kind: 'speech', ...config }, { baseDir: folder, recheckMs: 20 })
  const speak = (backend: Backend, input: JsonObject, signal?: AbortSignal) =>
    invoke(backend, 'speech', 'speak', input, { signal })
  const bytesOf = async (backend: Backend, input: JsonObject): Promise<Buffer> => {
    const items = await collect(speak(backend, input))
    return Buffer.concat(items.flatMap((item) => (item.kind === 'bytes' ? [item.bytes] : [])))
  }

  backendContract('speech', async () => {
    const own = await mkdtemp(join(tmpdir(), 'atmo-speech-'))
    return {
      backend: createSpeechBackend({ kind: 'speech', player: ENDLESS }, { baseDir: own }),
      capability: 'speech',
      echo: {
        tool: 'speak',
        input: (n) => ({ text: 'One two three.', rate: 100 + n, play: false }),
        output: (n) => {
          const wav = execFileSync('espeak-ng', ['-v', 'en', '-s', String(100 + n), '--stdout', 'One two three.'])
          const durationMs = Math.round(((wav.length - 44) / 44_100) * 1_000)
          return { durationMs, voice: 'en', played: false, mediaType: 'audio/wav', bytes: wav.length }
        }
      },
      slow: {
        tool: 'speak',
        input: { text: 'x' },
        isGone: async () => {
          const pid = Number(await readFile(join(own, 'player.pid'), 'utf8').catch(() => '0'))
          return pid === 0 || isProcessGone(pid)
        }
      },
      dispose: () => rm(own, { recursive: true, force: true })
    }
  })

  it('gives speech as a WAV file whose header is true', async () => {
    const backend = make()
    const running = run(backend)
    const { tools, scope } = await running.snapshot(({ status }) => status === 'online')
    assert.equal(scope, undefined)
    const declared = tools?.[0]?.input as { properties: object }
    assert.deepEqual(Object.keys(declared.properties), ['text', 'voice', 'rate', 'bytes'])
    const wav = await bytesOf(backend, { text: 'Good morning.\n--version "quoted" $HOME' })
    assert.equal(wav.toString('latin1', 0, 4), 'RIFF')
    assert.equal(wav.readUInt32LE(4), wav.length - 8)
    assert.equal(wav.readUInt32LE(40), wav.length - 44)
    assert.ok(wav.subarray(44).some((byte) => byte !== 0))
    const slow = await bytesOf(backend, { text: 'Good morning', rate: 80 })
    const fast = await bytesOf(backend, { text: 'Good morning', rate: 400 })
    assert.ok(slow.length > 2 * fast.length)
    assert.ok(
      !(await bytesOf(backend, { text: 'Good morning', voice: 'de' })).equals(await bytesOf(backend, { text: 'Good morning' }))
    )
    await running.stop()
  })

  it('plays in turn, keeps files, and tells when it is done', async () => {
    const player = ['sh', '-c', 'echo begin >> log; cat > last.wav; sleep 0.1; echo end >> log']
    const backend = make({ player, folder: 'said', keepFiles: 2 })
    const events = watchEvents(backend)
    const results = await Promise.all([1, 2, 3].map((n) => resultOf(speak(backend, { text: `Number ${n}` }))))
    assert.equal(await readFile(join(folder, 'log'), 'utf8'), 'begin\nend\n'.repeat(3))
    await until(() => events.events.length === 3, 'three events')
    const payloads = events.events.map(({ payload }) => payload as JsonObject)
    assert.deepEqual(payloads.map(({ text }) => text).sort(), ['Number 1', 'Number 2', 'Number 3'])
    for (const [n, result] of (results as JsonObject[]).entries()) {
      const payload = payloads.find(({ text }) => text === `Number ${n + 1}`)!
      const { mediaType, bytes, ...told } = result
      assert.deepEqual({ text: `Number ${n + 1}`, how: 'said', ...told }, payload)
      assert.equal(mediaType, 'audio/wav')
      assert.ok((bytes as number) > 1_000 && (told['durationMs'] as number) > 100)
      assert.equal(told['played'], true)
    }
    const kept = await readdir(join(folder, 'said'))
    assert.equal(kept.length, 2)
    assert.ok(kept.every((name) => payloads.some(({ file }) => file === name)))
    assert.equal((await readFile(join(folder, 'last.wav'))).toString('latin1', 0, 4), 'RIFF')
    await events.stop()
  })

  it('does not tell that something was said which was not played', async () => {
    const backend = make({ player: ['sh', '-c', 'cat > /dev/null'] })
    const running = run(backend)
    const { triggers = [] } = await running.snapshot(({ status }) => status === 'online')
    const intentOf = compileIntent({ id: 'speech' }, triggers[0]!)
    const events = watchEvents(backend)
    for (const play of [true, false]) await resultOf(speak(backend, { text: 'Dinner', play }))
    await until(() => events.events.length === 2, 'two events')
    assert.deepEqual(
      events.events.map(({ payload }) => intentOf(payload as JsonObject)),
      ['It was said: Dinner', 'It was turned into speech, but not played: Dinner']
    )
    await events.stop()
    await running.stop()
  })

  it('a player that is missing is told to the log, once', async () => {
    const logged: string[] = []
    const log = (_: 'warn', message: string): void => void logged.push(message)
    const init = { baseDir: folder, recheckMs: 5, log }
    const backend = createSpeechBackend({ kind: 'speech', player: ['./player'] }, init)
    const running = run(backend)
    await running.snapshot(({ status }) => status === 'degraded')
    await writeFile(join(folder, 'player'), '#!/bin/sh\ncat > /dev/null\n', { mode: 0o755 })
    await running.snapshot(({ status }) => status === 'online')
    await running.stop()
    assert.equal(logged.length, 1)
    assert.match(logged[0]!, /^"speech" plays nothing: program ".*player"/)
  })

  it('lets the next one speak when one is cancelled', async () => {
    const backend = make({ player: ['sh', '-c', 'cat > /dev/null; touch speaking; [ -e go ] || exec sleep 1000'] })
    const [first, second] = [new AbortController(), new AbortController()]
    const calls = [first, second].map(({ signal }) => errorOf(speak(backend, { text: 'x' }, signal), 'cancelled'))
    const third = resultOf(speak(backend, { text: 'y' }))
    // One speaks, and the others wait for it.
    await until(async () => (await readdir(folder)).includes('speaking'), 'the first speech')
    second.abort()
    await writeFile(join(folder, 'go'), '')
    first.abort()
    await Promise.all(calls)
    assert.equal(((await third) as JsonObject)['played'], true)
  })

  it('refuses what cannot be said, and says what failed', async () => {
    const backend = make()
    const refused: JsonObject[] = [
      {},
      { text: ' ' },
      { text: 'x'.repeat(MAX_TEXT + 1) },
      { text: 'x', rate: 1 },
      { text: 'x', voice: '-w' }
    ]
    for (const input of refused) await errorOf(speak(backend, input), 'invalid_argument')
    const { message } = await errorOf(speak(backend, { text: 'x', voice: 'gibberish' }), 'invalid_argument')
    assert.match(message, /no voice "gibberish"; ask "list_voices"/)
    await errorOf(speak(backend, { text: 'x', play: true }), 'unsupported')
    const failing = await errorOf(
      speak(make({ player: ['sh', '-c', 'echo "no sound card" >&2; exit 1'] }), { text: 'x' }),
      'tool_failed'
    )
    assert.match(failing.message, /player "sh" failed: no sound card/)
    await writeFile(join(folder, 'said'), 'a file')
    const unkept = await errorOf(speak(make({ folder: 'said' }), { text: 'x' }), 'tool_failed')
    assert.match(unkept.message, /cannot be kept in its folder/)
  })

  it('lists its voices', async () => {
    const { voices } = (await resultOf(invoke(make(), 'speech', 'list_voices'))) as { voices: JsonObject[] }
    assert.ok(voices.length > 50)
    const { voices: english } = (await resultOf(invoke(make(), 'speech', 'list_voices', { language: 'en' }))) as {
      voices: JsonObject[]
    }
    assert.ok(english.length > 1 && english.every(({ voice }) => /^en(-|$)/.test(voice as string)))
    assert.deepEqual(readVoices('Pty Language Age/Gender VoiceName File\n 5  en-gb  --/F  English_(UK)  gmw/en  (en 2)\n'), [
      { voice: 'en-gb', name: 'English (UK)', gender: 'female' }
    ])
  })

  it('is offline without its program, and degraded without a player', async () => {
    const states: [Partial<SpeechConfig>, string, RegExp][] = [
      [{ espeak: 'no-such-espeak' }, 'offline', /"no-such-espeak" is not on PATH; install it/],
      [{ player: ['no-such-player'] }, 'degraded', /nothing can be played: program "no-such-player"/]
    ]
    for (const [config, status, reason] of states) {
      const running = run(make(config))
      const { statusReason } = await running.snapshot((capability) => capability.status === status)
      assert.match(statusReason ?? '', reason)
      await running.stop()
    }
  })
})
