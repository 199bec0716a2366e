import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, Libp2p, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import assert from 'node:assert/strict'
import {
  announceTopic,
  decodeAnnouncement,
  encodeHead,
  encodeInfo,
  encodeRecord,
  signedBytes,
  type Announcement,
  type DocumentRecord,
  type Head,
  type SignedHead
} from '../../protocols/announce/messages.ts'
import { CALL_PROTOCOL, encodeRequest } from '../../protocols/call/messages.ts'
import { encodeCapability } from '../../protocols/capability.ts'
import { encodeCbor } from '../../protocols/cbor.ts'
import { encodeFrame, readPrefix, type Frame } from '../../protocols/framing/messages.ts'
import { SYNC_PROTOCOL, encodeSyncItem, encodeSyncRequest } from '../../protocols/sync/messages.ts'
import { mutate } from '../../scripts/fuzz/mutate.ts'
import { seededRandom } from '../../scripts/fuzz/random.ts'
import { changeDocument, documentHash } from '../../src/core/document.ts'
import { createAdmission } from '../../src/net/admission.ts'
import { OPEN_MESH } from '../../src/trust/membership.ts'
import { openMembership } from '../../src/trust/open-membership.ts'
import type { Mesh } from '../../src/mesh-api.ts'
import { createChannel } from '../../src/net/channel.ts'
import { createNodeLibp2p, type NodeServices } from '../../src/net/node-preset.ts'
import { openSession } from '../../src/net/session.ts'
import { createNode } from '../../src/node.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { HELLO, openRaw, type RawStream } from '../protocols/raw-stream.ts'

const MIB = 1024 * 1024
/** Hostile frames at the live node in an ordinary run; `ATMO_FUZZ_FRAMES=100000` for a long one. */
const FUZZ_FRAMES = Number(process.env['ATMO_FUZZ_FRAMES'] ?? 2_000)
const TOPIC = announceTopic(OPEN_MESH)
const LISTEN = ['/ip4/127.0.0.1/tcp/0']

