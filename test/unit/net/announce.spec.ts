import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { PrivateKey } from '@libp2p/interface'
import {
  decodeAnnouncement,
  encodeAnnouncement,
  encodeHead,
  MAX_ANNOUNCEMENT_BYTES,
  signedBytes,
  type DocumentRecord
} from '../../../protocols/announce/messages.ts'
import { createDirectory, type Directory, type DirectoryEvent } from '../../../src/core/directory.ts'
import { originId } from '../../../src/core/document.ts'
import { LEASE_MS, createAnnouncer, type Announcer, type Verdict } from '../../../src/net/announce.ts'
import { RECORD_RATE } from '../../../src/net/announce-rates.ts'
import { within } from '../../fixtures/libp2p-pair.ts'

interface Node {
  id: string
  announcer: Announcer
  directory: Directory
  events: DirectoryEvent[]
  counters: Record<string, number>
  pulls: number
  conflicts: number
  validate: (from: string, data: Uint8Array) => Promise<Verdict>
}

/** Nodes whose gossip reaches every other at once; `heard` sees each message. */
function gossipOf(): {
  nodes: Node[]
  heard: Uint8Array[]
  /** Resolves with the next message. */
  nextHeard: () => Promise<Uint8Array>
  clock: { ms: number }
  add: (key: PrivateKey, leaseMs?: number) => Node
} {
  const nodes: Node[] = []
  const heard: Uint8Array[] = []
  const listeners: ((data: Uint8Array) => void)[] = []
  const clock = { ms: 0 }
  function add(key: PrivateKey, leaseMs?: number): Node {
    const peerId = peerIdFromPrivateKey(key)
    const events: DirectoryEvent[] = []
    const directory = createDirectory(peerId.toString(), (event) => events.push(event))
    const node = { id: peerId.toString(), directory, events, counters: {}, pulls: 0, conflicts: 0 } as unknown as Node
    node.announcer = createAnnouncer(
      {
        peerId,
        privateKey: key,
        gossip: {
          subscribe: (_topic, validate) => void (node.validate = validate),
          async publish(_topic, data) {
            heard.push(data)
            for (const hear of listeners.splice(0)) hear(data)
            for (const other of nodes) if (other !== node) await other.validate?.(node.id, data)
          }
        },
        directory,
        now: () => clock.ms,
        random: () => 0.5,
        needRecord: () => void node.pulls++,
        count: (counter) => (node.counters[counter] = (node.counters[counter] ?? 0) + 1),
        onConflict: () => void node.conflicts++
      },
      { mesh: 'open', incarnation: 1, info: { name: 'n', version: '1', addresses: [] }, ...(leaseMs && { leaseMs }) }
    )
    nodes.push(node)
    return node
  }
  return { nodes, heard, nextHeard: () => new Promise((resolve) => listeners.push(resolve)), clock, add }
}

const recordOf = (node: Node): DocumentRecord => node.directory.record(node.id, 0)!
const ids = (node: Node, of: Node): string[] => [...(node.directory.get(of.id)?.document?.capabilities.keys() ?? [])].sort()

