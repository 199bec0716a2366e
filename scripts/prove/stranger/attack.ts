import '../../../src/net/node20-shims.ts'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { NONCE_BYTES, PROOF_BYTES } from '../../../protocols/member/messages.ts'
import { MEMBER_PROTOCOL } from '../../../protocols/member/messages.ts'
import { seededRandom } from '../../fuzz/random.ts'
import { KINDS, bareSocket, type Kind, type Tried } from './attempts.ts'
import { createEars, type Heard } from './ears.ts'
import { knownProtocols } from './known-protocols.ts'
import { apiRoutes } from './routes.ts'
import { TRANSPORTS } from './transports.ts'

/** What a stranger knows before it begins, and what it is watched for. */
export interface StrangerOptions {
  victim: string
  mesh: string
  multiaddrs: string[]
  host: string
  /** What a member once proved to the victim, hex. */
  overheard: { nonce: string; proof: string }
  /** What must not be heard, hex by name. */
  secrets: Record<string, string[]>
  /** Name of one of {@link TRANSPORTS}. */
  transport: string
  seconds: number
  /** Times {@link KINDS}. */
  scale: number
  /** Which of all strangers this is, each on a host of its own: they share the attempts. */
  part: number
  parts: number
  seed: number
}

/** What a stranger did and heard. */
export interface StrangerFindings {
  /** By kind; what never got a connection is in none. */
  attempts: Record<string, Tried>
  connections: number
  /** Dials that the victim did not let through: its limits of connections a second, and of those from one host without a proof. */
  turnedAway: number
  /** What these were told, how often. */
  turnedAwayBy: Record<string, number>
  /** Connections on which nothing was said, and which the victim left open all the same. */
  neverClosed: number
  /** Connections that the victim opened: it had heard of a stranger by mDNS. */
  dialled: number
  /** PeerIds that the stranger went by, and what for. */
  identities: Record<string, string>
  heard: Heard
}

const ENCRYPTERS = [tls(), noise()]
/** Strangers that say by mDNS that they are there. */
const ANNOUNCED = 3
const FOUND = 'found by mDNS: its own proof back'
/** Connections without libp2p, to each port. */
const BARE_SOCKETS = 40
const DIAL_TIMEOUT_MS = 10_000

