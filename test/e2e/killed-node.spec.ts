/** A node that is killed, and cannot clean up: its programs, and what they have started, end with it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isProcessGone, until } from '../backends/contract.ts'
import { startChild } from '../fixtures/child.ts'

describe('a node that is killed', () => {
  let folder: string
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'atmo-killed-'))))
  afterEach(() => rm(folder, { recursive: true }))

  const pidOf = async (name: string): Promise<number> => Number(await readFile(join(folder, name), 'utf8').catch(() => '0'))
  const childrenOf = (pid: number): number[] =>
    execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .flatMap(([child, parent]) => (parent === pid ? [child!] : []))

  it('takes its tools and watchers with it, and what these have started', async () => {
    const node = startChild('test/fixtures/program-node.ts', [folder])
    await node.line(60_000)
    await until(async () => (await pidOf('tool')) > 0 && (await pidOf('watcher')) > 0, 'both programs run', 20_000)
    const leaders = [await pidOf('tool'), await pidOf('watcher')]
    await until(() => leaders.every((pid) => childrenOf(pid).length > 0), 'they have started others', 20_000)
    const all = [...leaders, ...leaders.flatMap(childrenOf)]
    assert.equal(all.length, 4)
    node.process.kill('SIGKILL')
    assert.equal((await node.ended).signal, 'SIGKILL')
    await until(async () => (await Promise.all(all.map(isProcessGone))).every((gone) => gone), 'all have ended', 20_000)
  })
})
