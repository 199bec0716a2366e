import assert from 'node:assert/strict'
import fc from 'fast-check'
import { encodeHead, encodeInfo, type DocumentRecord, type Head, type SignedHead } from '../../../protocols/announce/messages.ts'
import { decodeCapability, encodeCapability, type CapabilityDeclaration } from '../../../protocols/capability.ts'
import type { Row, Standing } from '../../../protocols/sync/messages.ts'
import { LOST_QUARANTINE_MS } from '../../../src/core/directory-sync.ts'
import {
  MAX_DIRECTORY_BYTES,
  MAX_ORIGINS,
  ON_ITS_WAY_MS,
  createDirectory,
  type Directory,
  type DirectoryEvent
} from '../../../src/core/directory.ts'
import { changeDocument, documentHash, originId, type DocumentChange } from '../../../src/core/document.ts'
import { statusOf } from '../../../src/core/query.ts'

const LEASE_MS = 60_000
const origin = (n: number): Uint8Array => Uint8Array.of(0, 4, 1, n >> 16, n >> 8, n & 255)
const id = (n: number): string => originId(origin(n))

/** A signed record as an origin makes it; signatures are checked elsewhere. */
function recordOf(n: number, sequence: number, ids: string[], change: Partial<Head> = {}, padding = ''): DocumentRecord {
  const info = encodeInfo({ name: `node-${n}`, version: '1', addresses: [] })
  const capabilities = ids.map((name) => encodeCapability({ id: name, type: 'test/thing', description: `${sequence}${padding}` }))
  const document = changeDocument(undefined, { info, put: capabilities, drop: [] })!
  const head: Head = {
    mesh: 'open',
    origin: origin(n),
    incarnation: 1,
    sequence,
    left: false,
    leaseMs: LEASE_MS,
    documentHash: documentHash(document),
    note: '',
    ...change
  }
  const signed: SignedHead = { head, bytes: encodeHead(head), signature: new Uint8Array(64) }
  return { signed, info: head.left ? new Uint8Array(0) : info, capabilities: head.left ? [] : capabilities, ageMs: 0 }
}

