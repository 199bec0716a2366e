import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { encodeGradientItem, encodeGradientOpen } from '../../protocols/gradient/messages.ts'
import { isMeshError, type MeshError } from '../../src/errors.ts'
import { createGradient, type Gradient } from '../../src/net/gradient.ts'
import { createGradientReader, createGradientWriter, type NamedItem, type NamedRow } from '../../src/net/gradient-names.ts'
import { createSequenceProofs, type SequenceProofs } from '../../src/net/sequence-proofs.ts'
import { createSessions, type Sessions } from '../../src/net/sessions.ts'
import { startPair, until, within, type Pair } from '../fixtures/libp2p-pair.ts'
import { protocolContract } from './contract.ts'

const MESH = 'home'
const now = (): number => performance.now()
const NOTHING = { onUp: () => undefined, onDown: () => undefined, onItem: () => undefined, onFault: () => undefined }
const NO_ROUTE = 0xffff_ffff

interface Origin {
  id: string
  proofs: SequenceProofs
}
async function origin(mesh = MESH): Promise<Origin & { key: PrivateKey }> {
  const key = await generateKeyPair('Ed25519')
  const id = peerIdFromPrivateKey(key).toString()
  return { key, id, proofs: createSequenceProofs(mesh, id, key) }
}

/** Sessions that lead nowhere: the contract asks one side alone. */
const alone: Pick<Sessions, 'get'> = {
  get: async () => ({ request: () => ({ next: () => new Promise(() => undefined) }) }) as never
}

protocolContract('gradient', async () => {
  const { proofs } = await origin()
  const heard: NamedItem[] = []
  const gradient = createGradient({
    now: () => performance.now(),
    ...NOTHING,
    sessions: alone,
    proofs,
    onItem: (_, item) => heard.push(item)
  })
  return {
    protocol: gradient.protocol,
    async good(session) {
      heard.length = 0
      const exchange = session.request(encodeGradientOpen(), {
        signal: new AbortController().signal,
        input: (async function* () {
          yield encodeGradientItem({ kind: 'digest', digest: 1, count: 2 })
        })()
      })
      assert.equal((await exchange.next()).done, true)
      assert.deepEqual(heard, [{ kind: 'digest', digest: 1, count: 2 }])
    },
    request: encodeGradientOpen(),
    unknown: { o: 'ask' }
  }
})

