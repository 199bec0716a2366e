import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { isAllowedInterface, isSameSubnet, isVirtualInterface, readInterfaces } from '../../../src/net/interfaces.ts'
import type { InterfaceAddress } from '../../../src/net/interfaces.ts'
import { ipScope, parseIpMultiaddr } from '../../../src/net/ip-multiaddr.ts'
import {
  MAX_ANSWER_BYTES,
  MAX_PEERS_PER_PACKET,
  MAX_PEER_ADDRESSES,
  MDNS_SERVICE,
  announcedAddresses,
  createInstanceName,
  decodeAnswer,
  encodeAnswer,
  encodeGoodbye,
  encodeQuery,
  isPeerQuery
} from '../../../src/net/mdns-records.ts'
import type { DnsMessage } from '../../../src/net/mdns-records.ts'

/** The codec that multicast-dns uses, so that these tests cross the real wire form. */
const dnsPacket = createRequire(createRequire(import.meta.url).resolve('multicast-dns'))('dns-packet') as {
  encode(message: object): Uint8Array
  decode(bytes: Uint8Array): DnsMessage
}

const ID = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
const OTHER = '12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq'
const INSTANCE = 'a'.repeat(40)

const wire = (message: object): DnsMessage => dnsPacket.decode(dnsPacket.encode({ type: 'response', ...message }))
const answerOf = (...strings: string[]): DnsMessage => {
  const name = `${INSTANCE}.${MDNS_SERVICE}`
  return wire({
    answers: [
      { name: MDNS_SERVICE, type: 'PTR', ttl: 120, data: name },
      { name, type: 'TXT', ttl: 120, data: strings }
    ]
  })
}
const local = (name: string, address: string, prefix: number, more: Partial<InterfaceAddress> = {}): InterfaceAddress => {
  return { name, family: address.includes(':') ? 6 : 4, address, prefix, linkLocal: false, virtual: false, identity: '', ...more }
}

