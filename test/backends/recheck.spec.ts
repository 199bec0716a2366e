import assert from 'node:assert/strict'
import { createRecheck } from '../../src/backends/recheck.ts'
import { inState } from '../../src/backends/capability-state.ts'
import { within } from './contract.ts'

describe('recheck', () => {
  it('looks again when it is asked to while it looks, once, and without its time being over', async () => {
    const looks: ((reason: string) => void)[] = []
    let begun = (): void => {}
    const recheck = createRecheck(
      async () => {
        const reason = await new Promise<string>((resolve) => {
          looks.push(resolve)
          begun()
        })
        return inState({ id: 'c', type: 't', name: 'c', description: '' }, 'offline', reason)
      },
      { everyMs: 2 ** 30 }
    )
    const lookNumber = (count: number): Promise<void> =>
      within(new Promise((resolve) => ((begun = () => looks.length >= count && resolve()), begun())), `look ${count}`)
    const controller = new AbortController()
    const snapshots = recheck.snapshots(controller.signal)
    const next = async () => (await within(snapshots.next(), 'a snapshot')).value?.[0]?.statusReason

    const first = next()
    await lookNumber(1)
    recheck.now()
    recheck.now()
    looks[0]!('old')
    assert.equal(await first, 'old')
    const second = next()
    await lookNumber(2)
    looks[1]!('new')
    assert.equal(await second, 'new')
    // Also while nobody asks for the next snapshot.
    recheck.now()
    const third = next()
    await lookNumber(3)
    looks[2]!('newer')
    assert.equal(await third, 'newer')
    assert.equal(looks.length, 3)
    const last = next()
    controller.abort()
    assert.equal(await last, undefined)
    assert.equal(looks.length, 3)
  })
})
