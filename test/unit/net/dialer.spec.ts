import assert from 'node:assert/strict'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { RememberedPeer } from '../../../src/net/address-book.ts'
import { CONNECT_MS, DIAL_MS, HANDSHAKE_MS } from '../../../src/net/dial-attempt.ts'
import {
  BACKOFF_MS,
  RECENT_BACKOFF_MS,
  RECENT_LOSS_MS,
  GIVE_UP_MS,
  LARGER_PEER_WAIT_MS,
  MIN_REDIAL_MS,
  REMEMBERED_BACKOFF_MS,
  REFUSED_BACKOFF_MS
} from '../../../src/net/dial-policy.ts'
import { createDialer } from '../../../src/net/dialer.ts'
import type { DialerInit } from '../../../src/net/dialer.ts'
import { MAX_DIAL_ADDRESSES } from '../../../src/net/known-peers.ts'

/** What a dial to an address does: how long the TCP connect and then the handshake take, or how it fails. */
type Behaviour = { connectMs: number; handshakeMs: number; peer: string } | { refuseMs: number } | 'dead'

let ids: string[]

/** A libp2p of addresses that behave as told, and a clock that moves when told. */
function setup(own: string, init: DialerInit = {}, remembered: RememberedPeer[] = []) {
  let time = 0
  const timers: { at: number; action: () => void }[] = []
  const schedule = (action: () => void, ms: number): (() => void) => {
    const timer = { at: time + ms, action }
    timers.push(timer)
    return () => {
      const index = timers.indexOf(timer)
      if (index >= 0) timers.splice(index, 1)
    }
  }
  /** Lets promises run; nothing here waits for the real clock. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 60; turn++) await Promise.resolve()
  }
  const advance = async (ms: number): Promise<void> => {
    const end = time + ms
    await settle()
    for (;;) {
      const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      timers.splice(timers.indexOf(next), 1)
      time = Math.max(time, next.at)
      next.action()
      await settle()
    }
    time = end
  }

  const world = new Map<string, Behaviour>()
  const dials: { addr: string; at: number }[] = []
  type Open = { remotePeer: string; remoteAddr: Multiaddr; direction: 'inbound' | 'outbound'; limits?: object }
  let open: Open[] = []
  const events = new EventTarget()
  const running = { now: 0, most: 0 }
  const begin = (connection: Open): void => {
    open.push(connection)
    events.dispatchEvent(new CustomEvent('connection:open', { detail: connection }))
  }
  const link = (peer: string, addr: string, direction: 'inbound' | 'outbound'): void =>
    begin({ remotePeer: peer, remoteAddr: multiaddr(addr), direction })
  /** A connection that others forward. */
  const circuit = (peer: string, over: string): void =>
    begin({ remotePeer: peer, remoteAddr: multiaddr(`/p2p/${over}/p2p-circuit/p2p/${peer}`), direction: 'inbound', limits: {} })
  const cut = (peer: string, which: (connection: Open) => boolean = () => true): void => {
    const ended = open.filter((connection) => connection.remotePeer === peer && which(connection))
    for (const connection of ended) {
      open = open.filter((other) => other !== connection)
      events.dispatchEvent(new CustomEvent('connection:close', { detail: connection }))
    }
  }
  const dial = async (addrs: Multiaddr[], options: { signal: AbortSignal; onProgress(event: { type: string }): void }) => {
    const addr = String(addrs[0])
    assert.equal(addrs.length, 1)
    dials.push({ addr, at: time })
    running.most = Math.max(running.most, ++running.now)
    const wait = (ms: number): Promise<void> =>
      new Promise((resolve, reject) => {
        const cancel = ms === Infinity ? () => {} : schedule(resolve, ms)
        options.signal.addEventListener('abort', () => {
          cancel()
          reject(new Error('aborted'))
        })
      })
    try {
      const way = world.get(addr.split('/p2p/')[0] ?? '') ?? 'dead'
      if (way === 'dead') await wait(Infinity)
      else if ('refuseMs' in way) {
        await wait(way.refuseMs)
        throw new Error('ECONNREFUSED')
      } else {
        await wait(way.connectMs)
        options.onProgress({ type: 'upgrader:encrypt-outbound-connection' })
        await wait(way.handshakeMs)
        const wanted = addr.split('/p2p/')[1]
        if (way.peer === own) throw Object.assign(new Error('Can not dial self'), { name: 'InvalidPeerIdError' })
        if (wanted !== undefined && wanted !== way.peer) throw new Error('UnexpectedPeerError')
        link(way.peer, addr, 'outbound')
        return { remotePeer: way.peer, remoteAddr: multiaddr(addr) }
      }
      throw new Error('unreachable')
    } finally {
      running.now--
    }
  }
  const book = new Map<string, RememberedPeer>(remembered.map((peer) => [peer.peerId, peer]))
  const good: string[] = []
  const dialer = createDialer(
    {
      libp2p: {
        peerId: own,
        dial,
        getConnections: () => open,
        addEventListener: (type, listener) => events.addEventListener(type, listener as EventListener),
        removeEventListener: (type, listener) => events.removeEventListener(type, listener as EventListener)
      },
      addressBook: {
        get: (id) => book.get(id),
        entries: () => [...book.values()],
        good: (id, addr) => void good.push(`${id} ${addr}`)
      },
      now: () => time,
      random: () => 0.5,
      schedule,
      interfaces: () => [
        { name: 'eth0', family: 4, address: '10.0.0.1', prefix: 24, linkLocal: false, virtual: false, identity: '' }
      ]
    },
    init
  )
  dialer.start()
  return { dialer, advance, settle, world, dials, link, circuit, cut, good, running, timers, connections: () => open }
}