describe('mDNS records', () => {
  it('an answer survives the wire', () => {
    const addrs = [`/ip4/10.77.1.1/tcp/4001/p2p/${ID}`, `/ip6/fd77::1/tcp/4001/p2p/${ID}`, `/ip4/10.77.1.1/tcp/4002/ws/p2p/${ID}`]
    const heard = decodeAnswer(wire(encodeAnswer(INSTANCE, addrs)), 'eth0')
    assert.deepEqual(heard, {
      peers: [{ peerId: ID, instance: `${INSTANCE}.${MDNS_SERVICE}`, multiaddrs: addrs }],
      goodbyes: [],
      dropped: 0
    })
  })

  it('the question is recognised, others are not', () => {
    assert.equal(isPeerQuery(dnsPacket.decode(dnsPacket.encode({ type: 'query', ...encodeQuery() }))), true)
    assert.equal(isPeerQuery({ questions: [{ name: '_P2P._udp.LOCAL.', type: 'PTR' }] }), true)
    assert.equal(
      isPeerQuery({
        questions: [
          { name: '_http._tcp.local', type: 'PTR' },
          { name: MDNS_SERVICE, type: 'A' }
        ]
      }),
      false
    )
    assert.equal(isPeerQuery({}), false)
  })

  it('an instance name is random and of legal length', () => {
    const name = createInstanceName(Math.random)
    assert.match(name, /^[a-z0-9]{32,63}$/)
    assert.notEqual(name, createInstanceName(Math.random))
  })

  it('a goodbye names the instance and carries no TXT', () => {
    const goodbye = wire(encodeGoodbye(INSTANCE))
    assert.deepEqual(decodeAnswer(goodbye, 'eth0'), { peers: [], goodbyes: [`${INSTANCE}.${MDNS_SERVICE}`], dropped: 0 })
    assert.ok(!(goodbye.answers ?? []).some((record) => (record as { type: string }).type === 'TXT'))
  })

  it('answers stay below the packet limit, and what is too long for a TXT string is left off', () => {
    const long = `/ip4/10.0.0.1/udp/1/webrtc-direct/certhash/u${'A'.repeat(220)}/p2p/${ID}`
    const many = Array.from(
      { length: 40 },
      (_, index) => `/ip6/2001:db8:1111:2222:3333:4444:5555:${index + 1000}/tcp/40001/p2p/${ID}`
    )
    const bytes = dnsPacket.encode({ type: 'response', ...encodeAnswer('z'.repeat(63), [long, ...many]) })
    assert.ok(bytes.length <= MAX_ANSWER_BYTES, String(bytes.length))
    const heard = decodeAnswer(dnsPacket.decode(bytes), 'eth0')
    assert.ok((heard.peers[0]?.multiaddrs.length ?? 0) >= 8)
    assert.ok(heard.peers[0]?.multiaddrs.every((addr) => addr.startsWith('/ip6/')))
  })

  for (const [why, text] of [
    ['no PeerId', '/ip4/10.0.0.1/tcp/1'],
    ['bad PeerId', '/ip4/10.0.0.1/tcp/1/p2p/QmNope'],
    ['a name to resolve', `/dns4/evil.example/tcp/1/p2p/${ID}`],
    ['a dnsaddr', `/dnsaddr/evil.example/p2p/${ID}`],
    ['a unix socket', `/unix/var%2Frun%2Fdocker.sock/p2p/${ID}`],
    ['a relay', `/ip4/10.0.0.1/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${ID}`],
    ['an http path', `/ip4/10.0.0.1/tcp/1/http/http-path/x/p2p/${ID}`],
    ['no port', `/ip4/10.0.0.1/p2p/${ID}`],
    ['port 0', `/ip4/10.0.0.1/tcp/0/p2p/${ID}`],
    ['the unspecified address', `/ip4/0.0.0.0/tcp/1/p2p/${ID}`],
    ['a multicast address', `/ip4/224.0.0.251/tcp/1/p2p/${ID}`],
    ['broadcast', `/ip4/255.255.255.255/tcp/1/p2p/${ID}`],
    ['an IPv6 group', `/ip6/ff02::fb/tcp/1/p2p/${ID}`],
    ['no multiaddr', 'hello'],
    ['nothing', '']
  ] as const) {
    it(`refuses and counts an address: ${why}`, () => {
      const heard = decodeAnswer(answerOf(`dnsaddr=${text}`), 'eth0')
      assert.deepEqual(heard.peers, [])
      assert.equal(heard.dropped, 1)
    })
  }

  it('loopback is ignored, as stock nodes announce it', () => {
    const good = `/ip4/10.0.0.1/tcp/1/p2p/${ID}`
    const heard = decodeAnswer(
      answerOf(`dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/${ID}`, `dnsaddr=/ip6/::1/tcp/1/p2p/${ID}`, `dnsaddr=${good}`),
      'eth0'
    )
    assert.deepEqual(heard.peers[0]?.multiaddrs, [good])
    assert.equal(heard.dropped, 0)
  })

  it('a link-local IPv6 address gets the zone that it was heard on', () => {
    const heard = decodeAnswer(
      answerOf(`dnsaddr=/ip6/fe80::1/tcp/1/p2p/${ID}`, `dnsaddr=/ip6zone/en7/ip6/fe80::2/tcp/1/p2p/${ID}`),
      'eth1'
    )
    assert.deepEqual(heard.peers[0]?.multiaddrs, [
      `/ip6zone/eth1/ip6/fe80::1/tcp/1/p2p/${ID}`,
      `/ip6zone/eth1/ip6/fe80::2/tcp/1/p2p/${ID}`
    ])
  })

  it('addresses per peer are bounded', () => {
    const addrs = Array.from({ length: 40 }, (_, index) => `dnsaddr=/ip4/10.0.0.${index + 1}/tcp/1/p2p/${ID}`)
    const heard = decodeAnswer(answerOf(...addrs), 'eth0')
    assert.equal(heard.peers[0]?.multiaddrs.length, MAX_PEER_ADDRESSES)
    assert.equal(heard.dropped, 40 - MAX_PEER_ADDRESSES)
  })

  it('peers per packet are bounded', async () => {
    const ids = await Promise.all(
      Array.from({ length: MAX_PEERS_PER_PACKET + 4 }, async (_, index) => {
        return peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(index + 1))).toString()
      })
    )
    const heard = decodeAnswer(answerOf(...ids.map((id) => `dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/${id}`)), 'eth0')
    assert.equal(heard.peers.length, MAX_PEERS_PER_PACKET)
    assert.equal(heard.dropped, 4)
  })

  it('a TXT of another service, or of an instance without PTR, is not read', () => {
    const data = [`dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/${ID}`]
    assert.deepEqual(decodeAnswer(wire({ answers: [{ name: `x.${MDNS_SERVICE}`, type: 'TXT', data }] }), 'eth0').peers, [])
    const foreign = {
      answers: [
        { name: '_http._tcp.local', type: 'PTR', ttl: 120, data: 'x._http._tcp.local' },
        { name: 'x._http._tcp.local', type: 'TXT', data }
      ]
    }
    assert.deepEqual(decodeAnswer(wire(foreign), 'eth0').peers, [])
  })

  it('property: decoding never throws and stays bounded, whatever the records are', () => {
    const name = fc.oneof(fc.constant(MDNS_SERVICE), fc.constant(`x.${MDNS_SERVICE}`), fc.string(), fc.anything())
    const text = fc.oneof(
      fc.string(),
      fc.uint8Array({ maxLength: 300 }),
      fc.string().map((rest) => `dnsaddr=/ip4/1.2.3.4/tcp/${rest}`),
      fc.anything()
    )
    const record = fc.oneof(
      fc.anything(),
      fc.record({
        type: fc.oneof(fc.constantFrom('PTR', 'TXT', 'A'), fc.anything()),
        name,
        ttl: fc.oneof(fc.nat(), fc.anything()),
        data: fc.oneof(name, text, fc.array(text, { maxLength: 400 }))
      })
    )
    const list = fc.oneof(fc.array(record, { maxLength: 300 }), fc.anything())
    fc.assert(
      fc.property(fc.record({ questions: list, answers: list, additionals: list }), (message) => {
        isPeerQuery(message as DnsMessage)
        const { peers } = decodeAnswer(message as DnsMessage, 'eth0')
        assert.ok(peers.length <= MAX_PEERS_PER_PACKET)
        for (const peer of peers) assert.ok(peer.multiaddrs.length > 0 && peer.multiaddrs.length <= MAX_PEER_ADDRESSES)
      }),
      { numRuns: 200 }
    )
  })

  it('property: random and damaged bytes through the DNS decoder never harm', () => {
    const honest = dnsPacket.encode({ type: 'response', ...encodeAnswer(INSTANCE, [`/ip4/10.0.0.1/tcp/1/p2p/${ID}`]) })
    const damaged = fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { maxLength: 8 }).map((changes) => {
      const bytes = Buffer.from(honest)
      for (const [at, value] of changes) bytes[at] = value
      return bytes
    })
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
          damaged
        ),
        (bytes) => {
          let message: DnsMessage
          try {
            message = dnsPacket.decode(bytes)
          } catch {
            return // multicast-dns turns this into a warning, which we count
          }
          decodeAnswer(message, 'eth0')
        }
      ),
      { numRuns: 500 }
    )
  })
})

