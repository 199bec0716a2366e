import assert from 'node:assert/strict'
import type { MdnsCounters } from '../../src/net/mdns.ts'
import { programOf } from '../fixtures/bundle.ts'
import { createLab, requireLab } from '../fixtures/netns.ts'
import type { Host, HostOptions, HostProcess, Lab } from '../fixtures/netns.ts'

interface NodeEvent {
  event: string
  peer?: string
  addrs?: string[]
  state?: string
  message?: string
  counts?: Record<string, number>
}

type Node = HostProcess<NodeEvent>

const SCRIPT = 'test/fixtures/mdns-node.ts'
const START_MS = 15_000

describe('mDNS between real hosts', function () {
  this.timeout(60_000)
  let lab: Lab

  before(function () {
    requireLab(this)
  })

  afterEach(async () => {
    await lab?.close()
  })

  const build = (hosts: HostOptions[]): Host[] => {
    lab = createLab(hosts)
    return lab.hosts
  }
  const run = (host: Host | undefined, seed: number, ...more: string[]): Node => {
    assert.ok(host)
    return lab.spawn<NodeEvent>(host, [process.execPath, ...programOf(SCRIPT), '--seed', String(seed), ...more])
  }
  const started = (node: Node) => node.waitFor(({ event }) => event === 'started', START_MS, 'start')
  const idOf = async (node: Node): Promise<string> => (await started(node)).peer ?? ''
  const connected = (node: Node, peer: string, after = 0, ms = 15_000) =>
    node.waitFor(({ event, peer: other, at }) => event === 'connect' && other === peer && at > after, ms, `connection to ${peer}`)

  it('three hosts without a default route find and connect each other, one of them with two interfaces', async () => {
    const hosts = build([{}, {}, { second: true }])
    // The first has itself in its list of static peers, as when one configuration serves all.
    const nodes = [run(hosts[0], 1, '--static', '/ip4/10.77.1.1/tcp/4001'), run(hosts[1], 2), run(hosts[2], 3)]
    assert.equal(lab.exec(hosts[0] as Host, ['ip', 'route', 'show', 'default']).trim(), '')
    const starts = await Promise.all(nodes.map(started))
    const all = await Promise.all(
      nodes.flatMap((node, i) => starts.flatMap(({ peer }, j) => (i === j ? [] : [connected(node, peer ?? '')])))
    )
    const took = Math.max(...all.map(({ at }) => at)) - Math.max(...starts.map(({ at }) => at))
    console.log(`      last start to all-see-all: ${took} ms`)
    for (const node of nodes) {
      const counts = await node.waitFor(
        ({ event, counts }) => event === 'connections' && Object.keys(counts ?? {}).length === 2,
        5_000
      )
      assert.deepEqual(Object.values(counts.counts ?? {}), [1, 1], 'one connection per pair')
      assert.ok(node.events.some(({ event, state }) => event === 'state' && state === 'ok'))
      const heard = node.events.filter(({ event }) => event === 'found').flatMap(({ addrs }) => addrs ?? [])
      assert.ok(!heard.some((addr) => addr.includes('127.0.0.1') || addr.includes('/ip6/::1/')), 'loopback is never announced')
    }
    const codes = await Promise.all(nodes.map((node) => node.end()))
    assert.deepEqual(codes, [0, 0, 0], 'every process ends by itself')
    const { dialer } = (await (nodes[0] as Node).waitFor(({ event }) => event === 'counters', 1_000)) as unknown as {
      dialer: { failed: number }
    }
    assert.equal(dialer.failed, 0, 'our own address is recognised, not tried for ever')
  })

  it('hosts that share only a second interface find each other there', async () => {
    const hosts = build([{ second: true }, { second: true, ip4: false, linkLocal6: false }])
    const nodes = [run(hosts[0], 1), run(hosts[1], 2)]
    const [a, b] = await Promise.all(nodes.map(idOf))
    await Promise.all([connected(nodes[0] as Node, b ?? ''), connected(nodes[1] as Node, a ?? '')])
    const heard = await (nodes[1] as Node).waitFor(({ event }) => event === 'found', 1_000)
    assert.match(heard.addrs?.[0] ?? '', /^\/ip4\/10\.77\.2\.1\//, 'the address of the shared interface comes first')
  })

  it('a node with stock @libp2p/mdns finds ours and is found', async () => {
    const hosts = build([{}, {}])
    // The stock module sends by the default route alone.
    lab.exec(hosts[1] as Host, ['ip', 'route', 'add', '224.0.0.0/4', 'dev', 'eth0'])
    const ours = run(hosts[0], 1)
    const plain = run(hosts[1], 2, '--plain')
    const [a, b] = await Promise.all([idOf(ours), idOf(plain)])
    const seen = await plain.waitFor(({ event, peer }) => event === 'found' && peer === a, 15_000, 'ours in the stock node')
    assert.ok(
      seen.addrs?.some((addr) => addr.startsWith('/ip4/10.77.1.1/tcp/4001')),
      String(seen.addrs)
    )
    await ours.waitFor(({ event, peer }) => event === 'found' && peer === b, 15_000, 'the stock node in ours')
    await connected(ours, b)
  })

  it('two hosts with IPv6 alone find and connect each other', async () => {
    const hosts = build([
      { ip4: false, ip6: true },
      { ip4: false, ip6: true }
    ])
    const nodes = [run(hosts[0], 1), run(hosts[1], 2)]
    const [a, b] = await Promise.all(nodes.map(idOf))
    await Promise.all([connected(nodes[0] as Node, b ?? ''), connected(nodes[1] as Node, a ?? '')])
  })

  it('two hosts with nothing but link-local IPv6, as on a cable without DHCP', async () => {
    const hosts = build([{ ip4: false }, { ip4: false }])
    const nodes = [run(hosts[0], 1), run(hosts[1], 2)]
    const [a, b] = await Promise.all(nodes.map(idOf))
    await Promise.all([connected(nodes[0] as Node, b ?? ''), connected(nodes[1] as Node, a ?? '')])
  })

  it('a flood of packets is bounded, and neighbours are found through it', async () => {
    // IPv4 alone: an IPv6 address that is still being checked for duplicates costs a rebuild that has nothing to do with the flood.
    const hosts = build([{ linkLocal6: false }, { linkLocal6: false }, { linkLocal6: false }])
    const flood = `
      const socket = require('node:dgram').createSocket('udp4')
      const payloads = [Buffer.alloc(600, 255), Buffer.alloc(8000), require('node:crypto').randomBytes(200)]
      socket.bind(0, () => {
        socket.setMulticastInterface('${hosts[1]?.ip4}')
        setInterval(() => { for (let i = 0; i < 40; i++) socket.send(payloads[i % 3], 5353, '224.0.0.251') }, 20)
      })`
    const first = run(hosts[0], 1)
    const a = await idOf(first)
    lab.spawn(hosts[1] as Host, [process.execPath, '-e', flood])
    const third = run(hosts[2], 3)
    // With one of the first queries: some are lost.
    await connected(first, await idOf(third), 0, 5_000)
    await connected(third, a)
    assert.equal(await first.end(), 0)
    const { mdns } = (await first.waitFor(({ event }) => event === 'counters', 1_000)) as unknown as { mdns: MdnsCounters }
    assert.ok(mdns.limited > 0 && mdns.malformed > 0, JSON.stringify(mdns))
    assert.equal(mdns.rebuilt, 0, 'garbage is no trouble of the socket')
  })

  it('an interface that goes down and comes back is a state, and the mesh heals', async () => {
    const hosts = build([{}, {}])
    const nodes = [run(hosts[0], 1), run(hosts[1], 2)]
    const [a = '', b = ''] = await Promise.all(nodes.map(idOf))
    const [first, second] = nodes as [Node, Node]
    await Promise.all([connected(first, b), connected(second, a)])
    // One interface is switched off, the other loses its cable.
    lab.link(hosts[0] as Host, false)
    lab.cable(hosts[1] as Host, false)
    const inState = (node: Node, wanted: string, after: number) =>
      node.waitFor(({ event, state, at }) => event === 'state' && state === wanted && at > after, 12_000, wanted)
    await Promise.all([inState(first, 'no-network', 0), inState(second, 'no-network', 0)])
    const back = Date.now()
    lab.link(hosts[0] as Host, true)
    lab.cable(hosts[1] as Host, true)
    await Promise.all([inState(first, 'ok', back), inState(second, 'ok', back)])
    await first.waitFor(({ event, peer, at }) => event === 'found' && peer === b && at > back, 5_000, 'the neighbour again')
    assert.equal(first.child.exitCode, null)
    assert.deepEqual(await Promise.all(nodes.map((node) => node.end())), [0, 0])
  })

  it('a peer that is killed and restarted with the same key is connected again at once', async () => {
    const hosts = build([{}, {}])
    const nodes = [run(hosts[0], 1), run(hosts[1], 2)]
    const [a = '', b = ''] = await Promise.all(nodes.map(idOf))
    await Promise.all([connected(nodes[0] as Node, b), connected(nodes[1] as Node, a)])
    // Once as the smaller and once as the larger PeerId of the pair.
    for (const [index, other, id] of [
      [0, 1, b],
      [1, 0, a]
    ] as const) {
      await nodes[index]?.end('SIGKILL')
      nodes[index] = run(hosts[index], index + 1)
      const { at } = await started(nodes[index])
      const again = await connected(nodes[index], id, 0, 5_000)
      console.log(
        `      restart of the ${(index === 0) === a < b ? 'smaller' : 'larger'}: connected ${again.at - at} ms after its start`
      )
      await connected(nodes[other] as Node, index === 0 ? a : b, at - 1_000, 5_000)
    }
  })

  it('where multicast is refused, the state says so and the process lives', async () => {
    const hosts = build([{ linkLocal6: false }])
    lab.exec(hosts[0] as Host, ['sh', '-c', 'echo 0 > /proc/sys/net/ipv4/igmp_max_memberships'])
    const node = run(hosts[0], 1)
    const { message } = await node.waitFor(
      ({ event, state }) => event === 'state' && state === 'no-multicast',
      25_000,
      'no-multicast'
    )
    assert.match(message ?? '', /eth0/)
    assert.equal(await node.end(), 0)
  })
})
