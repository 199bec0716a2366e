import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { UsageError, parseArguments } from '../../scripts/simulate/arguments.ts'
import { createEventQueue } from '../../scripts/simulate/event-queue.ts'
import { runEvent } from '../../scripts/simulate/event-run.ts'
import { createGradientPolicy } from '../../scripts/simulate/policies/gradient.ts'
import { POLICIES } from '../../scripts/simulate/policies/index.ts'
import { createRandom } from '../../scripts/simulate/random.ts'
import { simulateRouting } from '../../scripts/simulate/routing.ts'

const ROOT = new URL('../..', import.meta.url).pathname

function simulate(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--import', 'tsx', 'scripts/simulate.ts', ...args], { cwd: ROOT, encoding: 'utf8' })
}

describe('npm run simulate', function () {
  this.timeout(60_000)

  it('ends with one object, the same for the same seed', () => {
    const runs = [1, 2].map(() => simulate('--nodes', '12', '--topology', 'ring', '--faults', '20', '--seed', '7', '--json'))
    const [first, second] = runs.map(({ stdout }) => JSON.parse(stdout) as Record<string, unknown>)
    for (const name of ['nodes', 'faults', 'selections', 'loops', 'ghosts', 'pairs', 'correct', 'messages', 'bytes', 'seed'])
      assert.equal(typeof first![name], 'number', name)
    assert.deepEqual([first!.nodes, first!.faults, first!.loops, first!.ghosts, first!.seed], [12, 20, 0, 0, 7])
    assert.equal(first!.pairs, first!.correct)
    const { p50, p99 } = first!.convergenceMs as { p50: number; p99: number }
    assert.ok(p50 > 0 && p99 >= p50)
    for (const { status, stderr } of runs) assert.deepEqual([status, stderr.startsWith('seed 7')], [0, true])
    for (const run of [first!, second!]) delete run.cpuSeconds
    for (const run of [first!, second!]) delete run.maxRssMb
    assert.deepEqual(first, second)
  })

  it('runs faults again that it is given', () => {
    const faults = [{ kind: 'link', atMs: 6_000, lastsMs: 500, target: 3, amount: 0 }]
    const replay = JSON.stringify({ nodes: 12, topology: 'ring', seed: 7, policy: 'dv', faults })
    const { status, stdout } = simulate('--replay', replay, '--json')
    const report = JSON.parse(stdout) as { faults: number; policy: string }
    assert.deepEqual([status, report.faults, report.policy], [0, 1, 'dv'])
  })

  it('says what is wrong with its arguments, and how it is used', () => {
    const { status, stderr, stdout } = simulate('--topology', 'moebius')
    assert.deepEqual([status, stdout], [2, ''])
    assert.match(stderr, /--topology takes line, ring.*not "moebius"[^]*usage:/)
    for (const args of [
      ['--sites', '0'],
      ['--sites', '-1'],
      ['--sites', 'all']
    ])
      assert.throws(() => parseArguments(args), /--sites takes a whole number from 2 to 500, not "(0|-1|all)"/, args.join(' '))
    for (const args of [['--nodes', '1'], ['--kinds', 'flood'], ['--seed', '-1'], ['--stress', '--table'], ['--what'], ['more']])
      assert.throws(() => parseArguments(args), UsageError, args.join(' '))
    for (const replay of ['{}', '{', 'no-such-file.json']) assert.equal(simulate('--replay', replay).status, 2)
    assert.equal(simulate('--help').status, 0)
    assert.equal(parseArguments(['--sites', '20']).sites, 20)
    assert.equal(parseArguments(['--sites']).sites, 500)
    assert.deepEqual([parseArguments(['--sites', '--faults', '3']).faults, parseArguments(['--sites']).faults], [3, 100])
  })

  it('refuses by name what it would not look at', () => {
    for (const [name, ...args] of [
      ['nodes', '--sites', '--nodes', '10'],
      ['policy', '--table', '--policy', 'dv'],
      ['topology', '--byzantine', '--topology', 'ring'],
      ['selections', '--selections', '10'],
      ['faults', '--convergence', '--faults', '3'],
      ['seed', '--replay', '{}', '--seed', '3'],
      ['nearest', '--nodes', '100', '--nearest', '4'],
      ['nodes', '--dispatch', '--nodes', '100']
    ] as const)
      assert.throws(() => parseArguments(args), new RegExp(`--${name} means nothing`), args.join(' '))
    for (const args of [
      ['--nodes', '2000', '--nearest', '4', '--faults', '0', '--json'],
      ['--convergence', '--nodes', '100', '--seeds', '2'],
      ['--stress', '--policy', 'dv', '--minutes', '1', '--seed', '3']
    ])
      parseArguments(args)
  })

  it('prints never for what never came', () => {
    const { stdout, status } = simulate(
      '--nodes',
      '5',
      '--topology',
      'line',
      '--faults',
      '1',
      '--policy',
      'reference',
      '--seed',
      '1'
    )
    assert.doesNotMatch(stdout, /Infinity|NaN/)
    assert.equal(status, 0)
  })
})

describe('the simulator', () => {
  it('takes what happens in order, and what is at the same time as it was planned', () => {
    const random = createRandom(3)
    const queue = createEventQueue<number>()
    const planned: { at: number; event: number }[] = []
    const taken: { at: number; event: number }[] = []
    for (let n = 0; n < 5_000; n++) {
      const at = (taken.at(-1)?.at ?? 0) + Math.floor(random() * 20)
      planned.push({ at, event: n })
      queue.add(at, n)
      if (random() < 0.4) taken.push({ ...queue.take()! })
    }
    while (queue.size > 0) taken.push({ ...queue.take()! })
    assert.equal(queue.nextAt, Infinity)
    assert.deepEqual(
      taken,
      planned.toSorted((a, b) => a.at - b.at || a.event - b.event)
    )
  })

  it('sees the top seven of each type where the nearest alone are told (I8)', () => {
    const report = simulateRouting({
      nodes: 150,
      topology: 'geometric',
      seed: 4,
      createPolicy: createGradientPolicy({ maxTold: 0 }),
      origins: 60,
      types: 2,
      nearest: 7,
      faults: { count: 10, kinds: ['link', 'cost'], everyMs: 500 },
      quiet: false
    })
    assert.deepEqual([report.loops, report.violations], [0, 0])
    assert.ok(report.pairs > 150 * 2 * 6)
    assert.ok(report.correct >= report.pairs * 0.99, `${report.correct} of ${report.pairs}`)
  })

  it('shows what the reference does: a dead provider stays for ever, and a long line is never known', () => {
    const common = { topology: 'line', nodes: 10, event: 'provider dies', seed: 1, bootMs: 300_000, watchMs: 60_000 } as const
    assert.equal(runEvent({ ...common, createPolicy: POLICIES.reference! }).rightMs, Infinity)
    const ours = runEvent({ ...common, createPolicy: POLICIES.gradient! })
    assert.ok(ours.rightMs > 0 && ours.rightMs < 500)
    assert.equal(ours.loopMs, 0)
  })
})