function directory(self = 'self'): { directory: Directory; events: DirectoryEvent[] } {
  const events: DirectoryEvent[] = []
  return { directory: createDirectory(self, (event) => events.push(event)), events }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const words = (events: DirectoryEvent[]): string[] =>
  events.map((event) =>
    event.kind.startsWith('node')
      ? event.kind
      : `${event.kind} ${(event as { capability: { declaration: { id: string } } }).capability.declaration.id}`
  )

/** One comparison each way, as the sync protocol does it. */
function reconcile(a: Directory, b: Directory, now: number): void {
  const { want, offer } = a.compare(b.rows(), now)
  for (const wanted of want.map(originId)) {
    const record = b.record(wanted, now)
    if (record !== undefined) a.applyRecord(record, now)
  }
  for (const offered of offer) {
    const record = a.record(offered, now)
    if (record !== undefined) b.applyRecord(record, now)
  }
}

describe('directory', () => {
  it('is last writer wins: any order, duplication and loss, then anti-entropy, give equal digests', () => {
    const version = fc.record({
      node: fc.integer({ min: 1, max: 4 }),
      incarnation: fc.integer({ min: 1, max: 3 }),
      sequence: fc.integer({ min: 1, max: 5 }),
      ids: fc.uniqueArray(fc.constantFrom('a', 'b', 'c')),
      left: fc.boolean()
    })
    fc.assert(
      fc.property(
        fc.array(version, { minLength: 1, maxLength: 12 }),
        fc.array(fc.array(fc.nat(11), { maxLength: 16 }), { minLength: 3, maxLength: 3 }),
        (versions, deliveries) => {
          const records = versions.map(({ node, incarnation, sequence, ids, left }) =>
            recordOf(node, sequence, ids, { incarnation, left })
          )
          const nodes = deliveries.map((delivery) => {
            const { directory: node } = directory()
            for (const n of delivery) if (n < records.length) node.applyRecord(records[n]!, 0)
            return node
          })
          for (const [a, b] of [
            [0, 1],
            [1, 2],
            [0, 1],
            [1, 2],
            [0, 2]
          ] as const)
            reconcile(nodes[a]!, nodes[b]!, 0)
          const seen = new Set(deliveries.flat().filter((n) => n < records.length))
          const digests = new Set(nodes.map((node) => hex(node.digest())))
          assert.equal(digests.size, 1)
          // The oracle: for each origin the highest version that anyone saw.
          for (const node of new Set(versions.map((v) => v.node))) {
            const mine = versions.filter((v, n) => v.node === node && seen.has(n))
            const best = mine.sort((x, y) => y.incarnation - x.incarnation || y.sequence - x.sequence)[0]
            const head = nodes[0]!.get(id(node))?.signed.head
            assert.deepEqual([head?.incarnation, head?.sequence], [best?.incarnation, best?.sequence])
          }
        }
      ),
      { numRuns: 1_000 }
    )
  })

  it('reaches the same document by deltas as by whole records', () => {
    const step = fc.record({
      put: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 2 }),
      drop: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 2 })
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), (steps, lost) => {
        const { directory: node } = directory()
        let ids = new Set<string>()
        node.applyRecord(recordOf(1, 1, []), 0)
        let pulls = 0
        steps.forEach(({ put, drop }, n) => {
          const sequence = n + 2
          ids = new Set([...[...ids].filter((name) => !(drop as string[]).includes(name)), ...put])
          const capabilities = new Map(
            [...ids].map((name) => [
              name,
              encodeCapability({ id: name, type: 't', description: (put as string[]).includes(name) ? `${sequence}` : undefined })
            ])
          )
          const info = encodeInfo({ name: 'n', version: '1', addresses: [] })
          const document = changeDocument(undefined, { info, put: [...capabilities.values()], drop: [] })!
          const head: Head = {
            mesh: 'open',
            origin: origin(1),
            incarnation: 1,
            sequence,
            left: false,
            leaseMs: LEASE_MS,
            documentHash: documentHash(document),
            note: ''
          }
          const signed = { head, bytes: encodeHead(head), signature: new Uint8Array(1) }
          if (lost[n] === true) return
          const change: DocumentChange = {
            info,
            put: [...capabilities].filter(([name]) => (put as string[]).includes(name)).map(([, bytes]) => bytes),
            drop
          }
          const outcome = node.applyChange(signed, change, 0)
          if (outcome === 'pull') {
            pulls++
            assert.equal(node.applyRecord({ signed, info, capabilities: [...capabilities.values()], ageMs: 0 }, 0), 'applied')
          }
          const held = node.get(id(1))!.document!
          assert.equal(hex(documentHash(held)), hex(head.documentHash))
          assert.deepEqual([...held.capabilities.keys()].sort(), [...ids].sort())
        })
        assert.ok(pulls <= steps.length)
      }),
      { numRuns: 300 }
    )
  })

  it('never lets an older version overwrite a newer, or the same version twice', () => {
    const { directory: node, events } = directory()
    assert.equal(node.applyRecord(recordOf(1, 5, ['a']), 0), 'applied')
    const before = events.length
    for (const old of [recordOf(1, 5, ['a']), recordOf(1, 4, ['b']), recordOf(1, 9, ['c'], { incarnation: 0 })]) {
      assert.equal(node.isNews(old.signed), false)
      assert.equal(node.applyRecord(old, 0), 'stale')
      assert.equal(node.applyChange(old.signed, { put: old.capabilities, drop: [] }, 0), 'stale')
    }
    assert.equal(events.length, before)
    assert.equal(node.applyRecord(recordOf(1, 1, ['b'], { incarnation: 2 }), 0), 'applied')
    assert.deepEqual(words(events.slice(before)), ['available b', 'removed a'])
  })

  it('keeps the same winner everywhere when an origin contradicts itself, also by anti-entropy alone', () => {
    const one = recordOf(1, 5, ['a'])
    const two = recordOf(1, 5, ['b'])
    const [a, b, c] = [directory().directory, directory().directory, directory().directory]
    a.applyRecord(one, 0)
    a.applyRecord(two, 0)
    b.applyRecord(two, 0)
    b.applyRecord(one, 0)
    assert.equal(hex(a.digest()), hex(b.digest()))
    for (const [first, second] of [
      [one, two],
      [two, one]
    ] as const) {
      const [x, y] = [directory().directory, directory().directory]
      x.applyRecord(first, 0)
      y.applyRecord(second, 0)
      reconcile(x, y, 0)
      assert.equal(hex(x.digest()), hex(a.digest()))
      assert.equal(hex(y.digest()), hex(a.digest()))
    }
    assert.equal(c.size, 0)
  })

  it('refuses a document that the head does not stand by', () => {
    const { directory: node, events } = directory()
    const good = recordOf(1, 1, ['a'])
    const other = recordOf(1, 1, ['b'])
    assert.equal(node.applyRecord({ ...good, capabilities: other.capabilities }, 0), 'invalid')
    assert.equal(node.applyRecord({ ...good, info: encodeInfo({ name: 'evil', version: '1', addresses: [] }) }, 0), 'invalid')
    assert.equal(node.applyChange(good.signed, { put: [], drop: [] }, 0), 'pull')
    assert.deepEqual([node.size, events.length], [0, 0])
  })

  it('forgets after the lease, and an old record does not rise again', () => {
    const { directory: node, events } = directory()
    const record = recordOf(1, 3, ['a'])
    node.applyRecord(record, 1_000)
    node.expire(1_000 + LEASE_MS - 1)
    assert.equal(node.size, 1)
    node.expire(1_000 + LEASE_MS)
    assert.deepEqual(words(events), ['node-join', 'available a', 'removed a', 'node-leave'])
    assert.equal(node.applyRecord(record, 200_000), 'stale')
    assert.deepEqual(node.compare([row(1, 3, 'known')], 200_000).want, [])
    assert.equal(node.applyRecord(recordOf(1, 4, ['a']), 200_000), 'applied')
  })

  it('counts the age that a record comes with, so that none lives for ever by being passed on', () => {
    const { directory: node } = directory()
    assert.equal(node.applyRecord({ ...recordOf(1, 1, ['a']), ageMs: LEASE_MS }, 0), 'stale')
    node.applyRecord({ ...recordOf(1, 1, ['a']), ageMs: LEASE_MS - 10 }, 0)
    assert.equal(node.record(id(1), 5)?.ageMs, LEASE_MS - 5)
    node.expire(10)
    assert.equal(node.size, 0)
  })

  it('does not forget whom it is connected to, and remembers the flag if it came before the record', () => {
    const { directory: node } = directory()
    node.setConnected(id(1), true, 0)
    node.applyRecord(recordOf(1, 1, ['a']), 0)
    assert.equal(node.get(id(1))?.connected, true)
    node.expire(10 * LEASE_MS)
    assert.equal(node.size, 1)
    assert.equal(node.record(id(1), 10 * LEASE_MS)?.ageMs, 0)
  })

  it('hides whom it lost, tells others, and does not believe late messages in quarantine', () => {
    const { directory: node, events } = directory()
    node.applyRecord(recordOf(1, 1, ['a']), 0)
    node.setConnected(id(1), true, 0)
    node.setConnected(id(1), false, 100)
    assert.deepEqual(words(events), ['node-join', 'available a', 'removed a', 'node-leave'])
    assert.deepEqual([node.visible().length, node.rows()[0]?.standing, node.record(id(1), 100)], [0, 'gone', undefined])
    // Still on its way when it died.
    node.applyRecord(recordOf(1, 2, ['a', 'b']), 200)
    node.compare([row(1, 2, 'connected', recordOf(1, 2, ['a', 'b']))], 200)
    assert.equal(node.visible().length, 0)
    // Later a neighbour that is connected to it says so.
    node.compare([row(1, 2, 'connected', recordOf(1, 2, ['a', 'b']))], 101 + LOST_QUARANTINE_MS)
    assert.equal(node.visible().length, 1)
  })

  it('takes a node whose session ended before its record came for lost: the record was on its way when it died', () => {
    const { directory: here, events } = directory()
    here.setConnected(id(1), true, 0)
    here.setConnected(id(1), false, 100)
    here.applyRecord(recordOf(1, 1, ['a']), 200)
    assert.deepEqual([words(events), here.visible().length, here.rows()[0]?.standing], [[], 0, 'gone'])
    // What comes later is news of others; and so it is once there is a session.
    here.setConnected(id(1), true, 300)
    assert.equal(here.visible().length, 1)
    here.setConnected(id(2), true, 0)
    here.setConnected(id(2), false, 100)
    here.applyRecord(recordOf(2, 1, ['a']), 101 + ON_ITS_WAY_MS)
    here.setConnected(id(3), true, 200)
    here.setConnected(id(3), false, 200)
    here.setConnected(id(3), true, 200)
    here.applyRecord(recordOf(3, 1, ['a']), 200)
    assert.equal(here.visible().length, 3)
  })

  it('shows a node that was started anew at once, also within quarantine', () => {
    const { directory: node } = directory()
    node.applyRecord(recordOf(1, 7, ['a']), 0)
    node.setConnected(id(1), true, 0)
    node.setConnected(id(1), false, 100)
    node.applyRecord(recordOf(1, 1, ['a'], { incarnation: 2 }), 2_000)
    assert.equal(node.visible().length, 1)
  })

  it('shows a lost node again when its session is back', () => {
    const { directory: node, events } = directory()
    node.applyRecord(recordOf(1, 1, ['a']), 0)
    node.setConnected(id(1), true, 0)
    node.setConnected(id(1), false, 100)
    node.setConnected(id(1), true, 200)
    assert.deepEqual(words(events.slice(4)), ['node-join', 'available a'])
  })

  it('takes the word of others that a node is gone, unless it has a session itself', () => {
    for (const connected of [false, true]) {
      const { directory: node } = directory()
      const record = recordOf(1, 1, ['a'])
      node.applyRecord(record, 0)
      if (connected) node.setConnected(id(1), true, 0)
      node.compare([row(1, 1, 'gone', record)], 10)
      assert.equal(node.visible().length, connected ? 1 : 0)
      // Told, not seen: it is not passed on.
      assert.equal(node.rows().length, connected ? 1 : 0)
    }
    const { directory: node } = directory()
    node.applyRecord(recordOf(1, 9, ['a']), 0)
    node.compare([row(1, 8, 'gone')], 10)
    node.compare([row(1, Number.MAX_SAFE_INTEGER, 'gone')], 10)
    assert.equal(node.visible().length, 1, 'a loss of another version says nothing of this one')
  })

  it('takes a forgotten version again from a node that has a session: it may have slept', () => {
    const { directory: node } = directory()
    node.applyRecord(recordOf(1, 1, ['a']), 0)
    node.expire(LEASE_MS + 1)
    assert.equal(node.applyRecord(recordOf(1, 1, ['a']), LEASE_MS + 2), 'stale')
    node.setConnected(id(1), true, LEASE_MS + 3)
    assert.equal(node.applyRecord(recordOf(1, 1, ['a']), LEASE_MS + 4), 'applied')
  })

  it('offers what is newer to a neighbour that lost the origin before it changed', () => {
    const { directory: lost } = directory()
    const { directory: heard } = directory()
    lost.setConnected(id(1), true, 0)
    for (const node of [lost, heard]) node.applyRecord(recordOf(1, 1, ['a']), 0)
    lost.setConnected(id(1), false, 0)
    const now = LOST_QUARANTINE_MS + 1
    heard.applyRecord(recordOf(1, 2, ['a', 'b']), now)
    reconcile(heard, lost, now)
    assert.equal(hex(lost.digest()), hex(heard.digest()))
  })

  it('does not spread its loss to a version that it was offered after it', () => {
    const { directory: lost } = directory('lost')
    const { directory: heard } = directory('heard')
    const { directory: third } = directory('third')
    lost.setConnected(id(1), true, 0)
    for (const node of [lost, heard, third]) node.applyRecord(recordOf(1, 1, ['a']), 0)
    lost.setConnected(id(1), false, 0)
    for (const node of [heard, third]) node.applyRecord(recordOf(1, 2, ['a']), 10)
    reconcile(heard, lost, 20)
    assert.equal(lost.visible().length, 0, 'in quarantine')
    reconcile(third, lost, 30)
    reconcile(lost, heard, 40)
    assert.deepEqual([third.visible().length, heard.visible().length], [1, 1])
  })

  it('shows a node that was only said to be gone again with its next signed head, not one that it lost itself', () => {
    for (const firsthand of [false, true]) {
      const { directory: node } = directory()
      const record = recordOf(1, 1, ['a'])
      node.applyRecord(record, 0)
      if (firsthand) {
        node.setConnected(id(1), true, 0)
        node.setConnected(id(1), false, 10)
      } else node.compare([row(1, 1, 'gone', record)], 10)
      assert.equal(node.visible().length, 0)
      node.applyRecord(recordOf(1, 2, ['a']), 20)
      assert.equal(node.visible().length, firsthand ? 0 : 1)
    }
  })

  it('says goodbye once: a node that left is not lost, and stays known as left', () => {
    const { directory: node, events } = directory()
    node.applyRecord(recordOf(1, 1, ['a']), 0)
    node.setConnected(id(1), true, 0)
    node.applyRecord(recordOf(1, 2, [], { left: true, note: 'shutdown' }), 10)
    node.setConnected(id(1), false, 20)
    assert.deepEqual(words(events), ['node-join', 'available a', 'removed a', 'node-leave'])
    assert.equal((events.at(-1) as { reason: string }).reason, 'shutdown')
    assert.equal(node.rows()[0]?.standing, 'known')
    assert.equal(node.record(id(1), 20)?.signed.head.left, true)
  })

  it('says suspended once, then updated', () => {
    const { directory: node, events } = directory()
    const info = encodeInfo({ name: 'n', version: '1', addresses: [] })
    const apply = (sequence: number, declaration: CapabilityDeclaration): void => {
      const put = [encodeCapability(declaration)]
      const hash = documentHash(changeDocument(undefined, { info, put, drop: [] })!)
      const { signed } = recordOf(1, sequence, [], { documentHash: hash })
      assert.equal(node.applyRecord({ signed, info, capabilities: put, ageMs: 0 }, 0), 'applied')
    }
    apply(1, { id: 'a', type: 't' })
    apply(2, { id: 'a', type: 't', status: 'suspended' })
    apply(3, { id: 'a', type: 't', status: 'suspended', statusReason: 'still' })
    apply(4, { id: 'a', type: 't' })
    assert.deepEqual(words(events), ['node-join', 'available a', 'suspended a', 'updated a', 'updated a'])
  })

  it('makes room for new origins only at the cost of those that do not count', () => {
    const { directory: node } = directory()
    for (let n = 0; n < MAX_ORIGINS; n++) node.applyRecord(recordOf(n, 1, []), n)
    assert.equal(node.applyRecord(recordOf(MAX_ORIGINS, 1, []), 5_000), 'full')
    node.applyRecord(recordOf(7, 2, [], { left: true }), 5_000)
    assert.equal(node.applyRecord(recordOf(MAX_ORIGINS, 1, []), 5_000), 'applied')
    assert.equal(node.get(id(7)), undefined)
    assert.equal(node.size, MAX_ORIGINS)
  })

  it('always has room for an origin with a session: the one heard longest ago without a session goes', () => {
    const { directory: node, events } = directory()
    for (let n = 0; n < MAX_ORIGINS; n++) node.applyRecord(recordOf(n, 1, []), n)
    node.setConnected(id(0), true, 4_500)
    node.setConnected(id(MAX_ORIGINS), true, 5_000)
    assert.equal(node.applyRecord(recordOf(MAX_ORIGINS, 1, []), 5_000), 'applied')
    assert.deepEqual([node.get(id(1)), node.size], [undefined, MAX_ORIGINS])
    assert.deepEqual([events.at(-2)?.kind, events.at(-1)?.kind], ['node-leave', 'node-join'])
    // Who was put out may come back with what it said last, once it has a session.
    assert.equal(node.applyRecord(recordOf(1, 1, []), 5_000), 'full')
    node.setConnected(id(1), true, 5_000)
    assert.equal(node.applyRecord(recordOf(1, 1, []), 5_000), 'applied')
    assert.deepEqual([node.get(id(2)), node.size], [undefined, MAX_ORIGINS])
  })

  it('says so when the name or the addresses of a node change', () => {
    const { directory: node, events } = directory()
    node.applyRecord(recordOf(1, 1, ['a']), 0)
    const info = encodeInfo({ name: 'node-1', version: '1', addresses: ['/ip4/10.0.0.2/tcp/1'] })
    const documentHashed = documentHash(changeDocument(undefined, { info, put: [], drop: [] })!)
    const { signed } = recordOf(1, 2, [], { documentHash: documentHashed })
    node.applyRecord({ signed, info, capabilities: [], ageMs: 0 }, 0)
    assert.deepEqual(
      events.slice(2).map(({ kind }) => kind),
      ['info', 'removed']
    )
  })

  it('holds no more bytes of documents than its limit, and takes new ones when others shrink', () => {
    const { directory: node } = directory()
    const big = 'x'.repeat(8_000)
    const ids = Array.from({ length: 120 }, (_, n) => `c${n}`)
    let outcome = ''
    let n = 0
    while (outcome !== 'full' && n < 200) outcome = node.applyRecord(recordOf(++n, 1, ids, {}, big), 0)
    assert.equal(outcome, 'full')
    assert.ok(Math.abs(n - MAX_DIRECTORY_BYTES / (120 * 8_050)) < 4, `full after ${n}`)
    node.setConnected(id(300), true, 0)
    assert.equal(node.applyRecord(recordOf(300, 1, ids, {}, big), 0), 'applied', 'a session makes room')
    assert.equal(node.size, n - 1)
    node.applyRecord(recordOf(2, 2, [], { left: true }), 0)
    assert.equal(node.applyRecord(recordOf(n, 1, ids, {}, big), 0), 'applied')
  })

  it('does not lose a node at once whose session has ended while a way to it is looked for', () => {
    const { directory: node, events } = directory()
    node.applyRecord(recordOf(1, 1, ['a']), 0)
    node.setConnected(id(1), true, 0)
    node.setConnected(id(1), false, 100, true)
    assert.deepEqual([words(events), node.get(id(1))?.connected], [['node-join', 'available a'], false])
    assert.equal(node.rows()[0]?.standing, 'known')
    // Nobody found one: it is as if nobody had looked.
    node.setRouted(id(1), false, 800)
    assert.deepEqual(words(events).slice(2), ['removed a', 'node-leave'])
    assert.equal((events.at(-1) as { reason: string }).reason, 'unreachable')
    assert.equal(node.rows()[0]?.standing, 'gone', 'it has seen that itself')
    node.applyRecord(recordOf(1, 2, ['a']), 900)
    assert.equal(node.visible().length, 0, 'in quarantine')
  })

  it('keeps a node to which there is a way, whatever neighbours say, and loses it with the way', () => {
    const { directory: node, events } = directory()
    const record = recordOf(1, 1, ['a'])
    node.applyRecord(record, 0)
    node.setConnected(id(1), true, 0)
    node.setConnected(id(1), false, 100, true)
    node.setRouted(id(1), true, 200)
    node.compare([row(1, 1, 'gone', record)], 300)
    assert.deepEqual([words(events), node.rows()[0]?.standing], [['node-join', 'available a'], 'known'])
    node.setRouted(id(1), false, 400)
    assert.equal(node.visible().length, 0)
    // Its neighbours know whether it is gone; this node only knows that it cannot get there.
    assert.equal(node.rows().length, 0)
    node.applyRecord(recordOf(1, 2, ['a']), 500)
    assert.equal(node.visible().length, 1)
    node.compare([row(1, 2, 'gone', recordOf(1, 2, ['a']))], 600)
    assert.equal(node.visible().length, 0, 'without a way neighbours are believed again')
  })

  it('shows a node that it lost again once there is a way to it, also in quarantine', () => {
    for (const firsthand of [false, true]) {
      const { directory: node, events } = directory()
      const record = recordOf(1, 1, ['a'])
      node.applyRecord(record, 0)
      if (firsthand) {
        node.setConnected(id(1), true, 0)
        node.setConnected(id(1), false, 10)
      } else node.compare([row(1, 1, 'gone', record)], 10)
      node.setRouted(id(1), true, 20)
      assert.deepEqual(words(events).slice(4), ['node-join', 'available a'])
    }
  })

  it('does not care for ways to nodes that are connected, have left, or are not known', () => {
    const { directory: node, events } = directory()
    for (const n of [1, 2]) node.applyRecord(recordOf(n, 1, ['a']), 0)
    node.setConnected(id(1), true, 0)
    node.applyRecord(recordOf(2, 2, [], { left: true }), 10)
    const before = events.length
    for (const n of [1, 2, 3])
      for (const routed of [false, true, false]) {
        node.setRouted(id(n), routed, 20)
        assert.deepEqual([events.length, node.visible().length], [before, 1])
      }
    // Of one that was looked for nothing stays behind when it comes back.
    node.setConnected(id(1), false, 30, true)
    node.setConnected(id(1), true, 40)
    node.setConnected(id(1), false, 50, true)
    node.setRouted(id(1), true, 60)
    assert.equal(events.length, before)
  })

  function row(n: number, sequence: number, standing: Standing, record = recordOf(n, sequence, [])): Row {
    const { directory: other } = directory()
    other.applyRecord(record, 0)
    return { ...other.rows()[0]!, standing }
  }
})

