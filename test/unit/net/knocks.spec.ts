import assert from 'node:assert/strict'
import { FAILED_RATE, MAX_TURNED_AWAY, TURNED_AWAY_MS, createKnocks } from '../../../src/net/knocks.ts'

describe('knocks', () => {
  const from = (host: string, port = 1): string => `/ip4/${host}/tcp/${port}`
  let time: number
  beforeEach(() => (time = 0))

  it('turn a host away that fails again and again, from whatever port, for a time, and no other', () => {
    const knocks = createKnocks(() => time)
    for (let n = 0; n < FAILED_RATE.burst; n++) knocks.failed(from('10.0.0.1', n + 1))
    assert.equal(knocks.turnsAway(from('10.0.0.1')), false)
    knocks.failed(from('10.0.0.1'))
    assert.equal(knocks.turnsAway(`${from('10.0.0.1', 77)}/ws`), true)
    assert.equal(knocks.turnsAway(from('10.0.0.2')), false)
    time += TURNED_AWAY_MS
    assert.equal(knocks.turnsAway(from('10.0.0.1')), false)
  })

  /** Fails as often as one host may, and once more, each time from the next of these hosts in turn. */
  const floodFrom = (knocks: ReturnType<typeof createKnocks>, ...hosts: string[]): void => {
    for (let n = 0; n <= FAILED_RATE.burst; n++) knocks.failed(hosts[n % hosts.length]!)
  }

  it('take all of an IPv6 /64 prefix for one host: whoever has one address there has them all', () => {
    const knocks = createKnocks(() => time)
    const host = (n: number): string => `/ip6/2001:db8:1:2:${n.toString(16)}::${n}/tcp/1`
    floodFrom(knocks, ...Array.from({ length: FAILED_RATE.burst + 1 }, (_, n) => host(n + 1)))
    assert.equal(knocks.turnsAway('/ip6/2001:db8:1:2:ffff:1:2:3/tcp/9/ws'), true)
    assert.equal(knocks.turnsAway('/ip6/2001:db8:1:3::1/tcp/1'), false)
    assert.equal(knocks.turnsAway('/ip6/::1/tcp/1'), false)
  })

  it('take an IPv4-mapped address for the IPv4 address that it is, and no two of them for one', () => {
    const knocks = createKnocks(() => time)
    floodFrom(knocks, '/ip6/::ffff:10.0.0.1/tcp/1', '/ip6/::ffff:a00:1/tcp/2', '/ip4/10.0.0.1/tcp/3')
    for (const same of ['/ip6/::ffff:a00:1/tcp/4', '/ip4/10.0.0.1/tcp/4']) assert.equal(knocks.turnsAway(same), true, same)
    for (const other of ['/ip6/::ffff:a00:2/tcp/4', '/ip4/10.0.0.2/tcp/4', '/ip6/::1/tcp/4'])
      assert.equal(knocks.turnsAway(other), false, other)
  })

  it('tell link-local neighbours apart, and the links that they are on', () => {
    const knocks = createKnocks(() => time)
    floodFrom(knocks, '/ip6zone/eth0/ip6/fe80::1/tcp/1')
    assert.equal(knocks.turnsAway('/ip6zone/eth0/ip6/fe80::1/tcp/2'), true)
    assert.equal(knocks.turnsAway('/ip6zone/eth0/ip6/fe80::2/tcp/2'), false)
    assert.equal(knocks.turnsAway('/ip6zone/eth1/ip6/fe80::1/tcp/2'), false)
  })

  it('let in again who has failed less often than is allowed', () => {
    const knocks = createKnocks(() => time)
    for (let n = 0; n < FAILED_RATE.burst * 4; n++) {
      knocks.failed(from('10.0.0.1'))
      time += 1_000 / FAILED_RATE.perSecond
      assert.equal(knocks.turnsAway(from('10.0.0.1')), false)
    }
  })

  it('remember so many hosts and no more', () => {
    const knocks = createKnocks(() => time)
    const host = (n: number): string => from(`10.1.${n >> 8}.${n & 255}`)
    for (let n = 0; n <= MAX_TURNED_AWAY; n++) for (let k = 0; k <= FAILED_RATE.burst; k++) knocks.failed(host(n))
    assert.equal(knocks.turnsAway(host(0)), false)
    assert.equal(knocks.turnsAway(host(1)), true)
    assert.equal(knocks.turnsAway(host(MAX_TURNED_AWAY)), true)
  })
})
