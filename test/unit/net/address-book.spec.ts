import assert from 'node:assert/strict'
import { withPeerId } from '../../../src/net/ip-multiaddr.ts'
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { createAddressBookFile } from '../../../src/net/address-book-file.ts'
import {
  MAX_BOOK_ADDRESSES,
  MAX_BOOK_AGE_MS,
  MAX_BOOK_BYTES,
  MAX_BOOK_PEERS,
  SAVE_DELAY_MS,
  createAddressBook,
  rankAddresses
} from '../../../src/net/address-book.ts'
import type { InterfaceAddress } from '../../../src/net/interfaces.ts'

const ID = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
const OTHER = '12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq'

const setup = (stored?: Uint8Array) => {
  const saved: string[] = []
  const timers: { action: () => void; ms: number }[] = []
  const clock = { now: 1_000_000 }
  const book = createAddressBook({
    load: async () => stored,
    save: async (bytes) => void saved.push(new TextDecoder().decode(bytes)),
    now: () => clock.now,
    schedule: (action, ms) => {
      const timer = { action, ms }
      timers.push(timer)
      return () => void timers.splice(timers.indexOf(timer) >>> 0, 1)
    }
  })
  return { book, saved, timers, clock }
}
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('address book', () => {
  it('remembers what worked, the last first, over a restart', async () => {
    const { book, saved, timers, clock } = setup()
    await book.open()
    book.good(ID, '/ip4/10.0.0.1/tcp/1', 'mdns')
    clock.now++
    book.good(OTHER, '/ip4/10.0.0.9/tcp/1', 'static')
    clock.now++
    book.good(ID, `/ip4/10.0.0.2/tcp/1/p2p/${ID}`, 'mdns')
    assert.equal(timers.length, 1, 'one save for all')
    assert.equal(timers[0]?.ms, SAVE_DELAY_MS)
    await book.flush()
    assert.equal(timers.length, 0)
    assert.equal(saved.length, 1)
    const again = setup(bytes(saved[0] ?? ''))
    again.clock.now = clock.now
    await again.book.open()
    assert.deepEqual(again.book.entries(), [
      {
        peerId: ID,
        addrs: [`/ip4/10.0.0.2/tcp/1/p2p/${ID}`, `/ip4/10.0.0.1/tcp/1/p2p/${ID}`],
        lastGoodAt: 1_000_002,
        source: 'mdns'
      },
      { peerId: OTHER, addrs: [`/ip4/10.0.0.9/tcp/1/p2p/${OTHER}`], lastGoodAt: 1_000_001, source: 'static' }
    ])
    assert.deepEqual(again.book.counters(), { corrupt: 0, saveFailed: 0, evicted: 0 })
  })

  for (const [why, text] of [
    ['empty', ''],
    ['half written', '{"version":1,"peers":[{"peerId":"12D3'],
    ['null', 'null'],
    ['another version', '{"version":9,"peers":[]}'],
    ['no list', '{"version":1,"peers":{}}']
  ] as const) {
    it(`starts empty and counts it when the file is damaged: ${why}`, async () => {
      const { book } = setup(bytes(text))
      await book.open()
      assert.deepEqual(book.entries(), [])
      assert.equal(book.counters().corrupt, 1)
    })
  }

  it('an oversized file is not read; a single bad entry costs only itself; old peers are left behind', async () => {
    const big = setup(new Uint8Array(MAX_BOOK_BYTES + 1))
    await big.book.open()
    assert.equal(big.book.counters().corrupt, 1)
    const entries = [
      { peerId: ID, addrs: ['/ip4/1.2.3.4/tcp/1', 7, 'x'], lastGoodAt: 5, source: 'mdns' },
      { peerId: 'nobody', addrs: ['/ip4/1.2.3.4/tcp/1'], lastGoodAt: 5 },
      null
    ]
    const mixed = setup(bytes(JSON.stringify({ version: 1, peers: entries })))
    await mixed.book.open()
    assert.deepEqual(
      mixed.book.entries().map(({ addrs }) => addrs),
      [[`/ip4/1.2.3.4/tcp/1/p2p/${ID}`]]
    )
    assert.equal(mixed.book.counters().corrupt, 2)
    const old = setup(bytes(JSON.stringify({ version: 1, peers: entries })))
    old.clock.now = MAX_BOOK_AGE_MS + 6
    await old.book.open()
    assert.deepEqual(old.book.entries(), [])
  })

  it('property: no stored bytes make it throw', async () => {
    const entry = fc.record({
      peerId: fc.oneof(fc.constant(ID), fc.anything()),
      addrs: fc.anything(),
      lastGoodAt: fc.anything(),
      source: fc.anything()
    })
    const file = fc.oneof(
      fc.uint8Array(),
      fc.json().map(bytes),
      fc.array(fc.oneof(entry, fc.anything())).map((peers) => bytes(JSON.stringify({ version: 1, peers }) ?? ''))
    )
    await fc.assert(
      fc.asyncProperty(file, async (stored) => {
        const { book } = setup(stored)
        await book.open()
        book.good(ID, '/ip4/1.2.3.4/tcp/1', 'mdns')
        assert.ok(book.get(ID))
      }),
      { numRuns: 100 }
    )
  })

  it('is bounded: the peer longest without success goes, the oldest address goes', async () => {
    const { book } = setup()
    for (let index = 0; index < MAX_BOOK_ADDRESSES + 4; index++) book.good(ID, `/ip4/10.0.0.${index + 1}/tcp/1`, 'mdns')
    assert.equal(book.get(ID)?.addrs.length, MAX_BOOK_ADDRESSES)
    assert.equal(book.get(ID)?.addrs[0], `/ip4/10.0.0.${MAX_BOOK_ADDRESSES + 4}/tcp/1/p2p/${ID}`)
    const ids = await Promise.all(
      Array.from({ length: MAX_BOOK_PEERS }, async (_, index) => {
        const seed = new Uint8Array(32)
        new DataView(seed.buffer).setUint32(0, index + 1)
        return peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', seed)).toString()
      })
    )
    for (const id of ids) book.good(id, '/ip4/10.0.0.1/tcp/1', 'peer')
    assert.equal(book.entries().length, MAX_BOOK_PEERS)
    assert.equal(book.get(ID), undefined)
    assert.equal(book.counters().evicted, 1)
  })

  it('a failed save is counted and tried again', async () => {
    let failures = 1
    const saved: Uint8Array[] = []
    const book = createAddressBook({
      load: async () => undefined,
      save: async (data) => {
        if (failures-- > 0) throw new Error('disk full')
        saved.push(data)
      },
      now: () => 0,
      schedule: () => () => {}
    })
    book.good(ID, '/ip4/1.2.3.4/tcp/1', 'mdns')
    await book.flush()
    assert.equal(book.counters().saveFailed, 1)
    await book.flush()
    assert.equal(saved.length, 1)
    await book.flush()
    assert.equal(saved.length, 1, 'nothing new, nothing written')
  })

  it('ignores nonsense', () => {
    const { book } = setup()
    book.good('nobody', '/ip4/1.2.3.4/tcp/1', 'mdns')
    book.good(ID, 'nowhere', 'mdns')
    book.good(ID, `/ip4/1.2.3.4/tcp/1/p2p/${OTHER}`, 'mdns')
    assert.deepEqual(book.entries(), [])
    assert.equal(withPeerId('/', ID), undefined)
  })

  it('the file is private, replaced whole, and may be missing', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'atm-book-'))
    try {
      const path = join(directory, 'addresses.json')
      const file = createAddressBookFile(path)
      assert.equal(await file.load(), undefined)
      await writeFile(path, 'old')
      await file.save(bytes('new'))
      assert.equal(await readFile(path, 'utf8'), 'new')
      assert.equal((await stat(path)).mode & 0o777, 0o600)
      assert.deepEqual(await readdir(directory), ['addresses.json'])
      assert.deepEqual(Buffer.from((await file.load()) ?? []).toString(), 'new')
      await assert.rejects(createAddressBookFile(join(directory, 'no', 'where')).save(bytes('x')))
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

describe('address ranking', () => {
  const local = (name: string, address: string, prefix: number, virtual = false): InterfaceAddress => {
    return { name, family: address.includes(':') ? 6 : 4, address, prefix, linkLocal: false, virtual, identity: '' }
  }
  const locals = [local('eth0', '192.168.1.5', 24), local('docker0', '172.17.0.1', 16, true)]
  const at = (host: string): string => `/ip${host.includes(':') ? 6 : 4}/${host}/tcp/1`

  it('same subnet, last good, private, public, virtual, link-local; loopback of another machine is left out', () => {
    const zoned = '/ip6zone/eth0/ip6/fe80::9/tcp/1'
    const all = [at('127.0.0.1'), zoned, at('172.17.0.9'), at('203.0.113.1'), at('10.9.9.9'), at('10.8.8.8'), at('192.168.1.77')]
    assert.deepEqual(rankAddresses(all, locals, { lastGood: [at('10.8.8.8')] }), [
      at('192.168.1.77'),
      at('10.8.8.8'),
      at('10.9.9.9'),
      at('203.0.113.1'),
      at('172.17.0.9'),
      zoned
    ])
  })

  it('loopback comes last for a peer on this machine, and alone if there is nothing else', () => {
    assert.deepEqual(rankAddresses([at('127.0.0.1'), at('192.168.1.5')], locals), [at('192.168.1.5'), at('127.0.0.1')])
    assert.deepEqual(rankAddresses([at('127.0.0.1')], locals), [at('127.0.0.1')])
  })

  it('what a person configured is first and never left out', () => {
    assert.deepEqual(rankAddresses([at('192.168.1.77'), at('127.0.0.1')], locals, { pinned: new Set([at('127.0.0.1')]) }), [
      at('127.0.0.1'),
      at('192.168.1.77')
    ])
  })

  it('our own addresses, duplicates and nonsense go; names and relays stay', () => {
    const relay = `/ip4/192.168.1.2/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${ID}`
    const list = [
      `${at('192.168.1.5')}/p2p/${OTHER}`,
      'x',
      '',
      '/unix/tmp',
      relay,
      '/dns4/box.lan/tcp/1',
      at('10.1.1.1'),
      at('10.1.1.1'),
      at('0.0.0.0'),
      at('224.0.0.1')
    ]
    assert.deepEqual(rankAddresses(list, locals, { ownPeerId: OTHER }), [at('10.1.1.1'), '/dns4/box.lan/tcp/1', relay])
  })

  it('property: a permutation of a subset, whatever comes in', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string(),
            fc.ipV4().map(at),
            fc.ipV6().map((host) => `/ip6/${host}/tcp/1`)
          )
        ),
        (addrs) => {
          const ranked = rankAddresses(addrs, locals)
          assert.ok(ranked.every((addr) => addrs.includes(addr)))
          assert.equal(new Set(ranked).size, ranked.length)
        }
      ),
      { numRuns: 200 }
    )
  })
})