describe('capability codec', () => {
  const full: CapabilityDeclaration = {
    id: 'camera:1',
    type: 'sensor/camera',
    name: 'Door',
    description: 'over the door — ümlaut',
    version: '1.2',
    status: 'busy',
    statusReason: 'warming up',
    scope: 'node',
    examples: ['who is there'],
    keywords: ['video'],
    metadata: { nested: { list: [1, 2.5, null, true] }, 'org.example/x': 'y' },
    tools: [
      {
        name: 'snap',
        description: 'd',
        input: { type: 'object', properties: { a: { default: 1 } } },
        output: false,
        timeoutMs: 1,
        idempotent: false,
        requiresApproval: true,
        cache: { ttlMs: 5 },
        concurrency: 3,
        queue: 0,
        streams: true,
        acceptsStream: true,
        annotations: { readOnlyHint: true },
        auth: { kind: 'token' }
      }
    ],
    triggers: [
      {
        event: 'motion',
        description: 'd',
        intentTemplate: '{x}',
        payload: true,
        routeHint: 'a/**',
        priority: 'low',
        throttleMs: 5,
        later: []
      }
    ],
    tomorrow: { unknown: ['kept'] }
  }

  it('loses nothing: every field, unknown keys, and a status of a newer peer', () => {
    assert.deepEqual(decodeCapability(encodeCapability(full)), full)
    const newer = { ...full, status: 'hibernating' as never }
    const decoded = decodeCapability(encodeCapability(newer))
    assert.equal(decoded.status, 'hibernating')
    assert.equal(statusOf(decoded), 'degraded')
  })

  it('keeps the bytes of the origin through a directory, key by key', () => {
    const { directory: node } = directory()
    const info = encodeInfo({ name: 'n', version: '1', addresses: [] })
    const bytes = encodeCapability(full)
    const hash = documentHash(changeDocument(undefined, { info, put: [bytes], drop: [] })!)
    node.applyRecord({ signed: recordOf(1, 1, [], { documentHash: hash }).signed, info, capabilities: [bytes], ageMs: 0 }, 0)
    assert.equal(hex(node.record(id(1), 0)!.capabilities[0]!), hex(bytes))
  })

  it('does so for any JSON in any unknown place', () => {
    const json = fc.jsonValue({ maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes('-0') && !Object.is(value, -0))
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string({ minLength: 1 }).map((key) => `x-${key}`),
          json,
          { maxKeys: 5 }
        ),
        (extra) => {
          const declaration = { id: 'a', type: 't', ...extra }
          assert.equal(
            JSON.stringify(sorted(decodeCapability(encodeCapability(declaration as CapabilityDeclaration)))),
            JSON.stringify(sorted(declaration))
          )
        }
      ),
      { numRuns: 300 }
    )
  })
})

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => [key, sorted(member)])
}