const answers = (peer: string): Behaviour => ({ connectMs: 2, handshakeMs: 30, peer })

describe('dialer', () => {
  let small: string
  let middle: string
  let large: string

  before(async () => {
    ids = await Promise.all(
      Array.from({ length: 40 }, async (_, index) =>
        peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(index + 1))).toString()
      )
    )
    ids.sort()
    ;[small, middle, large] = [ids[0] ?? '', ids[20] ?? '', ids[39] ?? '']
  })

  it('the smaller PeerId dials at once, and once', async () => {
    const { dialer, world, dials, advance } = setup(small)
    world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    for (let times = 0; times < 3; times++) dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    await advance(10_000)
    assert.deepEqual(dials, [{ addr: `/ip4/10.0.0.2/tcp/1/p2p/${middle}`, at: 0 }])
    assert.deepEqual(
      dialer.peers().map(({ connected, source }) => [connected, source]),
      [[true, 'mdns']]
    )
  })

  it('the larger one waits for the other, and dials if nothing came', async () => {
    const waiting = setup(large)
    waiting.world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    waiting.dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    await waiting.advance(200)
    waiting.link(middle, '/ip4/10.0.0.2/tcp/50000', 'inbound')
    await waiting.advance(10_000)
    assert.deepEqual(waiting.dials, [])
    assert.deepEqual(
      waiting.good,
      [`${middle} /ip4/10.0.0.2/tcp/1/p2p/${middle}`],
      'the inbound connection proves the known address of that host'
    )

    const alone = setup(large)
    alone.world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    alone.dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    await alone.advance(10_000)
    assert.deepEqual(
      alone.dials.map(({ at }) => at),
      [LARGER_PEER_WAIT_MS]
    )
  })

  it('a static peer is dialled at once by both sides', async () => {
    const { dialer, world, dials, advance } = setup(large)
    world.set('/ip4/10.0.0.2/tcp/1', answers(small))
    dialer.found(small, ['/ip4/10.0.0.2/tcp/1'], 'static')
    await advance(100)
    assert.equal(dials[0]?.at, 0)
  })

  it('dead addresses do not hold up a live one: same subnet first, then each gets a short time', async () => {
    const { dialer, world, dials, advance } = setup(small)
    world.set('/ip4/192.168.5.5/tcp/1', answers(middle))
    world.set('/ip4/10.9.9.9/tcp/1', { refuseMs: 1 })
    dialer.found(
      middle,
      ['/ip4/8.8.4.4/tcp/1', '/ip4/10.9.9.9/tcp/1', '/ip4/192.168.5.5/tcp/1', '/ip4/10.0.0.66/tcp/1', '/ip4/10.0.0.67/tcp/1'],
      'mdns'
    )
    await advance(2_000)
    assert.deepEqual(
      dials.map(({ addr }) => addr.split('/')[2]),
      ['10.0.0.66', '10.0.0.67', '10.9.9.9', '192.168.5.5']
    )
    assert.equal(dials[3]?.at, 2 * CONNECT_MS + 1)
    assert.ok(dialer.peers()[0]?.connected)
  })

  it('an address whose handshake has begun keeps the full time; a slow connect gets it in a second round', async () => {
    const { dialer, world, dials, advance } = setup(small)
    world.set('/ip4/10.0.0.2/tcp/1', { connectMs: 5, handshakeMs: 1_500, peer: middle })
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1', '/ip4/10.0.0.3/tcp/1'], 'mdns')
    await advance(1_600)
    assert.equal(dials.length, 1)
    assert.ok(dialer.peers()[0]?.connected)

    const slow = setup(small)
    slow.world.set('/ip4/10.0.0.2/tcp/1', { connectMs: 900, handshakeMs: 100, peer: middle })
    slow.dialer.found(middle, ['/ip4/10.0.0.2/tcp/1', '/ip4/10.0.0.3/tcp/1'], 'mdns')
    await slow.advance(2 * CONNECT_MS + 1_100)
    assert.equal(slow.dials.length, 3)
    assert.ok(slow.dialer.peers()[0]?.connected)
  })

  it('a handshake that has begun is given the time that a busy peer needs for many, and not all the time in the world', async () => {
    const { dialer, world, dials, advance } = setup(small)
    world.set('/ip4/10.0.0.2/tcp/1', { connectMs: 5, handshakeMs: HANDSHAKE_MS - 10, peer: middle })
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    await advance(HANDSHAKE_MS)
    assert.equal(dials.length, 1)
    assert.ok(dialer.peers()[0]?.connected)

    const never = setup(small)
    never.world.set('/ip4/10.0.0.2/tcp/1', { connectMs: 5, handshakeMs: Infinity, peer: middle })
    never.world.set('/ip4/10.0.0.3/tcp/1', answers(middle))
    never.dialer.found(middle, ['/ip4/10.0.0.2/tcp/1', '/ip4/10.0.0.3/tcp/1'], 'mdns')
    await never.advance(HANDSHAKE_MS + 100)
    assert.deepEqual(
      never.dials.map(({ addr }) => addr.split('/')[2]),
      ['10.0.0.2', '10.0.0.3']
    )
    assert.ok(never.dialer.peers()[0]?.connected)
  })

  it('an attempt at a dead address ends after its time, and the wait grows to its cap', async () => {
    const { dialer, dials, advance } = setup(small)
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'static')
    await advance(180_000)
    const gaps = dials.slice(1).map(({ at }, index) => at - (dials[index]?.at ?? 0) - DIAL_MS)
    assert.deepEqual(gaps.slice(0, 8), [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  })

  it('dials a peer that is reached over others alone, as if it were not there, until it is there itself', async () => {
    for (const first of ['circuit', 'hearing'] as const) {
      const { dialer, world, dials, circuit, good, advance } = setup(small)
      if (first === 'circuit') circuit(middle, large)
      dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'peer')
      if (first === 'hearing') circuit(middle, large)
      await advance(180_000)
      const gaps = dials.slice(1).map(({ at }, index) => at - (dials[index]?.at ?? 0) - DIAL_MS)
      assert.deepEqual(gaps.slice(0, 8), [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
      assert.equal(dialer.peers()[0]?.connected, false)
      assert.deepEqual(good, [])
      world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
      await advance(BACKOFF_MS.max * 1.25)
      assert.ok(dialer.peers()[0]?.connected)
      const before = dials.length
      await advance(60_000)
      assert.equal(dials.length, before)
    }
  })

  it('notices that a peer is gone though it is still reached over others, and does not mind when that ends', async () => {
    const { dialer, world, dials, circuit, cut, advance } = setup(small)
    world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'peer')
    await advance(1_000)
    circuit(middle, large)
    cut(middle, ({ limits }) => limits === undefined)
    await advance(BACKOFF_MS.min + 100)
    assert.equal(dials.length, 2)
    assert.ok(dialer.peers()[0]?.connected)
    cut(middle, ({ limits }) => limits !== undefined)
    await advance(60_000)
    assert.equal(dials.length, 2)
    assert.ok(dialer.peers()[0]?.connected)
    world.delete('/ip4/10.0.0.2/tcp/1')
    cut(middle)
    await advance(RECENT_LOSS_MS + 120_000)
    const before = dials.length
    circuit(middle, large)
    cut(middle)
    await advance(10_000)
    assert.ok(dials.length <= before + 1, 'waits are as long as before')
  })

  it('does not give up a peer while it is reached over others, but tries it seldom', async () => {
    const { dialer, dials, circuit, cut, advance } = setup(small)
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'peer')
    circuit(middle, large)
    await advance(GIVE_UP_MS + 60_000)
    const before = dials.length
    await advance(GIVE_UP_MS)
    assert.equal(dialer.peers().length, 1)
    assert.ok(dials.length > before && dials.length <= before + 4, `${dials.length - before} dials`)
    cut(middle)
    await advance(REMEMBERED_BACKOFF_MS * 1.25 + DIAL_MS)
    assert.deepEqual(dialer.peers(), [])
  })

  it('reconnects by itself after a loss, quickly, without end', async () => {
    const { dialer, world, dials, cut, advance } = setup(small)
    world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'peer')
    await advance(1_000)
    for (let times = 0; times < 3; times++) {
      cut(middle)
      await advance(BACKOFF_MS.min + 100)
      assert.ok(dialer.peers()[0]?.connected)
    }
    assert.equal(dials.length, 4)
  })

  it('tries a peer that was there every second for two minutes, then ever more seldom', async () => {
    const { dialer, world, dials, cut, advance } = setup(small)
    world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'peer')
    await advance(1_000)
    world.delete('/ip4/10.0.0.2/tcp/1')
    const before = dials.length
    cut(middle)
    await advance(RECENT_LOSS_MS)
    const recent = dials.length - before
    assert.ok(recent >= RECENT_LOSS_MS / (DIAL_MS + RECENT_BACKOFF_MS) - 2, String(recent))
    await advance(RECENT_LOSS_MS)
    assert.ok(dials.length - before - recent <= RECENT_LOSS_MS / BACKOFF_MS.max + 2, String(dials.length - before - recent))
  })

  it('hearing a lost peer by mDNS brings the dial forward, however long the wait was', async () => {
    const { dialer, world, dials, advance } = setup(small)
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    await advance(40_000)
    world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    const count = dials.length
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    await advance(MIN_REDIAL_MS + 100)
    assert.equal(dials.length, count + 1)
    assert.ok(dialer.peers()[0]?.connected)
  })

  it('a flood of hearings does not dial more than the limit', async () => {
    const { dialer, world, dials, advance } = setup(small)
    world.set('/ip4/10.0.0.2/tcp/1', { refuseMs: 1 })
    for (let ms = 0; ms < 5_000; ms += 10) {
      dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
      await advance(10)
    }
    assert.ok(dials.length <= 5_000 / MIN_REDIAL_MS + 3, String(dials.length))
  })

  it('a new address, and a network change, start afresh', async () => {
    const { dialer, dials, advance } = setup(small)
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'peer')
    await advance(60_000)
    let count = dials.length
    dialer.found(middle, ['/ip4/10.0.0.3/tcp/1'], 'peer')
    await advance(10)
    assert.equal(dials.length, count + 1)
    await advance(65_000)
    assert.equal(dialer.peers()[0]?.dialing, false)
    count = dials.length
    dialer.networkChanged()
    await advance(BACKOFF_MS.min)
    assert.equal(dials.length, count + 1)
  })

  it('an address that comes during an attempt is tried as soon as that fails', async () => {
    const { dialer, world, dials, advance } = setup(small)
    world.set('/ip4/10.0.0.3/tcp/1', answers(middle))
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    await advance(1_000)
    dialer.found(middle, ['/ip4/10.0.0.3/tcp/1'], 'mdns')
    await advance(DIAL_MS - 1_000 + CONNECT_MS + 100)
    assert.ok(dialer.peers()[0]?.connected)
    assert.equal(dials.length, 3)
  })

  it('gives up a peer of hearsay after ten minutes, but never a static one, and remembered ones slow down', async () => {
    const remembered = [{ peerId: ids[30] ?? '', addrs: ['/ip4/10.0.0.9/tcp/1'], lastGoodAt: 1, source: 'mdns' as const }]
    const { dialer, dials, advance } = setup(small, {}, remembered)
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'peer')
    dialer.found(large, ['/ip4/10.0.0.3/tcp/1'], 'static')
    await advance(GIVE_UP_MS + 60_000)
    assert.deepEqual(
      dialer
        .peers()
        .map(({ source }) => source)
        .sort(),
      ['remembered', 'static']
    )
    assert.equal(dialer.counters().gaveUp, 1)
    const before = dials.filter(({ addr }) => addr.includes('10.0.0.9')).length
    await advance(GIVE_UP_MS)
    assert.ok(dials.filter(({ addr }) => addr.includes('10.0.0.9')).length - before <= 4)
  })

  it('takes up remembered peers at start', async () => {
    const remembered = [{ peerId: middle, addrs: [`/ip4/10.0.0.2/tcp/1/p2p/${middle}`], lastGoodAt: 1, source: 'mdns' as const }]
    const { dialer, dials, advance } = setup(small, {}, remembered)
    await advance(10)
    assert.equal(dials.length, 1)
    assert.equal(dialer.peers()[0]?.source, 'remembered')
  })

  it('remembers a peer that came to it before anything was known of it, at what it says of itself at that host', async () => {
    const { dialer, good, link } = setup(small)
    link(middle, '/ip4/10.0.0.2/tcp/50000', 'inbound')
    link(large, '/ip4/10.0.0.3/tcp/50000', 'inbound')
    const webRtc = '/ip4/10.0.0.2/udp/4003/webrtc-direct/certhash/uEiBf7r9YFlRA_i7MwBLSmZ8DgczrAQmQ0J66DW8Z--AS5w'
    dialer.found(middle, ['/ip4/192.0.2.7/tcp/4001', webRtc, '/ip4/10.0.0.2/tcp/4001'], 'peer')
    dialer.found(large, ['/ip4/10.0.0.2/tcp/4001'], 'peer')
    assert.deepEqual(good, [`${middle} /ip4/10.0.0.2/tcp/4001/p2p/${middle}`], 'one address of another host proves nothing')
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/4001'], 'peer')
    assert.equal(good.length, 1, 'what is known is not written again')
    dialer.found(large, ['/ip4/10.0.0.3/tcp/4002'], 'peer')
    assert.deepEqual(good.slice(1), [`${large} /ip4/10.0.0.3/tcp/4002/p2p/${large}`], 'it said so later')
  })

  it('a static address without PeerId becomes a static peer, is kept, and is followed when another key answers there', async () => {
    const { dialer, world, dials, cut, advance } = setup(small)
    world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    dialer.found(undefined, ['/ip4/10.0.0.2/tcp/1'], 'static')
    await advance(100)
    assert.deepEqual(
      dialer.peers().map(({ peerId, source, connected }) => [peerId, source, connected]),
      [[middle, 'static', true]]
    )
    dialer.found(undefined, ['/ip4/10.0.0.2/tcp/1'], 'static')
    await advance(100)
    assert.equal(dials.length, 1, 'known by now')
    world.set('/ip4/10.0.0.2/tcp/1', answers(large))
    cut(middle)
    await advance(5_000)
    assert.ok(dialer.peers().some(({ peerId, connected, source }) => peerId === large && connected && source === 'static'))
  })

  it('an address of a shared list that is our own is dropped; one that is connected already is not dialled', async () => {
    const { dialer, world, dials, link, advance } = setup(small)
    world.set('/ip4/10.0.0.1/tcp/1', answers(small))
    dialer.found(undefined, ['/ip4/10.0.0.1/tcp/1'], 'static')
    await advance(60_000)
    assert.equal(dials.length, 1)
    assert.deepEqual(dialer.peers(), [])
    link(middle, `/ip4/10.0.0.2/tcp/1/p2p/${middle}`, 'outbound')
    dialer.found(undefined, ['/ip4/10.0.0.2/tcp/1'], 'static')
    await advance(100)
    assert.equal(dials.length, 1)
    assert.deepEqual(
      dialer.peers().map(({ peerId, connected, source }) => [peerId, connected, source]),
      [[middle, true, 'static']]
    )
  })

  it('when both dialled and the other came first, only the larger PeerId drops its own dial', async () => {
    for (const [own, aborted] of [
      ['large', true],
      ['small', false]
    ] as const) {
      const { dialer, dials, link, running, advance } = setup(own === 'large' ? large : small)
      dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'static')
      await advance(10)
      assert.equal(dials.length, 1)
      link(middle, '/ip4/10.0.0.2/tcp/50000', 'inbound')
      await advance(10)
      assert.equal(running.now, aborted ? 0 : 1)
      assert.ok(dialer.peers()[0]?.connected)
    }
  })

  it('ignores itself, other peers’ addresses, nonsense and names to be resolved by DNS-over-HTTPS', async () => {
    const { dialer, dials, advance } = setup(small)
    dialer.found(small, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    dialer.found('nobody', ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    dialer.found(middle, ['nowhere', `/ip4/10.0.0.2/tcp/1/p2p/${large}`, '/dnsaddr/bootstrap.example'], 'peer')
    dialer.found(undefined, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    dialer.found(undefined, ['nowhere'], 'static')
    await advance(5_000)
    assert.deepEqual(dials, [])
    assert.deepEqual(dialer.peers(), [])
    assert.equal(dialer.counters().refused, 7)
  })

  it('is bounded: parallel dials, known peers, addresses; static and connected peers are not pushed out', async () => {
    const { dialer, running, link, advance } = setup(small, { maxPeers: 10, maxParallelDials: 3 })
    dialer.found(ids[1] ?? '', ['/ip4/10.0.1.1/tcp/1'], 'static')
    dialer.found(ids[2] ?? '', ['/ip4/10.0.1.2/tcp/1'], 'mdns')
    link(ids[2] ?? '', '/ip4/10.0.1.2/tcp/1', 'inbound')
    for (const [index, id] of ids.slice(3).entries()) dialer.found(id, [`/ip4/10.0.2.${index}/tcp/1`], 'mdns')
    await advance(20_000)
    assert.equal(running.most, 3)
    const known = dialer.peers()
    assert.equal(known.length, 10)
    assert.ok(known.some(({ peerId }) => peerId === ids[1]))
    assert.ok(known.some(({ peerId }) => peerId === ids[2]))
    dialer.found(
      ids[1] ?? '',
      Array.from({ length: 40 }, (_, index) => `/ip4/10.0.3.${index}/tcp/1`),
      'mdns'
    )
    assert.ok((dialer.peers().find(({ peerId }) => peerId === ids[1])?.addrs.length ?? 99) <= MAX_DIAL_ADDRESSES)
  })

  it('avoids a peer for a time', async () => {
    const { dialer, dials, world, advance } = setup(small)
    world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    dialer.avoid(middle, 60_000)
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    await advance(10_000)
    assert.equal(dials.length, 0)
    await advance(60_000)
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    await advance(100)
    assert.equal(dials.length, 1)
  })

  it('looks at once for those that it avoided when they are forgiven, where they were heard of meanwhile', async () => {
    const { dialer, dials, world, advance } = setup(small)
    world.set('/ip4/10.0.0.3/tcp/1', answers(middle))
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    dialer.avoid(middle, 60_000)
    dialer.found(middle, ['/ip4/10.0.0.3/tcp/1'], 'mdns')
    await advance(5_000)
    const before = dials.length
    dialer.forgive()
    await advance(2_000)
    assert.equal(dials.length, before + 1)
    assert.ok(dialer.peers().some(({ peerId, connected }) => peerId === middle && connected))
    dialer.forgive()
    await advance(2_000)
    assert.equal(dials.length, before + 1)
  })

  /** A static peer that ends each connection after 40 ms, with the proof failed before or after that. */
  async function refusing(over: 'before' | 'after', source: 'static' | 'mdns' = 'static') {
    const peer = setup(small)
    peer.world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    if (source === 'static') peer.dialer.found(undefined, ['/ip4/10.0.0.2/tcp/1'], 'static')
    else peer.dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    const run = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 10) {
        await peer.advance(10)
        if (peer.connections().length === 0) continue
        if (over === 'before') peer.dialer.proved(middle, false)
        peer.cut(middle)
        if (over === 'after') peer.dialer.proved(middle, false)
      }
    }
    return { ...peer, run }
  }

  for (const over of ['before', 'after'] as const)
    it(`backs off from a peer that refuses this node ${over} its connection is gone, up to a bound`, async () => {
      const { dials, run } = await refusing(over)
      await run(10_000)
      assert.ok(dials.length >= 3 && dials.length <= 5, `${dials.length} dials in the first 10 s`)
      await run(300_000)
      const waits = dials.slice(1).map(({ at }, index) => at - dials[index]!.at)
      for (const [index, wait] of waits.entries())
        assert.ok(wait <= REFUSED_BACKOFF_MS.max * 1.25 + 100 && wait >= (waits[index - 1] ?? 0) * 0.9, `waits ${waits.join()}`)
      assert.ok(waits.at(-1)! >= REFUSED_BACKOFF_MS.max * 0.75)
    })

  it('does not dial a peer that refuses this node more often because it is heard again, but at once at a new address', async () => {
    const { dialer, dials, run } = await refusing('before', 'mdns')
    await run(60_000)
    const before = dials.length
    for (let times = 0; times < 10; times++) {
      dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
      await run(1_000)
    }
    assert.ok(dials.length <= before + 1, `${dials.length - before} dials more`)
    const count = dials.length
    dialer.found(middle, ['/ip4/10.0.0.3/tcp/1'], 'mdns')
    await run(500)
    assert.ok(dials.length > count)
  })

  for (const help of ['networkChanged', 'forgive'] as const)
    it(`tries a peer that refused this node at once after ${help}`, async () => {
      const { dialer, dials, run } = await refusing('before')
      await run(200_000)
      const before = dials.length
      dialer[help]()
      await run(500)
      assert.equal(dials.length, before + 1)
      await run(3_000)
      assert.ok(dials.length >= before + 2, 'and begins again with short waits')
    })

  it('comes back as fast as ever to a peer that had refused this node and then let it in', async () => {
    const { dialer, dials, run, advance, cut } = await refusing('before')
    await run(100_000)
    dialer.networkChanged()
    await advance(500)
    dialer.proved(middle, true)
    await advance(60_000)
    const before = dials.length
    cut(middle)
    await advance(500)
    assert.equal(dials.length, before + 1)
  })

  it('backs off from a refusing peer also when its host turns connections away in between', async () => {
    const { dialer, dials, run, world } = await refusing('before')
    await run(100_000)
    world.set('/ip4/10.0.0.2/tcp/1', { refuseMs: 1 })
    await run(100_000)
    world.set('/ip4/10.0.0.2/tcp/1', answers(middle))
    const before = dials.length
    await run(120_000)
    assert.ok(dials.length <= before + 4, `${dials.length - before} dials in two minutes`)
    assert.ok(dialer.peers().length === 1)
  })

  it('stop leaves no timer and no dial', async () => {
    const { dialer, running, timers, cut, settle, advance } = setup(small)
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1', '/ip4/10.0.0.3/tcp/1'], 'mdns')
    dialer.found(large, ['/ip4/10.0.0.4/tcp/1'], 'static')
    await advance(10)
    assert.equal(running.now, 2)
    dialer.stop()
    dialer.stop()
    await settle()
    assert.equal(running.now, 0)
    cut(middle)
    dialer.found(middle, ['/ip4/10.0.0.2/tcp/1'], 'mdns')
    await settle()
    assert.deepEqual(timers, [])
  })
})
