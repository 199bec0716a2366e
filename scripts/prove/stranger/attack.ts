import '../../../src/net/node20-shims.ts'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { noise } from '@libp2p/noise'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { NONCE_BYTES, PROOF_BYTES } from '../../../protocols/member/messages.ts'
import { MEMBER_PROTOCOL } from '../../../protocols/member/messages.ts'
import { seededRandom } from '../../fuzz/random.ts'
import { KINDS, bareSocket, type Kind } from './attempts.ts'
import { createEars, type Heard } from './ears.ts'
import { knownProtocols } from './known-protocols.ts'
import { apiRoutes } from './routes.ts'
import { TRANSPORTS, type StrangerTransport } from './transports.ts'

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
  seconds: number
  /** Times {@link KINDS}. */
  scale: number
  seed: number
}

/** What a stranger did and heard. */
export interface StrangerFindings {
  /** Attempts by kind and transport. */
  attempts: Record<string, Record<string, number>>
  connections: number
  /** Dials that the victim did not let through: its limits of connections a second, and of those from one host without a proof. */
  unconnected: number
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
  const { victim, mesh, multiaddrs, host, seconds, scale, seed } = options
  const random = seededRandom(seed)
  const { protocols, topics } = await knownProtocols(mesh)
  const bytesOf = (hex: string): Buffer => Buffer.from(hex, 'hex')
  const secrets = Object.fromEntries(Object.entries(options.secrets).map(([name, all]) => [name, all.map(bytesOf)]))
  const ears = createEars(secrets, protocols)
  const findings: StrangerFindings = {
    attempts: {},
    connections: 0,
    unconnected: 0,
    neverClosed: 0,
    dialled: 0,
    identities: {},
    heard: ears.heard()
  }
  const overheard = { nonce: bytesOf(options.overheard.nonce), proof: bytesOf(options.overheard.proof) }
  if (overheard.nonce.length !== NONCE_BYTES || overheard.proof.length !== PROOF_BYTES) throw new Error('nothing was overheard')
  const count = (kind: string, transport: string, n: number): void => {
    const row = (findings.attempts[kind] ??= {})
    row[transport] = (row[transport] ?? 0) + n
  }

  async function identity(what: string, transport: StrangerTransport, encrypter: number, announce = false): Promise<Libp2p> {
    const libp2p = await createLibp2p({
      privateKey: await generateKeyPair('Ed25519'),
      addresses: { listen: announce ? [`/ip4/0.0.0.0/tcp/0`] : [] },
      transports: [transport.create],
      connectionEncrypters: [ENCRYPTERS[encrypter % ENCRYPTERS.length]!],
      streamMuxers: [yamux()],
      ...(announce && { peerDiscovery: [mdns({ interval: 1_000 })] }),
      connectionMonitor: { enabled: false }
    })
    ears.attach(libp2p)
    findings.identities[libp2p.peerId.toString()] = what
    return libp2p
  }

  async function attack(kind: Kind, transport: StrangerTransport, n: number): Promise<void> {
    const libp2p = await identity(kind.name, transport, n)
    try {
      const addresses = multiaddrs.filter((address) => transport.fits.test(address) && address.includes(host))
      const signal = AbortSignal.timeout(DIAL_TIMEOUT_MS)
      const connection = await libp2p
        .dial(
          addresses.map((address) => multiaddr(address)),
          { signal }
        )
        .catch(() => undefined)
      if (connection === undefined) {
        count('turned away before any handshake', transport.name, 1)
        return void findings.unconnected++
      }
      findings.connections++
      const self = libp2p.peerId.toString()
      const tried = await kind.run({ connection, self, victim, mesh, protocols, topics, overheard, random })
      if (tried === undefined) findings.neverClosed++
      count(kind.name, transport.name, tried ?? 1)
      // Some leave without a word, some are turned out, some close.
      if (n % 3 === 0) connection.abort(new Error('the stranger leaves'))
    } finally {
      await libp2p.stop()
    }
  }

  const ports = [...new Set(multiaddrs.flatMap((address) => /\/tcp\/(\d+)/.exec(address)?.[1] ?? []))].map(Number)
  async function bare(n: number): Promise<void> {
    const { method, path } = apiRoutes()[n % apiRoutes().length]!
    const http = Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    for (const port of ports) {
      ears.note(await bareSocket(host, port, n % 2 === 0 ? http : random.bytes(200)))
      count('HTTP and garbage into the sockets', `port ${port}`, 1)
    }
  }

  /** Is there for the victim to find, and answers its proof with the same proof. */
  async function announced(): Promise<void> {
    const libp2p = await identity(FOUND, TRANSPORTS[0]!, 0, true)
    await libp2p.handle(MEMBER_PROTOCOL, (stream) => {
      findings.dialled++
      stream.addEventListener('message', ({ data }) => stream.status === 'open' && stream.send(data.slice()))
    })
    count(FOUND, 'tcp', 1)
    await new Promise((resolve) => setTimeout(resolve, (seconds * 1_000) / 2))
    await libp2p.stop()
  }

  const jobs: (() => Promise<void>)[] = []
  for (const kind of KINDS)
    for (let n = 0; n < kind.connections * scale; n++)
      jobs.push(() => attack(kind, TRANSPORTS[n % TRANSPORTS.length]!, Math.floor(n / TRANSPORTS.length)))
  for (let n = 0; n < BARE_SOCKETS * scale; n++) jobs.push(() => bare(n))
  for (let n = jobs.length - 1; n > 0; n--) {
    const other = random.below(n + 1)
    ;[jobs[n], jobs[other]] = [jobs[other]!, jobs[n]!]
  }
  const begun: Promise<void>[] = Array.from({ length: ANNOUNCED }, announced)
  for (const job of jobs) {
    begun.push(job())
    await new Promise((resolve) => setTimeout(resolve, (seconds * 1_000) / jobs.length))
  }
  await Promise.all(begun)
  return { ...findings, heard: ears.heard() }
}
