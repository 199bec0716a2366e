import assert from 'node:assert/strict'
import { encodeCapability } from '../../protocols/capability.ts'
import { MAX_LENT_CAPABILITIES, encodeLendItem, encodeLendRequest, type LendItem } from '../../protocols/lend/messages.ts'
import { MeshError } from '../../src/errors.ts'
import { borrowFrom, createLender, type Lender } from '../../src/net/lend.ts'
import type { Session } from '../../src/net/session.ts'
import { startPair, until, type Pair } from '../fixtures/libp2p-pair.ts'
import { protocolContract } from './contract.ts'

const bytesOf = (id: string, description = ''): Uint8Array => encodeCapability({ id, type: 'sensor/x', description })

protocolContract('lend', () => {
  const { protocol } = createLender({ name: 'attic', lentTo: () => new Map([['cam', bytesOf('cam')]]) })
  return {
    protocol,
    async good(session) {
      const kinds: string[] = []
      const stop = new AbortController()
      await borrowFrom(session, ({ kind }) => kinds.push(kind) === 3 && stop.abort(), stop.signal).catch(() => undefined)
      assert.deepEqual(kinds, ['node', 'capability', 'ready'])
    },
    request: encodeLendRequest(),
    holding: encodeLendRequest(),
    unknown: { o: 'list' }
  }
})

describe('lend protocol', function () {
  this.timeout(30_000)
  let pair: Pair
  let open: Session[]
  let lent: Map<string, Uint8Array>
  let lender: Lender
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())
  beforeEach(() => {
    open = []
    lent = new Map()
    lender = createLender({ name: 'attic', lentTo: () => lent })
  })
  afterEach(() => {
    for (const session of open) session.abort(new MeshError('cancelled', 'over'))
  })
  const change = (next: Record<string, Uint8Array>): void => {
    lent = new Map(Object.entries(next))
    lender.changed()
  }
  async function borrow(): Promise<{ said: string[]; over: Promise<unknown>; stop: AbortController }> {
    const both = await pair.sessions({ b: (exchange) => lender.protocol.handle(exchange, 'a') })
    open.push(...both)
    const said: string[] = []
    const stop = new AbortController()
    const show = (item: LendItem): string =>
      item.kind === 'capability' ? `${item.declaration.id} ${item.declaration.description}` : item.kind
    const over = borrowFrom(both[0], (item) => said.push(item.kind === 'gone' ? `gone ${item.id}` : show(item)), stop.signal)
    over.catch(() => undefined)
    return { said, over, stop }
  }

  it('says what there is, and then what changes, each once', async () => {
    const [one, two] = [bytesOf('a', '1'), bytesOf('b', '1')]
    change({ a: one, b: two })
    const { said } = await borrow()
    await until(() => said.includes('ready'), 'the snapshot')
    change({ a: one, b: bytesOf('b', '2') })
    await until(() => said.includes('b 2'), 'what changed')
    lender.changed()
    change({ b: lent.get('b')!, c: bytesOf('c', '1') })
    await until(() => said.includes('c 1'), 'what is new')
    assert.deepEqual(said, ['node', 'a 1', 'b 1', 'ready', 'b 2', 'gone a', 'c 1'])
  })

  it('ends when the lender stops, and when the borrower does', async () => {
    const [first, second] = [await borrow(), await borrow()]
    await until(() => [first, second].every(({ said }) => said.includes('ready')), 'both know')
    second.stop.abort()
    await assert.rejects(second.over, { code: 'cancelled' })
    lender.stop()
    await first.over
  })

  it('ends with a lender that names too much, or something else', async () => {
    for (const [items, code] of [
      [
        Array.from({ length: MAX_LENT_CAPABILITIES + 1 }, (_, n) => ({ kind: 'capability', bytes: bytesOf(`c${n}`) }) as const),
        'too_large'
      ],
      [[{ kind: 'capability', bytes: Uint8Array.of(1) } as const], 'protocol_error']
    ] as const) {
      const both = await pair.sessions({
        async *b() {
          for (const item of items) yield encodeLendItem(item)
          await new Promise(() => undefined)
        }
      })
      open.push(...both)
      let last = 0
      await assert.rejects(
        borrowFrom(both[0], () => last++, new AbortController().signal),
        { code }
      )
      assert.ok(last <= MAX_LENT_CAPABILITIES)
    }
  })
})