describe('announced addresses', () => {
  const locals = [
    local('eth0', '10.77.1.1', 24),
    local('eth0', 'fd77::1', 64),
    local('eth0', 'fe80::1', 64, { linkLocal: true }),
    local('eth1', '10.77.2.1', 24),
    local('eth1', 'fe80::2', 64, { linkLocal: true }),
    local('docker0', '172.17.0.1', 16, { virtual: true })
  ]
  const own = ['127.0.0.1', '172.17.0.1', '10.77.2.1', '10.77.1.1', '203.0.113.7'].map(
    (host) => `/ip4/${host}/tcp/4001/p2p/${ID}`
  )
  const own6 = ['::1', 'fd77::1', 'fe80::1', 'fe80::2'].map((host) => `/ip6/${host}/tcp/4001/p2p/${ID}`)
  const hosts = (name: string, family: 4 | 6, list = [...own, ...own6]): (string | undefined)[] =>
    announcedAddresses(list, { name, family }, locals).map((addr) => parseIpMultiaddr(addr)?.host)

  it('begin with those of the interface, then other real ones; no loopback, no docker, no foreign link', () => {
    assert.deepEqual(hosts('eth0', 4), ['10.77.1.1', 'fd77::1', '10.77.2.1', '203.0.113.7'])
    assert.deepEqual(hosts('eth1', 4), ['10.77.2.1', '10.77.1.1', '203.0.113.7', 'fd77::1'])
  })

  it('over IPv6 begin with IPv6 and include the link-local one', () => {
    assert.deepEqual(hosts('eth0', 6).slice(0, 3), ['fd77::1', 'fe80::1', '10.77.1.1'])
  })

  it('on a virtual interface begin with its own address', () => {
    assert.equal(hosts('docker0', 4)[0], '172.17.0.1')
  })

  it('an unspecified address stands for every address of the interface', () => {
    assert.deepEqual(hosts('eth0', 6, [`/ip6/::/tcp/1/p2p/${ID}`]), ['fd77::1', 'fe80::1'])
    assert.deepEqual(hosts('eth0', 4, [`/ip4/0.0.0.0/tcp/1/p2p/${ID}`]), ['10.77.1.1'])
  })

  it('leave out relays, names and nonsense', () => {
    assert.deepEqual(
      hosts('eth0', 4, [`/ip4/10.77.1.9/tcp/1/p2p/${OTHER}/p2p-circuit/p2p/${ID}`, `/dns4/a/tcp/1/p2p/${ID}`, '', 'x']),
      []
    )
  })
})

