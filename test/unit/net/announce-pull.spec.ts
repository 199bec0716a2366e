import assert from 'node:assert/strict'
import { createDirectory } from '../../../src/core/directory.ts'
import { originId } from '../../../src/core/document.ts'
import type { Link } from '../../../src/net/links.ts'
import { createReconciler } from '../../../src/net/reconciler.ts'

describe('pulls after announcements', () => {
  it('are made once more if another was asked for while one was on its way', async () => {
    const origin = Uint8Array.of(0, 2, 1, 1)
    const waiting: (() => void)[] = []
    const asked: string[] = []
    const link = (peer: string): Link => ({ peer, session: { open: true } }) as unknown as Link
    const links = new Map([['b', link('b')]])
    const reconciler = createReconciler({
      links: { get: (peer: string) => links.get(peer), all: () => [...links.values()] } as never,
      sync: {
        pull(_session: unknown, peer: string) {
          asked.push(peer)
          return new Promise<void>((resolve) => waiting.push(resolve))
        }
      } as never,
      directory: createDirectory('self', () => undefined),
      now: () => 0,
      random: () => 0.5,
      log: () => undefined
    })
    const settle = async (): Promise<void> => {
      waiting.shift()!()
      await new Promise((resolve) => setImmediate(resolve))
    }
    reconciler.start()
    reconciler.pull(origin, 'b')
    links.set(originId(origin), link('origin'))
    reconciler.pull(origin, 'b')
    reconciler.pull(origin, 'b')
    assert.deepEqual(asked, ['b'])
    await settle()
    assert.deepEqual(asked, ['b', 'origin'], 'once for all, of the origin if it is there')
    await settle()
    assert.equal(asked.length, 2)
    reconciler.stop()
  })
})
