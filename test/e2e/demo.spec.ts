import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atmoCommand, shareCompiled, startChild } from '../fixtures/child.ts'

interface Outcome {
  ok: boolean
  totalMs: number
  error?: string
  steps: { name: string; ok: boolean; ran: boolean; ms?: number; what?: string; times?: Record<string, number> }[]
}

const STEPS = [
  'start',
  'discovery',
  'announcements',
  'mcp call',
  'command call',
  'progress',
  'cancel',
  'typed errors',
  'failover',
  'withdrawal',
  'stop'
]

describe('demo', function () {
  this.timeout(120_000)
  let temp: string
  // It runs what is built; a test must not run what was built before the last change.
  before(() => void atmoCommand())
  beforeEach(() => {
    temp = mkdtempSync(join(tmpdir(), 'atmo-demo-spec-'))
    shareCompiled(temp)
  })
  afterEach(() => rmSync(temp, { recursive: true, force: true }))

  // tsx keeps a cache there, too.
  const left = () => readdirSync(temp).filter((name) => name.startsWith('atmo-'))
  const run = async (env: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await startChild('scripts/demo.ts', ['--json'], { env: { TMPDIR: temp, ...env } }).ended
    return { code, stderr, outcome: JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Outcome }
  }

  it('shows every step, verified and with its time, and leaves nothing behind', async () => {
    const { code, stderr, outcome } = await run()
    assert.equal(code, 0, `${outcome.error}\n${stderr}`)
    assert.equal(outcome.ok, true)
    assert.deepEqual(
      outcome.steps.map(({ name }) => name),
      STEPS
    )
    for (const { name, ok, ms, what } of outcome.steps) {
      assert.ok(ok && typeof ms === 'number' && ms >= 0 && what, name)
    }
    assert.ok(outcome.totalMs < 60_000, `${outcome.totalMs} ms`)
    assert.match(stderr, /all 11 steps verified/)
    // eslint-disable-next-line no-control-regex -- a pipe gets no colours
    assert.doesNotMatch(stderr, /\u001b/)
    assert.deepEqual(left(), [])
  })

  it('fails with the reason where a check does not hold', async () => {
    // No wc and no sort on the PATH: the command tools are there, but not whole.
    const { code, outcome } = await run({ PATH: temp })
    assert.equal(code, 1)
    assert.equal(outcome.ok, false)
    assert.match(outcome.error ?? '', /tools of \w+ is degraded: tool "words": program "wc" is not on PATH/)
    assert.deepEqual(
      outcome.steps.filter(({ ran }) => ran).map(({ name, ok }) => [name, ok]),
      [
        ['start', true],
        ['discovery', true],
        ['announcements', false]
      ]
    )
    assert.deepEqual(left(), [])
  })

  it('ends its nodes when it is interrupted', async () => {
    const child = startChild('scripts/demo.ts', ['--json'], { env: { TMPDIR: temp } })
    let told = ''
    await new Promise<void>((resolve) =>
      child.process.stderr.on('data', (text: string) => (told += text).includes('They find each other') && resolve())
    )
    child.process.kill('SIGINT')
    const { code, stdout } = await child.ended
    const outcome = JSON.parse(stdout) as Outcome
    assert.deepEqual([code, outcome.ok, outcome.error], [1, false, 'interrupted by SIGINT'])
    assert.deepEqual(left(), [])
  })
})
