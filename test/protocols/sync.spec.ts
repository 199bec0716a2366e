import assert from 'node:assert/strict'
import { encodeHead, encodeInfo, type DocumentRecord } from '../../protocols/announce/messages.ts'
import { encodeCapability } from '../../protocols/capability.ts'
import { MAX_DOUBTED, encodeSyncItem, encodeSyncRequest } from '../../protocols/sync/messages.ts'
import { createDirectory, type Directory } from '../../src/core/directory.ts'
import { changeDocument, documentHash, originId } from '../../src/core/document.ts'
import { MeshError } from '../../src/errors.ts'
import { DOUBT_RATE, MAX_CONCURRENT_COMPARISONS, SYNC_IDLE_MS, createSync, type Sync } from '../../src/net/sync.ts'
import { startPair, until, within, type Pair } from '../fixtures/libp2p-pair.ts'
import { protocolContract } from './contract.ts'

const now = (): number => performance.now()

function recordOf(n: number): DocumentRecord {
  const info = encodeInfo({ name: `n${n}`, version: '1', addresses: [] })
  const capabilities = [encodeCapability({ id: `c${n}`, type: 't', description: 'x'.repeat(500) })]
  const hash = documentHash(changeDocument(undefined, { info, put: capabilities, drop: [] })!)
  const head = {
    mesh: 'open',
    origin: Uint8Array.of(0, 2, n >> 8, n & 255),
    incarnation: 1,
    sequence: 1,
    left: false,
    leaseMs: 60_000,
    documentHash: hash,
    note: ''
  }
  return { signed: { head, bytes: encodeHead(head), signature: new Uint8Array(64) }, info, capabilities, ageMs: 0 }
}

function node(records: DocumentRecord[], idleMs?: number): { directory: Directory; sync: Sync; learned: string[] } {
  const directory = createDirectory('self', () => undefined)
  for (const record of records) directory.applyRecord(record, now())
  const learned: string[] = []
  const sync = createSync({
    directory,
    now,
    ingest: async (record) => directory.applyRecord(record, now()) === 'applied',
    onLearned: (from) => learned.push(from),
    ...(idleMs === undefined ? {} : { idleMs })
  })
  return { directory, sync, learned }
}

const all = (from: number, to: number): DocumentRecord[] => Array.from({ length: to - from }, (_, n) => recordOf(from + n))
const hex = (directory: Directory): string => Buffer.from(directory.digest()).toString('hex')

protocolContract('sync', () => {
  const { sync, directory } = node(all(0, 20))
  return {
    protocol: sync.protocol,
    async good(session) {
      const other = node([])
      await other.sync.reconcile(session, 'peer')
      assert.equal(hex(other.directory), hex(directory))
    },
    request: encodeSyncRequest({ op: 'pull', origins: all(0, 20).map(({ signed }) => signed.head.origin) }),
    unknown: { op: 'push' }
  }
})

