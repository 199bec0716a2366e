import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { MeshError } from '../../../src/errors.ts'
import { createLinks, type LinksComponents } from '../../../src/net/links.ts'
import type { Session } from '../../../src/net/session.ts'

const peerId = async (seed: number): Promise<PeerId> =>
  peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(seed)))

describe('links', () => {
  afterEach(() => mock.timers.reset())

  it('go on asking a peer that is connected and too busy to open a session', async () => {
    const [self, peer] = await Promise.all([peerId(1), peerId(2)])
    mock.timers.enable({ apis: ['setTimeout'] })
    const FAILURES = 12
    let asked = 0
    const up: string[] = []
    const session = { open: true, closed: new Promise(() => {}), ping: () => new Promise(() => {}) } as unknown as Session
    const libp2p = {
      peerId: self,
      getPeers: () => [peer],
      getConnections: () => [{}],
      addEventListener: () => {},
      removeEventListener: () => {}
    } as unknown as LinksComponents['libp2p']
    const links = createLinks({
      libp2p,
      sessions: {
        start: async () => {},
        stop: async () => {},
        peek: () => undefined,
        get: async () => {
          if (++asked <= FAILURES) throw new MeshError('unavailable', 'no answer')
          return session
        }
      },
      now: () => 0,
      random: () => 1,
      onUp: (link) => up.push(link.peer),
      onDown: () => {}
    })
    links.start()
    for (let n = 0; n <= FAILURES; n++) {
      mock.timers.tick(36_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.deepEqual([asked, up], [FAILURES + 1, [peer.toString()]])
    links.stop()
  })
})
