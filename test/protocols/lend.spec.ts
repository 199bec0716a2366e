import assert from 'node:assert/strict'
import { encodeCapability } from '../../protocols/capability.ts'
import { MAX_LENT_CAPABILITIES, encodeLendItem, encodeLendRequest, type LendItem } from '../../protocols/lend/messages.ts'
import { MeshError } from '../../src/errors.ts'
import { LEND_ITEM_RATE, createBorrower, createLender, type Lender } from '../../src/net/lend.ts'
import type { Session } from '../../src/net/session.ts'
import { startPair, until, type Pair } from '../fixtures/libp2p-pair.ts'
import { protocolContract } from './contract.ts'

const now = (): number => performance.now()
const bytesOf = (id: string, description = ''): Uint8Array => encodeCapability({ id, type: 'sensor/x', description })

protocolContract('lend', () => {
  const { protocol } = createLender({ name: 'attic', lentTo: () => new Map([['cam', bytesOf('cam')]]) })
  return {
    protocol,
    async good(session) {
      const kinds: string[] = []
      const stop = new AbortController()
      const done = createBorrower(now).borrow('b', session, ({ kind }) => kinds.push(kind) === 3 && stop.abort(), stop.signal)
      await done.catch(() => undefined)
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
    const note = (item: LendItem): unknown => said.push(item.kind === 'gone' ? `gone ${item.id}` : show(item))
    const over = createBorrower(now).borrow('b', both[0], note, stop.signal)
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
        createBorrower(now).borrow('b', both[0], () => last++, new AbortController().signal),
        { code }
      )
      assert.ok(last <= MAX_LENT_CAPABILITIES)
    }
  })

  it('ends with a lender that changes what it lends again and again, also over sessions, and with no other', async () => {
    let time = 0
    const borrower = createBorrower(() => time)
    const flood = async (peer: string, most = Infinity): Promise<{ said: number; error: MeshError | undefined }> => {
      const both = await pair.sessions({
        async *b() {
          for (let n = 0; n < most; n++) yield encodeLendItem({ kind: 'capability', bytes: bytesOf('cam', String(n)) })
        }
      })
      open.push(...both)
      let said = 0
      const { signal } = new AbortController()
      const error = await borrower
        .borrow(peer, both[0], () => said++, signal)
        .then(
          () => undefined,
          (error: MeshError) => error
        )
      return { said, error }
    }
    const first = await flood('b')
    assert.deepEqual([first.said, first.error?.code, first.error?.details], [LEND_ITEM_RATE.burst, 'busy', { reason: 'rate' }])
    const again = await flood('b')
    assert.deepEqual([again.said, again.error?.code], [0, 'busy'])
    assert.deepEqual(await flood('c', MAX_LENT_CAPABILITIES), { said: MAX_LENT_CAPABILITIES, error: undefined })
    time += (MAX_LENT_CAPABILITIES / LEND_ITEM_RATE.perSecond) * 1_000
    assert.deepEqual(await flood('b', MAX_LENT_CAPABILITIES), { said: MAX_LENT_CAPABILITIES, error: undefined })
  })
})
