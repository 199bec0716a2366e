import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { MeshError } from '../../../src/errors.ts'
import { createLinks, type LinksComponents } from '../../../src/net/links.ts'
import { MAX_MISSED_PONGS, PONG_TIMEOUT_MS } from '../../../src/net/link-watch.ts'
import type { Session } from '../../../src/net/session.ts'

const peerId = async (seed: number): Promise<PeerId> =>
  peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(seed)))

type Connected = { remotePeer: PeerId; limits?: object; abort(error: Error): void }

/** Links of a node that has connections as it is told, and opens sessions as `get` says. */
function setup(self: PeerId, get: (peer: string) => Promise<Session>) {
  const open: Connected[] = []
  const events = new EventTarget()
  const [up, down]: [string[], string[]] = [[], []]
  const links = createLinks({
    libp2p: {
      peerId: self,
      getConnections: (peer?: PeerId) => open.filter(({ remotePeer }) => peer === undefined || remotePeer.equals(peer)),
      addEventListener: (type: string, listener: EventListener) => events.addEventListener(type, listener),
      removeEventListener: (type: string, listener: EventListener) => events.removeEventListener(type, listener)
    } as unknown as LinksComponents['libp2p'],
    sessions: {
      start: async () => {},
      stop: async () => {},
      peek: () => undefined,
      ready: () => undefined,
      overCircuit: () => undefined,
      get
    },
    now: () => 0,
    random: () => 1,
    onUp: (link) => up.push(link.peer),
    onDown: (peer) => down.push(peer)
  })
  const connect = (connection: Connected): void => {
    open.push(connection)
    events.dispatchEvent(new CustomEvent('connection:open', { detail: connection }))
  }
  const disconnect = (connection: Connected): void => {
    open.splice(open.indexOf(connection), 1)
    events.dispatchEvent(new CustomEvent('connection:close', { detail: connection }))
  }
  return { links, up, down, open, connect, disconnect }
}

/** A session whose pings get no answer; `end` ends it. */
function silentSession(): { session: Session; end(): void } {
  let end!: () => void
  const closed = new Promise<undefined>((resolve) => (end = () => resolve(undefined)))
  const never = new Promise(() => undefined)
  return { session: { open: true, closed, lastHeardAt: 0, ping: () => never, abort() {} } as unknown as Session, end }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('links', () => {
  let self: PeerId
  let peer: PeerId
  before(async () => {
    // The smaller opens sessions at once.
    ;[self, peer] = (await Promise.all([peerId(1), peerId(2)])).sort((a, b) => (a.toString() < b.toString() ? -1 : 1))
  })
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'setInterval'] }))
  afterEach(() => mock.timers.reset())

  it('go on asking a peer that is connected and too busy to open a session', async () => {
    const FAILURES = 12
    let asked = 0
    const { links, up, open } = setup(self, async () => {
      if (++asked <= FAILURES) throw new MeshError('unavailable', 'no answer')
      return silentSession().session
    })
    open.push({ remotePeer: peer, abort() {} })
    links.start()
    for (let n = 0; n <= FAILURES; n++) {
      mock.timers.tick(36_000)
      await turn()
    }
    assert.deepEqual([asked, up], [FAILURES + 1, [peer.toString()]])
    links.stop()
  })

  it('are only over connections of their own: not to a peer that others reach, until it is connected itself', async () => {
    let asked = 0
    const circuit: Connected = { remotePeer: peer, limits: {}, abort: () => assert.fail('a circuit is not ours to end') }
    const { links, up, open, connect } = setup(self, async () => {
      asked++
      return silentSession().session
    })
    open.push(circuit)
    links.start()
    connect({ ...circuit })
    mock.timers.tick(60_000)
    await turn()
    assert.deepEqual([asked, up], [0, []])
    connect({ remotePeer: peer, abort() {} })
    mock.timers.tick(0)
    await turn()
    assert.deepEqual([asked, up], [1, [peer.toString()]])
    links.stop()
  })

  it('end with the connection of their own, and are not opened again over one that others forward', async () => {
    let asked = 0
    const { session, end } = silentSession()
    const { links, down, connect, disconnect } = setup(self, async () => {
      asked++
      return session
    })
    links.start()
    const direct = { remotePeer: peer, abort() {} }
    connect(direct)
    connect({ remotePeer: peer, limits: {}, abort: () => assert.fail('a circuit is not ours to end') })
    mock.timers.tick(0)
    await turn()
    disconnect(direct)
    end()
    await turn()
    mock.timers.tick(60_000)
    await turn()
    assert.deepEqual([asked, down], [1, [peer.toString()]])
    links.stop()
  })

  it('end the connections of a peer that does not answer, but for those that others forward', async () => {
    const { links, down, connect } = setup(self, async () => silentSession().session)
    let aborted = 0
    links.start()
    for (let n = 0; n < 2; n++) connect({ remotePeer: peer, abort: () => aborted++ })
    connect({ remotePeer: peer, limits: {}, abort: () => assert.fail('a circuit is not ours to end') })
    mock.timers.tick(0)
    await turn()
    for (let n = 0; n < MAX_MISSED_PONGS; n++) {
      mock.timers.tick(PONG_TIMEOUT_MS)
      await turn()
    }
    assert.deepEqual([aborted, down], [2, [peer.toString()]])
    links.stop()
  })
})