describe('a live node under attack', function () {
  this.timeout(60_000 + FUZZ_FRAMES * 10)
  let node: Mesh
  let friend: Mesh
  let attacker: Libp2p<NodeServices>
  let key: PrivateKey
  let connection: Connection
  const overheard: Announcement[] = []

  before(async () => {
    node = await createNode({ name: 'target', open: true, listen: LISTEN, mdns: false })
    node.register(
      { id: 'echo', type: 'demo/echo', tools: [{ name: 'echo', input: { type: 'object' } }] },
      { echo: (input) => input }
    )
    friend = await createNode({ name: 'friend', open: true, listen: LISTEN, mdns: false, peers: node.multiaddrs() })
    friend.register({ id: 'lamp', type: 'demo/lamp', description: 'first', tools: [] })
    await newAttacker()
    await until(
      () => node.capabilities({ id: 'lamp' }).length === 1 && friend.capabilities({ id: 'echo' }).length === 1,
      'both know each other'
    )
  })
  after(async () => {
    await attacker.stop()
    await Promise.all([friend.stop(), node.stop()])
  })
  afterEach('answers a good call, and knows what it knew', async () => {
    const { result } = await friend.call('echo', 'echo', { still: 'here' }).result
    assert.deepEqual(result, { still: 'here' })
    assert.equal(node.capabilities({ id: 'lamp' }).length, 1)
  })

  /** A member of whom nothing is known yet. */
  async function newAttacker(): Promise<void> {
    await attacker?.stop()
    key = await generateKeyPair('Ed25519')
    attacker = await createNodeLibp2p(key, LISTEN)
    // One of the mesh: what it does, a member does. What a stranger can do is in membership.spec.ts.
    const now = (): number => performance.now()
    const { secret, notices, noticeDigest } = openMembership()
    const none = { treaties: () => [], onForeign: () => undefined, onStranger: () => undefined, onProof: () => undefined }
    const rest = { chain: () => [], check: async () => undefined, learn: async () => undefined, ...none }
    await createAdmission({ libp2p: attacker, secret, notices, noticeDigest, now, ...rest }).start()
    await attacker.start()
    const { pubsub } = attacker.services
    pubsub.addEventListener('message', ({ detail }) => {
      if (detail.topic === TOPIC) overheard.push(decodeAnnouncement(detail.data))
    })
    pubsub.subscribe(TOPIC)
    connection = await attacker.dial(node.multiaddrs().map((address) => multiaddr(address)))
    await until(() => pubsub.getSubscribers(TOPIC).length > 0, 'gossip has taken hold')
  }

  const counter = (name: string): number => node.status().counters[name] ?? 0
  const publish = async (bytes: Uint8Array): Promise<unknown> => attacker.services.pubsub.publish(TOPIC, bytes)
  const origin = (peer: string): Uint8Array => {
    const entry = overheard.find(({ signed }) => signed.head.mesh === OPEN_MESH && attackerView(signed) === peer)
    assert.ok(entry !== undefined, `nothing was heard of ${peer}`)
    return entry.signed.head.origin
  }
  const attackerView = ({ head }: SignedHead): string =>
    Buffer.from(head.origin).equals(Buffer.from(self())) ? 'attacker' : 'other'
  const self = (): Uint8Array => attacker.peerId.toMultihash().bytes

  async function sign(change: Partial<Head>, signer = key): Promise<SignedHead> {
    const head: Head = {
      mesh: OPEN_MESH,
      origin: self(),
      incarnation: 1,
      sequence: 1,
      left: false,
      leaseMs: 60_000,
      documentHash: new Uint8Array(32),
      note: '',
      ...change
    }
    const bytes = encodeHead(head)
    return { head, bytes, signature: await signer.sign(signedBytes(bytes)) }
  }

  /** A record with the attacker's signature, whoever it says that it is of. */
  async function record(ids: string[], change: Partial<Head> = {}, signer = key): Promise<DocumentRecord> {
    const info = encodeInfo({ name: 'evil', version: '6.6.6', addresses: [] })
    const capabilities = ids.map((id) => encodeCapability({ id, type: 'evil/thing' }))
    const document = changeDocument(undefined, { info, put: capabilities, drop: [] })!
    return { signed: await sign({ documentHash: documentHash(document), ...change }, signer), info, capabilities, ageMs: 0 }
  }

  /** Opens a comparison at the target and sends items as its answer. Resolves with how the exchange ended. */
  async function push(target: Connection, ...items: unknown[]): Promise<Frame> {
    const stream = await openRaw(target, SYNC_PROTOCOL)
    stream.send(
      { type: 'hello', hello: HELLO },
      { type: 'open', id: 1, body: encodeSyncRequest({ op: 'digest', digest: new Uint8Array(16), count: 0 }), more: true }
    )
    for (const body of items) if (!stream.send({ type: 'item', id: 1, body })) await stream.drained()
    stream.send({ type: 'end', id: 1, body: null })
    const last = (): Frame | undefined => stream.heard.find(({ type }) => type === 'end' || type === 'error')
    await until(() => last() !== undefined || stream.ended, 'the exchange ends')
    const end = last()
    stream.stream.abort(new Error('over'))
    assert.ok(end !== undefined, 'the stream was reset without a word')
    return end
  }

  async function friendsOrigin(): Promise<Uint8Array> {
    friend.register({ id: `probe-${overheard.length}`, type: 'demo/probe' }).remove()
    await until(() => overheard.some(({ signed }) => attackerView(signed) === 'other'), 'the attacker overhears an announcement')
    return origin('other')
  }

  it('rejects the forged record of another origin, over gossip and over sync, and counts it', async () => {
    const victim = await friendsOrigin()
    const before = counter('announce.forged')
    const forged = await record(['trojan'], { origin: victim, incarnation: 2 ** 40 })
    await publish(
      encodeCbor({ k: 'node-join', h: forged.signed.bytes, s: forged.signed.signature, i: forged.info, p: forged.capabilities })
    )
    await until(() => counter('announce.forged') === before + 1, 'the forgery over gossip is counted')
    const end = await push(connection, encodeSyncItem({ kind: 'record', record: forged }))
    assert.ok(end.type === 'error' && end.code === 'protocol_error', JSON.stringify(end))
    assert.equal(counter('announce.forged'), before + 2)
    assert.deepEqual(node.capabilities({ id: 'trojan' }), [])
  })

  it('is not silenced about an origin by forgeries in its name', async () => {
    const victim = await friendsOrigin()
    const before = counter('announce.forged')
    for (let n = 0; n < 400; n++) {
      const { signed } = await record([], { origin: victim, incarnation: 2 ** 40 + n })
      await publish(encodeCbor({ k: 'heartbeat', h: signed.bytes, s: signed.signature }))
    }
    await until(() => counter('announce.forged') > before + 8, 'the forgeries are counted', 20_000)
    const registration = friend.register({ id: 'after-the-storm', type: 'demo/thing' })
    await until(() => node.capabilities({ id: 'after-the-storm' }).length === 1, 'what the victim itself says is heard', 2_000)
    registration.remove()
    await until(() => node.capabilities({ id: 'after-the-storm' }).length === 0, 'and so is the removal', 2_000)
    await newAttacker()
  })

  it('reads nothing more over gossip of a neighbour that passes on what no check lets through; of others it does', async () => {
    const before = counter('announce.malformed')
    // Its score is looked at again after a second, or 128 messages: until a hundred in a row were not read.
    let sent = 0
    let last = { counted: 0, sent: 0 }
    while (sent - last.sent < 100 && sent < 5_000) {
      await publish(encodeCbor({ wrong: sent++ }))
      await new Promise((resolve) => setTimeout(resolve, 5))
      const counted = counter('announce.malformed') - before
      if (counted > last.counted) last = { counted, sent }
    }
    assert.ok(last.counted >= 9 && sent < 5_000, `${last.counted} of ${sent} were read`)
    const after = counter('announce.malformed')
    await publish(encodeCbor({ wrong: 'again' }))
    const registration = friend.register({ id: 'heard', type: 'demo/thing' })
    await until(() => node.capabilities({ id: 'heard' }).length === 1, 'others are heard', 2_000)
    registration.remove()
    await until(() => node.capabilities({ id: 'heard' }).length === 0, 'and heard again', 2_000)
    assert.equal(counter('announce.malformed'), after)
    await newAttacker()
  })

  it('ignores the replay of an old record, in a new envelope and over sync', async () => {
    const registration = friend.register({ id: 'replayed', type: 'demo/replayed', description: 'old' })
    const ofIt = (): Announcement | undefined =>
      overheard.find(({ put }) => put.some((bytes) => Buffer.from(bytes).includes('replayed')))
    await until(() => ofIt() !== undefined, 'it is overheard')
    const old = ofIt()!
    registration.remove()
    await until(() => node.capabilities({ id: 'replayed' }).length === 0, 'it is removed')
    const before = counter('announce.stale')
    await publish(encodeCbor({ k: 'available', h: old.signed.bytes, s: old.signed.signature, p: old.put, x: 'new envelope' }))
    await until(() => counter('announce.stale') > before, 'the replay is counted')
    await push(connection, { d: encodeRecord({ signed: old.signed, info: new Uint8Array(0), capabilities: old.put, ageMs: 0 }) })
    assert.deepEqual(node.capabilities({ id: 'replayed' }), [])
  })

  it('refuses a node of 100,000 capabilities, and documents past their limits, in bounded memory', async () => {
    const before = process.memoryUsage().rss
    const many = Array.from({ length: 100_000 }, (_, n) => encodeCbor({ id: `c${n}`, type: 't' }))
    const signed = await sign({ documentHash: new Uint8Array(32) })
    const body = {
      h: signed.bytes,
      s: signed.signature,
      i: encodeInfo({ name: 'evil', version: '1', addresses: [] }),
      p: many,
      a: 0
    }
    for (const wrong of [body, { ...body, p: Array.from({ length: 60 }, () => new Uint8Array(65_536)) }]) {
      for (let n = 0; n < 5; n++) {
        const end = await push(connection, { d: wrong })
        assert.ok(end.type === 'error' && end.code === 'protocol_error', JSON.stringify(end))
      }
    }
    assert.ok(process.memoryUsage().rss - before < 200 * MIB)
    assert.deepEqual(node.capabilities({ type: 'evil/*' }), [])
  })

  it('refuses a record that does not match its own signed hash', async () => {
    const honest = await record(['one'])
    const { capabilities } = await record(['other'])
    const end = await push(connection, encodeSyncItem({ kind: 'record', record: { ...honest, capabilities } }))
    assert.ok(end.type === 'error' && end.code === 'protocol_error')
    assert.deepEqual(node.capabilities({ type: 'evil/thing' }), [])
  })

  it('drops garbage on the topic with a counter', async () => {
    const before = counter('announce.malformed')
    const random = seededRandom(5)
    const valid = await record(['a'])
    const bytes = encodeCbor({ k: 'updated', h: valid.signed.bytes, s: valid.signed.signature, p: valid.capabilities })
    let sent = 0
    for (let n = 0; n < 200; n++) {
      const garbage = n % 2 === 0 ? random.bytes(1 + random.below(500)) : mutate([bytes], random)
      // What is larger is not carried by gossipsub itself.
      if (garbage.length > 100_000 || garbage.length === 0) continue
      await publish(garbage)
      sent++
    }
    assert.ok(sent > 100)
    await until(() => counter('announce.malformed') - before > 8, 'it is counted as malformed', 10_000)
    await newAttacker()
  })

  it('stops asking a peer that answers with rows for ever', async () => {
    let asked = 0
    let cancelled = 0
    await attacker.handle(SYNC_PROTOCOL, (stream) => {
      void openSession({
        channel: createChannel(stream),
        initiator: false,
        now: () => performance.now(),
        async *handler() {
          asked++
          try {
            const rows = Array.from({ length: 512 }, (_, n) => ({
              origin: Uint8Array.of(1, 1, n >> 8, n & 255),
              incarnation: 1,
              sequence: 1,
              standing: 'known' as const,
              tie: new Uint8Array(8)
            }))
            for (;;) yield encodeSyncItem({ kind: 'rows', rows, last: false })
          } finally {
            cancelled++
          }
        }
      }).catch(() => undefined)
    })
    // A fresh connection, so that the target opens a session for its link.
    await connection.close()
    connection = await attacker.dial(node.multiaddrs().map((address) => multiaddr(address)))
    await until(() => asked > 0 && cancelled === asked, 'the target asks, and gives up', 10_000)
    await attacker.unhandle(SYNC_PROTOCOL)
  })

  it('agrees with the others about an origin that contradicts itself', async () => {
    // Not the attacker itself, which is lost as soon as it closes its stream: it passes on what another signed.
    const liar = await generateKeyPair('Ed25519')
    const lie: Partial<Head> = { origin: peerIdFromPrivateKey(liar).toMultihash().bytes, incarnation: 7 }
    const toFriend = await attacker.dial(friend.multiaddrs().map((address) => multiaddr(address)))
    await push(connection, encodeSyncItem({ kind: 'record', record: await record(['first'], lie, liar) }))
    await push(toFriend, encodeSyncItem({ kind: 'record', record: await record(['second'], lie, liar) }))
    await until(() => node.status().directoryDigest === friend.status().directoryDigest, 'both end up with the same', 15_000)
    assert.equal(node.capabilities({ type: 'evil/thing' }).length, 1)
    assert.deepEqual(node.capabilities({ type: 'evil/thing' })[0]?.id, friend.capabilities({ type: 'evil/thing' })[0]?.id)
    await toFriend.close()
  })

  it(`stands ${FUZZ_FRAMES} fuzzed frames in its call and sync protocols`, async () => {
    const random = seededRandom(Number(process.env['ATMO_FUZZ_SEED'] ?? 11))
    const call = (id: number, more: boolean): Frame => ({
      type: 'open',
      id,
      body: encodeRequest({ capability: 'echo', tool: 'echo', input: { a: [1, 'x'] }, remainingMs: 500 }),
      more
    })
    const sync = (id: number, more: boolean): Frame => ({
      type: 'open',
      id,
      body: encodeSyncRequest(more ? { op: 'digest', digest: new Uint8Array(16), count: 1 } : { op: 'pull', origins: [self()] }),
      more
    })
    const evil = await record(['fuzz'])
    const rest: Frame[] = [
      { type: 'item', id: 1, body: [0, { a: 1 }] },
      { type: 'item', id: 1, body: [1, new Uint8Array(200)] },
      { type: 'item', id: 1, body: encodeSyncItem({ kind: 'record', record: evil }) },
      { type: 'item', id: 1, body: encodeSyncItem({ kind: 'want', origins: [self()] }) },
      { type: 'end', id: 1, body: null },
      { type: 'cancel', id: 1, reason: 'x' },
      { type: 'credit', id: 1, bytes: 1_000 },
      { type: 'error', id: 1, code: 'busy', message: '', details: {} },
      { type: 'ping', nonce: 1 },
      { type: 'goaway', reason: 'x' },
      { type: 'hello', hello: HELLO }
    ]
    const payloads = (open: typeof call): Uint8Array[] =>
      [1, 3, 5]
        .flatMap((id) => [open(id, false), open(id, true)])
        .concat(rest)
        .map((frame) => {
          const bytes = encodeFrame(frame)
          return bytes.subarray(readPrefix(bytes, 0)!.start)
        })
    const targets = [
      { protocol: CALL_PROTOCOL, valid: payloads(call) },
      { protocol: SYNC_PROTOCOL, valid: payloads(sync) }
    ]
    const before = process.memoryUsage().rss
    let most = before
    let stream: RawStream | undefined
    for (let n = 0; n < FUZZ_FRAMES; n++) {
      const { protocol, valid } = random.pick(targets)
      if (stream === undefined || stream.ended || random.below(50) === 0) {
        stream?.stream.abort(new Error('next'))
        if (connection.status !== 'open') connection = await attacker.dial(node.multiaddrs().map((address) => multiaddr(address)))
        stream = await openRaw(connection, protocol)
        stream.send({ type: 'hello', hello: HELLO })
      }
      const payload = mutate(valid, random)
      // Mostly with a right prefix, so that the frame reaches what is behind it.
      if (!stream.send(random.below(10) === 0 ? payload : prefixed(payload))) await stream.drained()
      if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
      if (n % 500 === 0) most = Math.max(most, process.memoryUsage().rss)
    }
    stream?.stream.abort(new Error('over'))
    assert.ok(most - before < 256 * MIB, `memory grew by ${Math.round((most - before) / MIB)} MiB`)
    await until(() => node.status().calls.inFlight === 0, 'no call is left over', 10_000)
    const { result } = await friend.call('echo', 'echo', { after: FUZZ_FRAMES }).result
    assert.deepEqual(result, { after: FUZZ_FRAMES })
  })
})

function prefixed(payload: Uint8Array): Uint8Array {
  const prefix: number[] = []
  let rest = payload.length
  for (; rest >= 0x80; rest >>>= 7) prefix.push((rest & 0x7f) | 0x80)
  return Uint8Array.from([...prefix, rest, ...payload.subarray(0, 100_000)])
}
