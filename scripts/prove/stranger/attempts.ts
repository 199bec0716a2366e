import { connect } from 'node:net'
import type { Connection } from '@libp2p/interface'
import { encodeRequest, CALL_PROTOCOL } from '../../../protocols/call/messages.ts'
import { encodeJoinRequest, JOIN_PROTOCOL } from '../../../protocols/join/messages.ts'
import { encodeMemberHello, MEMBER_PROTOCOL, type MemberHello } from '../../../protocols/member/messages.ts'
import { NEARBY_PROTOCOL } from '../../../protocols/nearby/messages.ts'
import { encodeSyncRequest, SYNC_PROTOCOL } from '../../../protocols/sync/messages.ts'
import { originBytes } from '../../../src/core/document.ts'
import type { Random } from '../../fuzz/random.ts'
import { ask, foreignMesh, gossipRpc, greetAsVersion, greetThen, introduction, proofOf } from './frames.ts'

/** What an attempt may use. */
export interface Attack {
  /** A connection of its own, of a stranger of its own. */
  connection: Connection
  /** PeerIds. */
  self: string
  victim: string
  /** PeerId of the mesh key. */
  mesh: string
  protocols: string[]
  topics: string[]
  /** What a member once proved to the victim. */
  overheard: MemberHello
  random: Random
}

/** What one connection tried, and how much of it the victim answered with anything: a name of libp2p's negotiation, a refusal, a closed connection. */
export interface Tried {
  attempts: number
  reached: number
}

/** A kind of attempts: what one connection tries, and how often that is done on each transport. */
export interface Kind {
  name: string
  connections: number
  /** Returns what was tried, undefined if the victim should have closed the connection and did not; resolves when nothing more can come, or after its patience. */
  run(attack: Attack): Promise<Tried | undefined>
}

/** How long an attempt listens for an answer, in ms: an answer of the node takes a few. */
const PATIENCE_MS = 2_000
/** A connection without a proof is closed by the victim after 10 s. */
const MAX_IDLE_MS = 20_000