describe('gradient protocol', function () {
  this.timeout(30_000)
  let pair: Pair
  let a: Side
  let b: Side
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())
  beforeEach(async () => {
    ;[a, b] = [await side(pair.a), await side(pair.b)]
  })
  afterEach(async () => {
    for (const { gradient } of [a, b]) gradient.stop()
    await Promise.all([a.sessions.stop(), b.sessions.stop()])
  })

  interface Side {
    peerId: string
    gradient: Gradient
    sessions: Sessions
    proofs: SequenceProofs
    key: PrivateKey
    events: string[]
    items: NamedItem[]
    faults: MeshError[]
  }
  async function side(libp2p: Libp2p): Promise<Side> {
    const [events, items, faults]: [string[], NamedItem[], MeshError[]] = [[], [], []]
    const { key, id, proofs } = await origin()
    const sessions = createSessions(
      { libp2p, now, onFault: (_, error) => faults.push(error) },
      {
        id: '/atmosphere/gradient/1',
        handle: (exchange, peer) => gradient.protocol.handle(exchange, peer)
      }
    )
    const gradient = createGradient({
      now: () => performance.now(),
      sessions,
      proofs,
      onUp: () => events.push('up'),
      onDown: () => events.push('down'),
      onItem: (_, item) => items.push(item),
      onFault: (_, error) => faults.push(error)
    })
    await sessions.start()
    return { peerId: libp2p.peerId.toString(), gradient, sessions, proofs, key, events, items, faults, ...{ origin: id } }
  }
  const row = (of: string, change: Partial<NamedRow> = {}): NamedRow => ({
    origin: of,
    incarnation: 1,
    sequence: 0,
    metric: 0,
    hops: 0,
    ...change
  })

  it('ends with who names an origin that is no PeerId', async () => {
    const reader = createGradientReader(a.proofs)
    for (const name of [Uint8Array.of(1, 2, 3), new Uint8Array(38).fill(7), Uint8Array.of(0)])
      await assert.rejects(reader.read({ kind: 'wants', add: [name], drop: [] }), (error) => isMeshError(error, 'protocol_error'))
  })

  it('is told by both sides once one of them begins, in order', async () => {
    await a.gradient.open(b.peerId)
    for (let n = 0; n < 100; n++) a.gradient.tell(b.peerId, { kind: 'digest', digest: n, count: n })
    await until(() => b.items.length === 100 && b.gradient.isUp(a.peerId), 'b hears, and tells itself')
    b.gradient.tell(a.peerId, { kind: 'dump' })
    await until(() => a.items.length === 1, 'a hears')
    assert.deepEqual([a.items, a.events, b.events], [[{ kind: 'dump' }], ['up'], ['up']])
    assert.deepEqual(
      b.items.map((item) => (item as { digest: number }).digest),
      Array.from({ length: 100 }, (_, n) => n)
    )
  })

  it('names an origin and proves its number once, and believes no number without a proof', async () => {
    const [self, liar] = [peerIdFromPrivateKey(a.key).toString(), await origin()]
    await a.gradient.open(b.peerId)
    a.gradient.tell(b.peerId, { kind: 'rows', rows: [row(self), row(liar.id)], full: false })
    a.gradient.tell(b.peerId, { kind: 'rows', rows: [row(self, { metric: 55 })], full: true })
    await until(() => b.items.length === 2, 'b hears')
    assert.deepEqual(b.items, [
      // Of the other one a has no proof, and so cannot tell it.
      { kind: 'rows', rows: [row(self), row(liar.id, { incarnation: 0, metric: NO_ROUTE })], full: false },
      { kind: 'rows', rows: [row(self, { metric: 55 })], full: true }
    ])
  })

  it('begins anew on both sides when a session ends, and nothing of the former one is heard', async () => {
    await a.gradient.open(b.peerId)
    await until(() => b.gradient.isUp(a.peerId), 'both')
    a.sessions.peek(b.peerId)?.abort({ code: 'unavailable', message: 'cut' } as MeshError)
    await until(() => a.events.length === 2 && b.events.length === 2, 'both are down')
    a.gradient.tell(b.peerId, { kind: 'dump' })
    await b.gradient.open(a.peerId)
    await until(() => a.gradient.isUp(b.peerId) && b.gradient.isUp(a.peerId), 'both are up again')
    b.gradient.tell(a.peerId, { kind: 'dump' })
    await until(() => a.items.length === 1, 'a hears')
    assert.deepEqual([a.events, b.events, b.items], [['up', 'down', 'up'], ['up', 'down', 'up'], []])
  })

  it('ends with who answers to routes, and with who names numbers that it has not given', async () => {
    const session = await a.sessions.get(b.peerId)
    const exchange = session.request(encodeGradientOpen(), {
      signal: new AbortController().signal,
      input: (async function* () {
        yield encodeGradientItem({ kind: 'rows', rows: [{ ...row(''), origin: 3 }], full: false })
      })()
    })
    await assert.rejects(within(exchange.next(), 'an end'), { code: 'protocol_error' })
    await until(() => b.events.includes('down'), 'b ends, too')
  })
})

describe('names and proofs of the gradient protocol', () => {
  it('are checked once for each number, and bound to origin, number and mesh', async () => {
    const [one, other] = [await origin(), await origin()]
    const number = { incarnation: 2, sequence: 7 }
    const signature = await one.proofs.of(one.id, number)
    const reader = await origin()
    assert.equal(await reader.proofs.check(one.id, number, undefined), false)
    assert.equal(await reader.proofs.check(one.id, { ...number, sequence: 8 }, signature), false)
    assert.equal(await reader.proofs.check(other.id, number, signature), false)
    assert.equal(await (await origin('club')).proofs.check(one.id, number, signature), false)
    assert.equal(await reader.proofs.check(one.id, number, signature), true)
    assert.equal(await reader.proofs.check(one.id, number, undefined), true)
    assert.deepEqual(await reader.proofs.of(one.id, number), signature)
    assert.equal(await one.proofs.of(other.id, number), undefined)
  })

  it('of a request stands for the number before the one that is asked for', async () => {
    const one = await origin()
    const request: NamedItem = { kind: 'request', origin: one.id, incarnation: 1, sequence: 5, ttl: 9, proven: false }
    for (const proven of [false, true]) {
      const writer = createGradientWriter({ of: async (id, number) => (proven ? one.proofs.of(id, number) : undefined) })
      const reader = createGradientReader((await origin()).proofs)
      assert.deepEqual(await reader.read(await writer.write(request)), { ...request, proven })
    }
  })
})