describe('announcer', () => {
  let mesh: ReturnType<typeof gossipOf>
  beforeEach(() => (mesh = gossipOf()))
  afterEach(async () => {
    for (const { announcer } of mesh.nodes) await announcer.stop('over')
  })
  const start = async (key?: PrivateKey): Promise<Node> => {
    const node = mesh.add(key ?? (await generateKeyPair('Ed25519')))
    await node.announcer.start()
    return node
  }

  it('takes different changes of one batch to others by gossip alone, also if more is changed meanwhile', async () => {
    const [b, a] = [await start(), await start()]
    a.announcer.put({ id: 'old', type: 't' })
    await a.announcer.refresh()
    a.announcer.put({ id: 'new', type: 't' })
    a.announcer.put({ id: 'lamp', type: 't', status: 'suspended', statusReason: 'broken' })
    a.announcer.remove('old', 'sold')
    const flushed = a.announcer.refresh()
    a.announcer.put({ id: 'late', type: 't' })
    await flushed
    assert.deepEqual(ids(b, a), ['lamp', 'new'])
    assert.deepEqual(ids(a, a), ['lamp', 'new'])
    await a.announcer.refresh()
    assert.deepEqual(ids(b, a), ['lamp', 'late', 'new'])
    assert.equal(b.pulls, 0)
  })

  it('renews its lease while it knows a node that it has no session with', async () => {
    const LEASE_MS = 30
    const [a, b] = [mesh.add(await generateKeyPair('Ed25519'), LEASE_MS), mesh.add(await generateKeyPair('Ed25519'), LEASE_MS)]
    for (const { announcer } of [b, a]) await announcer.start()
    await b.announcer.refresh()
    b.directory.setConnected(a.id, true, 0)
    a.directory.applyRecord(recordOf(b), 0)
    const beats = (node: Node): number =>
      mesh.heard
        .map(decodeAnnouncement)
        .filter(({ kind, signed }) => kind === 'heartbeat' && originId(signed.head.origin) === node.id).length
    while (beats(a) < 5) {
      const heard = mesh.nextHeard()
      mesh.clock.ms += LEASE_MS
      await within(heard, 'a heartbeat')
    }
    assert.equal(beats(b), 0)
  })

  it('renews its lease early for a node that it hears of and gets no session with, once for many', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    try {
      const [a, friend] = [await start(), await start()]
      a.directory.setConnected(friend.id, true, 0)
      mesh.clock.ms = LEASE_MS / 3
      let before = mesh.heard.length
      a.announcer.heardOfStranger()
      mock.timers.tick(LEASE_MS / 30)
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(mesh.heard.length, before, 'all have a session')
      await start()
      before = mesh.heard.length
      const heard = mesh.nextHeard()
      a.announcer.heardOfStranger()
      mock.timers.tick(LEASE_MS / 30 - 1)
      a.announcer.heardOfStranger()
      mock.timers.tick(1)
      assert.equal(decodeAnnouncement(await heard).kind, 'heartbeat')
      await a.announcer.refresh()
      assert.equal(mesh.heard.length, before + 1)
    } finally {
      mock.timers.reset()
    }
  })

  it('tells whoever comes a head that it cannot have forgotten', async () => {
    const a = await start()
    await a.announcer.refresh()
    const before = mesh.heard.length
    mesh.clock.ms = LEASE_MS / 4
    await a.announcer.refresh()
    assert.equal(mesh.heard.length, before)
    mesh.clock.ms = LEASE_MS / 3
    await a.announcer.refresh()
    assert.deepEqual(
      mesh.heard.slice(before).map((data) => decodeAnnouncement(data).kind),
      ['heartbeat']
    )
  })

  it('says nothing after its goodbye, whoever comes then', async () => {
    const [b, a] = [await start(), await start()]
    a.announcer.put({ id: 'late', type: 't' })
    await a.announcer.stop('over')
    mesh.clock.ms = LEASE_MS
    await a.announcer.refresh()
    assert.equal(decodeAnnouncement(mesh.heard.at(-1)!).kind, 'node-leave')
    assert.deepEqual(ids(b, a), [])
  })

  it('announces what is too large for gossip by its head alone', async () => {
    const [b, a] = [await start(), await start()]
    for (const id of ['a', 'b']) a.announcer.put({ id, type: 't', description: 'x'.repeat(MAX_ANNOUNCEMENT_BYTES / 2) })
    await a.announcer.refresh()
    assert.equal(b.pulls, 1)
    const { put } = decodeAnnouncement(mesh.heard.at(-1)!)
    assert.deepEqual(put, [])
    assert.deepEqual(ids(a, a), ['a', 'b'])
  })

  it('does not announce an info that did not change, and tells of one that did', async () => {
    const [b, a] = [await start(), await start()]
    const before = mesh.heard.length
    a.announcer.setInfo({ name: 'n', version: '1', addresses: [] })
    await a.announcer.refresh()
    assert.equal(mesh.heard.length, before)
    a.announcer.setInfo({ name: 'n', version: '1', addresses: ['/ip4/10.0.0.2/tcp/1'] })
    await a.announcer.refresh()
    assert.deepEqual(b.events.at(-1), { kind: 'info', origin: a.id, reason: '' })
  })

  it('outbids a node with its own key three times a minute, then says so once and is still', async () => {
    const key = await generateKeyPair('Ed25519')
    const a = await start(key)
    for (let n = 0; n < 6; n++) await a.validate('peer', await headOf(key, 10 + n * 10))
    await a.announcer.refresh()
    assert.deepEqual([a.counters['announce.incarnation-healed'], a.counters['announce.duplicate-identity']], [3, 3])
    assert.equal(a.conflicts, 1)
    mesh.clock.ms = 20_001
    await a.validate('peer', await headOf(key, 1_000))
    assert.equal(a.counters['announce.incarnation-healed'], 4)
  })

  it('answers many heads of its own that come at once only as often as they outbid it', async () => {
    const key = await generateKeyPair('Ed25519')
    const a = await start(key)
    const heads = await Promise.all([headOf(key, 30), headOf(key, 20), headOf(key, 10)])
    await Promise.all(heads.map(async (head) => a.validate('peer', head)))
    await a.announcer.refresh()
    const { head } = decodeAnnouncement(mesh.heard.at(-1)!).signed
    assert.ok(head.incarnation > 30, `${head.incarnation}`)
  })

  it('takes records over sync from one neighbour only at a rate', async () => {
    const a = await start()
    const key = await generateKeyPair('Ed25519')
    const { signed } = decodeAnnouncement(await headOf(key, 1))
    const record: DocumentRecord = { signed, info: new Uint8Array(0), capabilities: [], ageMs: 0 }
    // Known as one that left: what comes now is no news, and cheap.
    a.directory.applyRecord({ ...record, signed: { ...signed, head: { ...signed.head, left: true } } }, 0)
    for (let n = 0; n < RECORD_RATE.burst + 3; n++) await a.announcer.ingest(record, 'peer')
    assert.equal(a.counters['announce.too-often'], 3)
    assert.equal(await a.announcer.ingest(record, 'other'), false)
    assert.equal(a.counters['announce.too-often'], 3)
  })
})

async function headOf(key: PrivateKey, incarnation: number): Promise<Uint8Array> {
  const head = {
    mesh: 'open',
    origin: peerIdFromPrivateKey(key).toMultihash().bytes,
    incarnation,
    sequence: 1,
    left: false,
    leaseMs: 60_000,
    documentHash: new Uint8Array(32),
    note: ''
  }
  const bytes = encodeHead(head)

  return encodeAnnouncement({
    kind: 'heartbeat',
    signed: { head, bytes, signature: await key.sign(signedBytes(bytes)) },
    put: [],
    drop: []
  })
}
