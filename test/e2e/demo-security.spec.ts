import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atmoCommand, shareCompiled, startChild } from '../fixtures/child.ts'
import { startScriptedModel, type ScriptedAnswer, type ScriptedModel } from '../fixtures/scripted-model.ts'
import { requireProgram } from '../fixtures/system-program.ts'

interface Outcome {
  ok: boolean
  error?: string
  steps: { name: string; ok: boolean; ran: boolean }[]
  files: Record<string, string>
  flow: { atMs: number; tookMs?: number; step: string; node: string; what: string }[]
}

const SAID = 'Somebody is at the front door.'

describe('demo, scenario security', function () {
  this.timeout(180_000)
  let temp: string
  let model: ScriptedModel
  // It runs what is built.
  before(() => void atmoCommand())
  beforeEach(async () => {
    temp = mkdtempSync(join(tmpdir(), 'atmo-demo-spec-'))
    shareCompiled(temp)
    model = await startScriptedModel()
  })
  afterEach(async () => {
    await model.close()
    rmSync(temp, { recursive: true, force: true })
  })

  const run = async (args: string[], env: Record<string, string> = {}) => {
    const all = ['--scenario', 'security', '--json', '--out', join(temp, 'out'), ...args]
    const { code, stdout, stderr } = await startChild('scripts/demo.ts', all, { env: { TMPDIR: temp, ...env } }).ended
    return { code, stderr, outcome: JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Outcome }
  }

  describe('with ffmpeg and espeak-ng', () => {
    before(function () {
      requireProgram(this, 'ffmpeg')
      requireProgram(this, 'espeak-ng')
    })

    it('from motion to speech, and nothing is lost if the agent comes later', async () => {
      model.play(({ tools = [], messages }, turn): ScriptedAnswer => {
        const named = (end: string): string => tools.map((tool) => tool.function.name).find((name) => name.includes(end)) ?? ''
        const frame = /"frame":"([^"]+)"/.exec(messages[1]?.content ?? '')?.[1] ?? ''
        if (turn === 0) return { calls: [[named('__get_history'), { moving: true }]] }
        if (turn === 1) return { calls: [[named('__get_frame'), { frame }]] }
        if (turn > 2) return { text: 'I have told everybody.' }
        // The result says it in words, and the picture itself comes after it.
        const shown = JSON.stringify(messages.at(-1)).includes('data:image/jpeg;base64,/9j/')
        return { calls: [[named('__speak'), { text: shown ? SAID : 'I see nothing.', bytes: false }]] }
      })
      const { code, stderr, outcome } = await run(['--llm', model.url, '--vision', '--late', '0.5'])
      assert.equal(code, 0, `${outcome.error}\n${stderr}`)
      assert.deepEqual(
        outcome.steps.map(({ name, ok }) => [name, ok]),
        ['programs', 'model', 'nodes', 'motion', 'late', 'agent', 'speech', 'keep', 'stop'].map((name) => [name, true])
      )
      const { flow, files } = outcome
      assert.deepEqual(
        flow.map(({ step }) => step).filter((step) => step !== 'model'),
        [
          'motion',
          'trigger',
          'late start',
          'intent',
          'get_history',
          'get_frame',
          'decision',
          'speak',
          'speech_complete',
          'handled'
        ]
      )
      assert.equal(flow.filter(({ step, tookMs }) => step === 'model' && typeof tookMs === 'number').length, 4)
      assert.deepEqual(
        flow.map(({ atMs }) => atMs),
        flow.map(({ atMs }) => atMs).sort((a, b) => a - b)
      )
      assert.match(flow.find(({ step }) => step === 'intent')?.what ?? '', /^Something moves at the front door; look at picture /)
      assert.equal(flow.find(({ step }) => step === 'decision')?.what, `to say "${SAID}"`)
      assert.match(readFileSync(files['transcript'] ?? '', 'utf8'), new RegExp(SAID))
      for (const what of ['clip', 'picture', 'speech', 'task']) assert.ok(existsSync(files[what] ?? ''), what)
      assert.match(stderr, /all 9 steps verified/)
    })

    it('says what is wrong with an address where no model is', async () => {
      const { url } = model
      await model.close()
      const { code, outcome } = await run(['--llm', url])
      assert.equal(code, 1)
      assert.match(outcome.error ?? '', /\/v1\/models does not answer as a server of chat completions does: ECONNREFUSED/)
    })
  })

  it('says which programs are to be installed', async () => {
    const { code, outcome } = await run([], { PATH: temp })
    assert.equal(code, 1)
    assert.match(outcome.error ?? '', /^ffmpeg and espeak-ng must be installed first: apt install ffmpeg espeak-ng/)
    assert.deepEqual(
      outcome.steps.filter(({ ran }) => ran).map(({ name }) => name),
      ['programs']
    )
  })
})
