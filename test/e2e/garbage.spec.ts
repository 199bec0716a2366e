import assert from 'node:assert/strict'
import { startChild } from '../fixtures/child.ts'

/** What a call makes is some 10 kB. What is in flight when a minor collection comes, and what else the process does, is some 200 bytes. */
const MAX_OLD_BYTES_PER_CALL = 800

/**
 * A call must be garbage that a minor collection takes. V8 keeps more than one thinks: the map of a generator function made per call,
 * of a getter in an object literal, of a copy by spread; the outgrown tables of a Map. Each of them once kept whole calls to the next
 * major collection, and cost half the calls per second.
 */
describe('garbage of a call', function () {
  this.timeout(60_000)

  it('is gone with a minor collection, whether its tool answers at once or later', async () => {
    const { code, stdout, stderr } = await startChild('test/fixtures/call-garbage.ts', []).ended
    assert.equal(code, 0, stderr)
    const perCall = JSON.parse(stdout) as Record<string, number>
    assert.deepEqual(Object.keys(perCall), ['plain', 'slow'])
    for (const [tool, bytes] of Object.entries(perCall)) {
      assert.ok(bytes < MAX_OLD_BYTES_PER_CALL, `${bytes} bytes of each call of ${tool} outlived a minor collection`)
    }
  })
})