/** Tries everything, evenly spread over the time, in an order that the seed gives. */
export async function runStranger(options: StrangerOptions): Promise<StrangerFindings> {
  const { victim, mesh, multiaddrs, host, seconds, scale, part, parts, seed } = options
  const transport = TRANSPORTS.find(({ name }) => name === options.transport)!
  const addresses = multiaddrs.filter((address) => transport.fits.test(address) && address.includes(`/${host}/`))
  const random = seededRandom(seed * parts + part)
  const { protocols, topics } = await knownProtocols(mesh)
  const bytesOf = (hex: string): Buffer => Buffer.from(hex, 'hex')
  const secrets = Object.fromEntries(Object.entries(options.secrets).map(([name, all]) => [name, all.map(bytesOf)]))
  const ears = createEars(secrets, protocols)
  const findings: StrangerFindings = {
    attempts: {},
    connections: 0,
    turnedAway: 0,
    turnedAwayBy: {},
    neverClosed: 0,
    dialled: 0,
    identities: {},
    heard: ears.heard()
  }
  const overheard = { nonce: bytesOf(options.overheard.nonce), proof: bytesOf(options.overheard.proof) }
  if (overheard.nonce.length !== NONCE_BYTES || overheard.proof.length !== PROOF_BYTES) throw new Error('nothing was overheard')
  const count = (kind: string, { attempts, reached }: Tried = { attempts: 1, reached: 1 }): void => {
    const row = (findings.attempts[kind] ??= { attempts: 0, reached: 0 })
    row.attempts += attempts
    row.reached += reached
  }

  async function identity(what: string, encrypter: number, announce = false): Promise<Libp2p> {
    const libp2p = await createLibp2p({
      privateKey: await generateKeyPair('Ed25519'),
      addresses: { listen: announce ? [`/ip4/0.0.0.0/tcp/0`] : [] },
      transports: [announce ? tcp() : transport.create],
      connectionEncrypters: [ENCRYPTERS[encrypter % ENCRYPTERS.length]!],
      streamMuxers: [yamux()],
      ...(announce && { peerDiscovery: [mdns({ interval: 1_000 })] }),
      connectionMonitor: { enabled: false }
    })
    ears.attach(libp2p)
    findings.identities[libp2p.peerId.toString()] = what
    return libp2p
  }

  async function attack(kind: Kind, n: number): Promise<void> {
    const libp2p = await identity(kind.name, n)
    try {
      const signal = AbortSignal.timeout(DIAL_TIMEOUT_MS)
      const connection = await libp2p
        .dial(
          addresses.map((address) => multiaddr(address)),
          { signal }
        )
        .catch(({ name, message }: Error) => {
          const said = `${name}: ${message}`
            .split('\n', 1)[0]!
            .replace(/\/ip.*/, '…')
            .slice(0, 100)
          findings.turnedAway++
          findings.turnedAwayBy[said] = (findings.turnedAwayBy[said] ?? 0) + 1
          return undefined
        })
      if (connection === undefined) return
      findings.connections++
      const self = libp2p.peerId.toString()
      const tried = await kind.run({ connection, self, victim, mesh, protocols, topics, overheard, random })
      if (tried === undefined) findings.neverClosed++
      count(kind.name, tried)
      // Some leave without a word, some are turned out, some close.
      if (n % 3 === 0) connection.abort(new Error('the stranger leaves'))
    } finally {
      await libp2p.stop()
    }
  }

  const ports = [...new Set(addresses.flatMap((address) => /\/tcp\/(\d+)/.exec(address)?.[1] ?? []))].map(Number)
  async function bare(n: number): Promise<void> {
    const { method, path } = apiRoutes()[n % apiRoutes().length]!
    const http = Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    for (const port of ports) {
      ears.note(await bareSocket(host, port, n % 2 === 0 ? http : random.bytes(200)))
      count('HTTP and garbage into the sockets')
    }
  }

  /** Is there for the victim to find, and answers its proof with the same proof. */
  async function announced(): Promise<void> {
    const libp2p = await identity(FOUND, 0, true)
    await libp2p.handle(MEMBER_PROTOCOL, (stream) => {
      findings.dialled++
      stream.addEventListener('message', ({ data }) => stream.status === 'open' && stream.send(data.slice()))
    })
    count(FOUND, { attempts: 1, reached: 0 })
    await new Promise((resolve) => setTimeout(resolve, (seconds * 1_000) / 2))
    await libp2p.stop()
  }

  const jobs: (() => Promise<void>)[] = []
  for (const kind of KINDS) for (let n = 0; n < kind.connections * scale; n++) jobs.push(() => attack(kind, n))
  if (ports.length > 0) for (let n = 0; n < BARE_SOCKETS * scale; n++) jobs.push(() => bare(n))
  const order = seededRandom(seed)
  for (let n = jobs.length - 1; n > 0; n--) {
    const other = order.below(n + 1)
    ;[jobs[n], jobs[other]] = [jobs[other]!, jobs[n]!]
  }
  // By mDNS they are found in any case, which is tried once.
  const announces = part === 0 && transport === TRANSPORTS[0]
  const begun: Promise<void>[] = Array.from({ length: announces ? ANNOUNCED : 0 }, announced)
  const began = performance.now()
  // The order is the same for all, and each has its turn.
  for (let n = part; n < jobs.length; n += parts) {
    const at = began + (n / jobs.length) * seconds * 1_000
    await new Promise((resolve) => setTimeout(resolve, at - performance.now()))
    begun.push(jobs[n]!())
  }
  await Promise.all(begun)
  return { ...findings, heard: ears.heard() }
}