describe('sync protocol', function () {
  this.timeout(30_000)
  let pair: Pair
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())

  it('brings a late joiner the whole directory, and both sides what the other has, within a second', async () => {
    const a = node(all(0, 900))
    const b = node(all(600, 1_500))
    const [session] = await pair.sessions({ b: (exchange) => b.sync.protocol.handle(exchange, 'a') })
    const start = performance.now()
    await a.sync.reconcile(session, 'b')
    assert.ok(performance.now() - start < 2_000)
    assert.equal(hex(a.directory), hex(b.directory))
    assert.equal(a.directory.size, 1_500)
    assert.deepEqual([a.learned, b.learned], [['b'], ['a']])
    await a.sync.reconcile(session, 'b')
    assert.equal(a.learned.length, 1, 'nothing was sent when both were equal')
    session.abort(new MeshError('cancelled', 'over'))
  })

  it('pulls single origins', async () => {
    const [a, b] = [node([]), node(all(0, 5))]
    const [session] = await pair.sessions({ b: (exchange) => b.sync.protocol.handle(exchange, 'a') })
    await a.sync.pull(session, 'b', [recordOf(2).signed.head.origin, Uint8Array.of(9, 9)])
    assert.deepEqual([a.directory.size, a.learned], [1, ['b']])
    session.abort(new MeshError('cancelled', 'over'))
  })

  it('tells of origins that do not answer, and follows such hints at a rate', async () => {
    const a = node([])
    const heard: string[] = []
    const b = createSync({
      directory: createDirectory('self', () => undefined),
      now: () => 0,
      ingest: async () => false,
      onLearned: () => undefined,
      onDoubt: (origin) => heard.push(origin)
    })
    const [session] = await pair.sessions({ b: (exchange) => b.protocol.handle(exchange, 'a') })
    const { origin } = recordOf(1).signed.head
    await a.sync.doubt(session, origin)
    assert.deepEqual(heard, [originId(origin)])
    for (let n = 0; n < 10; n++) {
      const body = encodeSyncRequest({ op: 'doubt', origins: Array.from({ length: MAX_DOUBTED }, () => origin) })
      assert.deepEqual(await session.request(body, { signal: new AbortController().signal }).next(), {
        done: true,
        value: 'done'
      })
    }
    assert.equal(heard.length, DOUBT_RATE.burst)
    session.abort(new MeshError('cancelled', 'over'))
  })

  it('tells who comes while it compares with others to come back', async () => {
    const [a, b] = [node(all(0, 5)), node(all(5, 9))]
    let peers = 0
    const [session] = await pair.sessions({ b: (exchange) => b.sync.protocol.handle(exchange, `a${peers++}`) })
    const body = encodeSyncRequest({ op: 'digest', digest: new Uint8Array(16), count: 0 })
    let stop!: () => void
    const gate = new Promise<void>((resolve) => (stop = resolve))
    async function* silent(): AsyncGenerator<unknown, void, void> {
      await gate
    }
    const holders = Array.from({ length: MAX_CONCURRENT_COMPARISONS }, () =>
      session.request(body, { signal: new AbortController().signal, input: silent() })
    )
    await Promise.all(holders.map((holder) => holder.next()))
    const third = session.request(body, { signal: new AbortController().signal, input: silent() })
    assert.deepEqual(await third.next(), { done: true, value: 'busy' })
    assert.equal(await a.sync.reconcile(session, 'b'), 'busy')
    stop()
    const reconciled = async (): Promise<void> => {
      while ((await a.sync.reconcile(session, 'b')) === 'busy');
    }
    await within(reconciled(), 'it comes through')
    assert.equal(hex(a.directory), hex(b.directory))
    for (const holder of holders) await holder.return(undefined)
    session.abort(new MeshError('cancelled', 'over'))
  })

  it('answers one comparison of a peer at a time, and is not kept from that by its own', async () => {
    const b = node(all(5, 9))
    const [session, back] = await pair.sessions({
      // Never answers what b asks: b's own comparisons stay open.
      async *a() {
        yield await new Promise<never>(() => undefined)
      },
      b: (exchange) => b.sync.protocol.handle(exchange, 'a')
    })
    const own = Array.from({ length: MAX_CONCURRENT_COMPARISONS }, async () => b.sync.reconcile(back, 'a').catch(() => undefined))
    const body = encodeSyncRequest({ op: 'digest', digest: new Uint8Array(16), count: 0 })
    const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<unknown>>(() => undefined) }) }
    const ask = (): AsyncGenerator<unknown, unknown, void> =>
      session.request(body, { signal: new AbortController().signal, input: silent })
    const first = ask()
    assert.equal((await first.next()).done, false)
    assert.deepEqual(await ask().next(), { done: true, value: 'busy' })
    session.abort(new MeshError('cancelled', 'over'))
    await Promise.all([...own, first.return(undefined)])
  })

  it('does not let silent peers keep the others from comparing for ever', async () => {
    const [a, b] = [node(all(0, 5)), node(all(5, 9), 200)]
    const { timeoutMs } = b.sync.protocol
    assert.ok(timeoutMs !== undefined && timeoutMs <= 15_000 && SYNC_IDLE_MS <= 3_000)
    let peers = 0
    const [session, other] = await pair.sessions({ b: (exchange) => b.sync.protocol.handle(exchange, `a${peers++}`) })
    const body = encodeSyncRequest({ op: 'digest', digest: new Uint8Array(16), count: 0 })
    const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<IteratorResult<unknown>>(() => undefined) }) }
    const holders = Array.from({ length: MAX_CONCURRENT_COMPARISONS }, () =>
      session.request(body, { signal: new AbortController().signal, input: silent })
    )
    await Promise.all(holders.map((holder) => holder.next()))
    for (const holder of holders) await assert.rejects(holder.next(), { code: 'deadline_exceeded' })
    await until(() => other.active === 0, 'nothing is held')
    await a.sync.reconcile(session, 'b')
    assert.equal(hex(a.directory), hex(b.directory))
    session.abort(new MeshError('cancelled', 'over'))
  })

  for (const [what, items] of [
    ['rows from the side that asked', [{ kind: 'rows', rows: [], last: true }]],
    ['a forged item', ['nonsense']]
  ] as [string, unknown[]][]) {
    it(`refuses ${what}`, async () => {
      const b = node(all(0, 3))
      const [session] = await pair.sessions({ b: (exchange) => b.sync.protocol.handle(exchange, 'a') })
      async function* input(): AsyncGenerator<unknown, void, void> {
        for (const item of items) yield typeof item === 'string' ? item : encodeSyncItem(item as never)
      }
      const exchange = session.request(encodeSyncRequest({ op: 'digest', digest: new Uint8Array(16), count: 0 }), {
        signal: new AbortController().signal,
        input: input()
      })
      await exchange.next()
      await assert.rejects(exchange.next(), { code: 'protocol_error' })
      session.abort(new MeshError('cancelled', 'over'))
    })
  }

  it('does not take a flood of rows', async () => {
    const a = node([])
    const [session] = await pair.sessions({
      async *b() {
        const rows = Array.from({ length: 512 }, (_, n) => ({
          origin: Uint8Array.of(1, 1, n >> 8, n & 255),
          incarnation: 1,
          sequence: 1,
          standing: 'known' as const,
          tie: new Uint8Array(8)
        }))
        for (;;) yield encodeSyncItem({ kind: 'rows', rows, last: false })
      }
    })
    await assert.rejects(within(a.sync.reconcile(session, 'b'), 'refused'), { code: 'too_large' })
    assert.equal(a.directory.size, 0)
    session.abort(new MeshError('cancelled', 'over'))
  })
})
