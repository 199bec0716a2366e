import assert from 'node:assert/strict'
import { encodeCapability } from '../../protocols/capability.ts'
import { encodeLendItem } from '../../protocols/lend/messages.ts'
import type { NewMeshEvent } from '../../src/mesh-events.ts'
import { createBorrowing } from '../../src/mesh-borrowing.ts'
import { LEND_ITEM_RATE } from '../../src/net/lend.ts'
import type { Link } from '../../src/net/links.ts'
import type { Session } from '../../src/net/session.ts'
import { until } from '../fixtures/libp2p-pair.ts'

describe('borrowing', () => {
  let emitted: NewMeshEvent[]
  let logged: string[]
  let looks: number
  let read: boolean
  beforeEach(() => {
    emitted = []
    logged = []
    looks = 0
    read = false
  })
  const borrowing = () =>
    createBorrowing({
      self: 'self',
      treaties: { isBorrowed: () => true },
      directory: { visible: () => (looks++, []) },
      changedOf: () => undefined,
      events: {
        emit: (event) => emitted.push(event),
        get read() {
          return read
        }
      },
      meshNameOf: () => 'club',
      now: () => 0,
      log: (_level, message) => logged.push(message)
    })
  /** A lender that says so many changes of one capability. */
  const lender = (changes: number): Link => {
    const session = {
      async *request() {
        for (let n = 0; n < changes; n++)
          yield encodeLendItem({
            kind: 'capability',
            bytes: encodeCapability({ id: 'cam', type: 'sensor/x', description: `${n}` })
          })
        await new Promise(() => undefined)
      }
    }
    return { peer: 'lender', session: session as unknown as Session, rttMs: 1, initiator: true }
  }
  const description = (all: ReturnType<typeof borrowing>): unknown => all.capabilities()[0]?.description

  it('makes no event that nobody reads: another mesh says how often', async () => {
    const all = borrowing()
    all.begin(lender(100), 'club-id')
    await until(() => description(all) === '99', 'all was said')
    const own = looks
    all.end('lender')
    assert.deepEqual([emitted, looks - own], [[], 0])
  })

  it('makes each when somebody reads', async () => {
    read = true
    const all = borrowing()
    all.begin(lender(3), 'club-id')
    await until(() => emitted.length === 3, 'all was said')
    all.end('lender')
    assert.deepEqual(
      emitted.map(({ event }) => event),
      ['capability:available', 'capability:updated', 'capability:updated', 'capability:removed']
    )
  })

  it('ends with a lender that is over the rate, and says why', async () => {
    const all = borrowing()
    all.begin(lender(LEND_ITEM_RATE.burst + 1), 'club-id')
    await until(() => logged.length > 0, 'it is told')
    assert.match(logged[0]!, /lender lends nothing: .*32 times a second/)
    await until(() => all.capabilities().length === 0, 'all of it is forgotten')
    assert.deepEqual(
      all.peers(() => ''),
      []
    )
  })
})