/** Everything that a stranger tries on a connection. */
export const KINDS: Kind[] = [
  {
    name: 'every protocol id, garbage in it',
    connections: 20,
    run: (attack) => each(attack, attack.protocols, (protocol) => [protocol, garbage(attack.random)])
  },
  {
    name: 'a greeting and garbage',
    connections: 20,
    run: (attack) => each(attack, [...framed, ...framed], (id) => [id, greeted(attack)])
  },
  { name: 'the names of all protocols (ls)', connections: 4, run: listProtocols },
  { name: 'a proof by chance', connections: 40, run: (attack) => prove(attack, ask(encodeMemberHello(byChance(attack.random)))) },
  {
    name: 'a proof of a member, shown again',
    connections: 30,
    run: (attack) => prove(attack, ask(encodeMemberHello(attack.overheard)))
  },
  {
    name: 'a proof and certificate of another mesh',
    connections: 30,
    async run(attack) {
      const { key, id, secret } = await foreignMesh()
      const hello = proofOf(secret, attack.self, attack.victim)
      return prove(attack, await introduction(hello, { mesh: id, node: attack.self, role: 'owner' }, key))
    }
  },
  {
    name: 'a certificate for the mesh, self-signed',
    connections: 30,
    async run(attack) {
      const { key } = await foreignMesh()
      const grant = { mesh: originBytes(attack.mesh), node: attack.self, role: 'owner' } as const
      return prove(attack, await introduction(byChance(attack.random), grant, key))
    }
  },
  {
    name: 'another version of the framing',
    connections: 10,
    run: (attack) => prove(attack, greetAsVersion(attack.random.below(256)))
  },
  {
    name: 'half a frame, then silence',
    connections: 10,
    run: (attack) => prove(attack, ask(encodeMemberHello(byChance(attack.random))).subarray(0, -9))
  },
  {
    name: 'joining by a token by chance',
    connections: 30,
    run: (attack) => each(attack, [1, 2, 3], () => [JOIN_PROTOCOL, joining(attack)])
  },
  {
    name: 'renewing and joining nearby',
    connections: 10,
    run: (attack) => each(attack, [JOIN_PROTOCOL, NEARBY_PROTOCOL], (id) => [id, ask(encodeJoinRequest({ op: 'renew' }))])
  },
  {
    name: 'gossip: subscribe, graft, publish',
    connections: 20,
    run: (attack) =>
      each(
        attack,
        attack.protocols.filter((id) => /sub\//.test(id)),
        (id) => [id, gossipRpc(attack.topics, attack.random.bytes(200))]
      )
  },
  {
    name: 'asking for the directory, calling a tool',
    connections: 20,
    run: (attack) =>
      each(attack, [SYNC_PROTOCOL, SYNC_PROTOCOL, CALL_PROTOCOL, CALL_PROTOCOL], (id, n) => [
        id,
        id === CALL_PROTOCOL ? calling(n) : syncing(attack, n)
      ])
  },
  { name: 'connecting and saying nothing', connections: 20, run: untilClosed }
]

/** Connections over all kinds, so many times. */
export const connectionsOf = (scale: number): number =>
  KINDS.reduce((all, { connections }) => all + Math.ceil(connections * scale), 0)

const framed = [MEMBER_PROTOCOL, JOIN_PROTOCOL, NEARBY_PROTOCOL, SYNC_PROTOCOL, CALL_PROTOCOL]

const garbage = (random: Random): Uint8Array => random.bytes(1 + random.below(300))
const greeted = ({ random }: Attack): Uint8Array => greetThen(garbage(random))
const byChance = (random: Random): MemberHello => ({ nonce: random.bytes(16), proof: random.bytes(32) })
const joining = ({ random }: Attack): Uint8Array =>
  ask(encodeJoinRequest({ op: 'join', token: random.bytes(16), name: 'stranger' }))
const calling = (n: number): Uint8Array =>
  ask(encodeRequest({ capability: n % 2 === 0 ? 'system' : 'files', tool: 'echo', input: {} }))
const syncing = ({ random, victim }: Attack, n: number): Uint8Array =>
  ask(
    encodeSyncRequest(
      n % 2 === 0 ? { op: 'digest', digest: random.bytes(16), count: 1 } : { op: 'pull', origins: [originBytes(victim)] }
    )
  )

/** Opens a stream for each, all at once, and writes into it. */
async function each<T>(
  { connection }: Attack,
  of: readonly T[],
  make: (one: T, n: number) => [protocol: string, bytes: Uint8Array]
): Promise<Tried> {
  const answered = await Promise.all(of.map((one, n) => say(connection, ...make(one, n))))
  return { attempts: of.length, reached: answered.filter(Boolean).length }
}

async function prove({ connection }: Attack, bytes: Uint8Array): Promise<Tried> {
  return { attempts: 1, reached: Number(await say(connection, MEMBER_PROTOCOL, bytes)) }
}

/** Resolves when the stream has ended, or nothing came for so long: true if the victim answered. Never rejects: to be refused is what is expected. */
async function say(connection: Connection, protocol: string, bytes: Uint8Array): Promise<boolean> {
  try {
    const stream = await connection.newStream(protocol, { signal: AbortSignal.timeout(PATIENCE_MS) })
    const closed = new Promise((resolve) => stream.addEventListener('close', resolve, { once: true }))
    stream.addEventListener('message', () => undefined)
    stream.send(bytes)
    await Promise.race([closed, after(PATIENCE_MS)])
    return true
  } catch (error) {
    // Not spoken here is an answer; a connection that is closed already, by another attempt on it, is none.
    return (error as Error).name === 'UnsupportedProtocolError'
  }
}

async function listProtocols({ connection }: Attack): Promise<Tried> {
  const { muxer } = connection as unknown as { muxer: { createStream(): Promise<RawStream> } }
  let reached = 0
  try {
    const stream = await muxer.createStream()
    stream.addEventListener('message', () => (reached = 1))
    stream.send(Buffer.from('\x13/multistream/1.0.0\n\x03ls\n'))
    await after(PATIENCE_MS)
  } catch {
    // The connection is closed already.
  }
  return { attempts: 1, reached }
}

interface RawStream {
  send(bytes: Uint8Array): void
  addEventListener(type: 'message', listener: () => void): void
}

async function untilClosed({ connection }: Attack): Promise<Tried | undefined> {
  const closed = new Promise<Tried>((resolve) => {
    const end = (): void => resolve({ attempts: 1, reached: 1 })
    connection.addEventListener('close', end, { once: true })
    if (connection.status !== 'open') end()
  })
  return Promise.race([closed, after(MAX_IDLE_MS)])
}

/** Bytes into a bare socket. @returns what came back until it was closed, or nothing more came for so long. */
export function bareSocket(host: string, port: number, bytes: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket = connect(port, host, () => socket.write(bytes))
    const end = (): void => {
      socket.destroy()
      resolve(Buffer.concat(chunks))
    }
    socket.setTimeout(PATIENCE_MS, end)
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.once('error', end)
    socket.once('close', end)
  })
}

const after = (ms: number): Promise<undefined> => new Promise((resolve) => setTimeout(() => resolve(undefined), ms))
