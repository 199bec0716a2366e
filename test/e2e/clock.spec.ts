import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { createAtmo, type Atmo } from '../fixtures/atmo.ts'

const PRELOAD = fileURLToPath(new URL('../fixtures/wrong-clock.cjs', import.meta.url))
const YEAR_S = 365 * 86_400

/** Real processes, in which all that reads the time sees a wrong one: libp2p's TLS, too. */
describe('clocks that are wrong', function () {
  this.timeout(90_000)
  let cli: Atmo
  beforeEach(async () => (cli = await createAtmo()))
  afterEach(() => cli.close())

  for (const [what, inviterS, joinerS] of [
    ['a joiner a year ahead', 0, YEAR_S],
    ['a joiner a year behind', 0, -YEAR_S],
    ['a joiner without a clock', 0, -Math.round(Date.now() / 1_000)],
    ['an inviter a year ahead', YEAR_S, 0],
    ['an inviter a year behind', -YEAR_S, 0]
  ] as const) {
    it(`do not keep ${what} from joining, connecting and calling`, async () => {
      const off = (s: number): { env: Record<string, string> } => ({
        env: { NODE_OPTIONS: `--require ${PRELOAD}`, CLOCK_OFFSET_S: String(s) }
      })
      const one = await cli.start('one', [], off(inviterS))
      const code = (await cli.ok('one', 'invite')).trim()
      const joined = await cli.atmo('two', ['join', code], off(joinerS))
      assert.equal(joined.code, 0, joined.stderr)
      await cli.start('two', ['--peer', one.address], off(joinerS))
      await cli.until(one.child, 'peer:join')
      assert.match(await cli.ok('two', 'call', 'system@one', 'echo', '--param', 'message=hi'), /hi/)
    })
  }
})