describe('interfaces', () => {
  it('virtual ones are known by name; a veth end called eth0 is real', () => {
    for (const name of ['docker0', 'br-12ab', 'veth12', 'virbr0', 'tun0', 'tailscale0', 'wg0', 'zt7', 'utun3'])
      assert.equal(isVirtualInterface(name), true, name)
    for (const name of ['eth0', 'en0', 'wlan0', 'enp3s0', 'br0', 'bond0', 'Ethernet'])
      assert.equal(isVirtualInterface(name), false, name)
  })

  it('allow and deny are globs, deny wins', () => {
    assert.equal(isAllowedInterface('eth0'), true)
    assert.equal(isAllowedInterface('eth0', { allow: ['wlan*'] }), false)
    assert.equal(isAllowedInterface('eth0', { allow: ['eth?'], deny: ['*0'] }), false)
    assert.equal(isAllowedInterface('a.b', { allow: ['a.b'] }), true)
    assert.equal(isAllowedInterface('axb', { allow: ['a.b'] }), false)
  })

  it('are read without loopback, real ones first', () => {
    const of = (address: string, cidr: string, internal = false) => [
      { address, cidr, internal, family: address.includes(':') ? 'IPv6' : 'IPv4' }
    ]
    const read = readInterfaces({
      lo: of('127.0.0.1', '127.0.0.1/8', true),
      docker0: of('172.17.0.1', '172.17.0.1/16'),
      eth0: of('10.0.0.5', '10.0.0.5/20')
    })
    assert.deepEqual(
      read.map(({ name, prefix, virtual }) => [name, prefix, virtual]),
      [
        ['eth0', 20, false],
        ['docker0', 16, true]
      ]
    )
  })

  it('subnets are compared by bits', () => {
    assert.equal(isSameSubnet('10.0.15.9', local('eth0', '10.0.0.5', 20)), true)
    assert.equal(isSameSubnet('10.0.16.9', local('eth0', '10.0.0.5', 20)), false)
    assert.equal(isSameSubnet('fd77::9', local('eth0', 'fd77::1', 64)), true)
    assert.equal(isSameSubnet('fd78::9', local('eth0', 'fd77::1', 64)), false)
    assert.equal(isSameSubnet('nonsense', local('eth0', '10.0.0.5', 20)), false)
  })

  it('scopes', () => {
    const table = {
      '127.0.0.1': 'loopback',
      '::1': 'loopback',
      '10.1.2.3': 'private',
      '100.64.0.1': 'private',
      '172.31.0.1': 'private',
      'fd00::1': 'private',
      '169.254.1.1': 'link-local',
      'fe80::1%eth0': 'link-local',
      '8.8.8.8': 'public',
      '2001:db8::1': 'public',
      '0.0.0.0': 'unspecified',
      '::': 'unspecified',
      '224.0.0.1': 'unusable',
      'ff02::1': 'unusable',
      '::ffff:127.0.0.1': 'loopback',
      x: 'unusable'
    }
    for (const [host, scope] of Object.entries(table)) assert.equal(ipScope(host), scope, host)
  })

  it('property: taking multiaddrs apart never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((rest) => `/ip4/1.2.3.4/${rest}`)
        ),
        (text) => void parseIpMultiaddr(text)
      )
    )
    fc.assert(fc.property(fc.string(), (text) => void ipScope(text)))
  })
})
