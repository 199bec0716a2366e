import assert from 'node:assert/strict'
import { forge } from '../../scripts/fuzz/forge.ts'
import { FORGED_KINDS } from '../../scripts/fuzz/forged-kinds.ts'
import { MeshError } from '../../src/errors.ts'

describe('forgeries', function () {
  this.timeout(120_000)

  // A taste of `npm run fuzz -- --accept 100000`.
  for (const kind of FORGED_KINDS) {
    it(`none of 3,000 ${kind.name} is accepted, and none does more than be refused`, async () => {
      const { accepted, failures, failed, same } = await forge(kind, { trials: 3_000, seed: 7 })
      assert.deepEqual(failures, [])
      assert.deepEqual([accepted, failed], [0, 0])
      assert.ok(same < 1_000, 'too many of them are no forgeries')
    })
  }

  it('sees a check that accepts, and one that throws something else', async () => {
    const results = await forge(
      {
        name: 'bad',
        prepare: async () => async (random) => {
          const n = random.below(4)
          if (n === 0) throw new TypeError('untyped')
          if (n === 1) throw new MeshError('permission_denied', 'typed', { reason: 'expired' })
          return n === 2 ? 'accepted' : 'same'
        }
      },
      { trials: 400, seed: 1 }
    )
    assert.ok(results.accepted > 0 && results.same > 0 && results.failed > 0 && results.failures.length > 0)
    assert.deepEqual(Object.keys(results.refused), ['expired'])
  })
})
