import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { accountOf, type Run } from '../../scripts/prove/events/account.ts'

/** One line of an effect, as `scripts/prove/events/work.mjs` writes it. */
const line = (n: number, missing = 0): string => `m/${n} meter ${n} s${n % 2} ${n}.00 ${n + 10}.00 7 0 ${missing}`

describe('the account of the proof of events', () => {
  let dir: string
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'atmo-account-'))))
  afterEach(() => rmSync(dir, { recursive: true }))

  function account(effects: string[], repeats: string[] = []): Record<string, unknown> {
    const [effectsFile, repeatsFile] = [join(dir, 'effects'), join(dir, 'repeats')]
    writeFileSync(effectsFile, effects.map((one) => `${one}\n`).join(''))
    writeFileSync(repeatsFile, repeats.map((one) => `${one}\n`).join(''))
    const run: Run = {
      sources: ['meter'],
      handlers: [{ name: 'counter', effectsFile, repeatsFile }],
      kills: [{ name: 'counter', role: 'handler', at: 12 }],
      subjects: 2,
      payloadBytes: 1,
      rss: {},
      refused: {},
      calmCpuUs: {}
    }
    return accountOf(run, 6)
  }

  it('tells what was told as missing, though it was done before a kill, from what was not done', () => {
    // Of the subject s0: 0, 2, 4. The handler was killed when 0 was done and its answer not on disk, and 2 was done; 0 comes again, then 4.
    const done = account([line(0), line(1), line(2), line(3), line(4, 1), line(5)], [line(0)])
    assert.deepEqual([done['toldMissingButDone'], done['toldMissing'], done['lost'], done['pass']], [1, 0, 0, true])
    const lost = account([line(0), line(1), line(3), line(4, 1), line(5)])
    assert.deepEqual([lost['toldMissingButDone'], lost['toldMissing'], lost['lost'], lost['pass']], [0, 1, 1, false])
  })

  it('fails for what is done twice, comes out of order, or comes again without a kill', () => {
    const all = [0, 1, 2, 3, 4, 5].map((n) => line(n))
    assert.deepEqual([account(all)['pass'], account(all)['killedRoles']], [true, ['handler']])
    assert.equal(account([...all, line(5)])['twice'], 1)
    assert.equal(account([line(0), line(1), line(4), line(2), line(3), line(5)])['outOfOrder'], 1)
    const again = account(all, [line(5)])
    assert.deepEqual([again['repeats'], again['pass']], [{ atKills: 0, otherwise: 1 }, false])
  })
})
