import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { wrongOption } from '../../scripts/options.ts'

const script = (name: string): string => fileURLToPath(new URL(`../../scripts/${name}/main.ts`, import.meta.url))

describe('options of the scripts', function () {
  this.timeout(60_000)
  it('are known, and have a value where they need one', () => {
    const check = (...args: string[]): string | undefined => wrongOption(args, ['json'], ['rounds'])
    assert.equal(check('--json', '--rounds', '3'), undefined)
    assert.equal(check('--round', '3'), 'unknown option --round; known are: --json, --rounds')
    assert.equal(check('3'), 'unknown option 3; known are: --json, --rounds')
    assert.equal(check('--rounds'), 'option --rounds needs a value')
    assert.equal(check('--rounds', '--json'), 'option --rounds needs a value')
  })
  for (const [name, what] of [
    ['prove', 'throttle'],
    ['bench', 'calls']
  ] as const)
    it(`that npm run ${name} does not know end it at once, by name`, async () => {
      const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) =>
        execFile(process.execPath, ['--import', 'tsx', script(name), what, '--secnds', '1'], (error, _, stderr) =>
          resolve({ code: error?.code, stderr })
        )
      )
      assert.equal(code, 2)
      assert.match(stderr, /unknown option --secnds; known are: --json/)
    })
})
