/** What the choice of a provider costs: looking up who is able, deciding, the way there, and the memory of a directory with its offers. In one process. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { encodeHead, encodeInfo, type Head } from '../../protocols/announce/messages.ts'
import { encodeCapability } from '../../protocols/capability.ts'
import { findCandidates } from '../../src/core/candidates.ts'
import { createDirectory, type Directory } from '../../src/core/directory.ts'
import { createDispatcher } from '../../src/core/dispatch/dispatcher.ts'
import { changeDocument, documentHash, originId } from '../../src/core/document.ts'
import { createOffers, type Offers } from '../../src/core/offers.ts'
import { createPins } from '../../src/core/pins.ts'
import { createRouter, type Router } from '../../src/core/routing/router.ts'
import { createRandom } from '../simulate/random.ts'
import type { Suite } from './suite.ts'

/** Providers of the one type that is called, and capabilities of each node in the directory that is weighed. */
const PROVIDERS = 1_000
const CAPABILITIES_PER_NODE = 5
const ROUNDS = 200_000
/** Nanoseconds and bytes that the design allows. */
const LIMITS = { p99Ns: 5_000, bytesPerThousand: 1.5e6 } as const
const TYPES = 20

const collect = ((): (() => void) => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
})()

/** What a WeakRef was asked for is held until the task is over: so it is asked in another. */
async function usedBytes(): Promise<number> {
  await new Promise((resolve) => setImmediate(resolve))
  collect()
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const originOf = (node: number): Uint8Array =>
  Uint8Array.of(0, 36, 8, 1, 18, 32, ...new Array<number>(28).fill(7), node >> 8, node & 255)

/** A capability of the size that the design reckons with, 332 bytes in CBOR: a description, two examples, and a tool with a schema. */
function capability(id: string, type: string): Uint8Array {
  return encodeCapability({
    id,
    type,
    description: `Answers questions from documents that this node keeps and renews.`,
    examples: ['what was said of the harvest', 'who wrote the letter'],
    tools: [
      {
        name: 'ask',
        description: 'Asks, and streams the answer.',
        input: { type: 'object', properties: { question: { type: 'string' } }, required: ['question'] }
      }
    ]
  })
}

/** A directory of nodes that are all connected, and what can be called there. */
function fill(nodes: number, capabilitiesOf: (node: number) => Uint8Array[]): { directory: Directory; offers: Offers } {
  const directory = createDirectory('self', () => {})
  const offers = createOffers(directory, 'self')
  for (let node = 0; node < nodes; node++) {
    const info = encodeInfo({ name: `node-${node}`, version: '1', addresses: [`/ip4/10.0.${node >> 8}.${node & 255}/tcp/4001`] })
    const capabilities = capabilitiesOf(node)
    const document = changeDocument(undefined, { info, put: capabilities, drop: [] })!
    const head: Head = {
      mesh: 'bench',
      origin: originOf(node),
      incarnation: 1,
      sequence: 1,
      left: false,
      leaseMs: 60_000,
      documentHash: documentHash(document),
      note: ''
    }
    const signed = { head, bytes: encodeHead(head), signature: new Uint8Array(64) }
    const outcome = directory.applyRecord({ signed, info, capabilities, ageMs: 0 }, 0)
    if (outcome !== 'applied') throw new Error(`the directory says ${outcome}`)
    offers.setLink(originId(originOf(node)), { rttMs: 1 + (node % 50) })
  }
  return { directory, offers }
}

/** A router with a route to each of so many origins, over six neighbours that know them all. */
function routerOf(origins: number): Router {
  const router = createRouter({ self: 0, sequence: { incarnation: 1, sequence: 1 }, random: createRandom(1) })
  for (let link = 0; link < 6; link++) {
    router.step({ kind: 'link-up', link, node: link + 1, cost: 50 }, 0)
    const rows = Array.from({ length: Math.min(origins, 512) }, (_, n) => ({
      origin: 10 + ((n + link * 100) % origins),
      incarnation: 1,
      sequence: 1,
      metric: 100 + n,
      hops: 2
    }))
    router.step({ kind: 'update', link, rows }, 0)
  }
  return router
}

interface Times {
  p50Ns: number
  p99Ns: number
}

/** Each round by itself, with what the clock takes; as many go before so that all is compiled. `after` is not counted. */
function time<T>(round: (n: number) => T, after: (result: T, n: number) => void = () => {}): Times {
  const took = new Float64Array(ROUNDS)
  for (let n = 0; n < 2 * ROUNDS; n++) {
    const from = process.hrtime.bigint()
    const result = round(n)
    if (n >= ROUNDS) took[n - ROUNDS] = Number(process.hrtime.bigint() - from)
    after(result, n)
  }
  took.sort()
  return { p50Ns: took[ROUNDS >> 1]!, p99Ns: took[Math.floor(ROUNDS * 0.99)]! }
}

/** See the top of the file. */
export const dispatch: Suite = {
  name: 'dispatch',
  about: `who gets a call: look-up, decision and route at ${PROVIDERS} providers, memory of 1,000 capabilities`,
  entries: [],
  options: [],
  async run({ log }) {
    log('memory')
    const nodes = 1_000 / CAPABILITIES_PER_NODE
    const routes = PROVIDERS
    // Once before, so that what is compiled and made once is not counted.
    fill(nodes, (node) => [capability(`warm-${node}`, 'warm')]).offers.all()
    const before = await usedBytes()
    const world = fill(nodes, (node) =>
      Array.from({ length: CAPABILITIES_PER_NODE }, (_, n) => capability(`thing-${node}-${n}`, `test/type-${(node + n) % TYPES}`))
    )
    const count = world.offers.all().length
    const bytesPerThousand = (((await usedBytes()) - before) * 1_000) / count
    // What a person is told of when it changes is remembered of each beside it (core/pins.ts).
    const pins = createPins()
    const beforePins = await usedBytes()
    for (const { origin, document } of world.directory.visible())
      for (const { declaration } of document!.capabilities.values()) pins.see(origin, declaration, '')
    const bytesOfPins = (((await usedBytes()) - beforePins) * 1_000) / count
    const beforeRoutes = await usedBytes()
    const router = routerOf(routes)
    const bytesOfRoutes = (await usedBytes()) - beforeRoutes

    log('look-ups and decisions')
    const { offers } = fill(PROVIDERS, () => [capability('answers', 'test/answers')])
    const dispatcher = createDispatcher({ random: createRandom(2) })
    const lookUp = time(() => findCandidates(offers.all(), 'test/answers', 'ask'))
    const decision = time(
      (n) => {
        const able = findCandidates(offers.all(), 'test/answers', 'ask').providers.classes[0]!
        dispatcher.called(n / 10)
        return dispatcher.order(able, {}, n / 10).tries[0]!.candidate
      },
      (candidate, n) => {
        dispatcher.began(candidate, n / 10)
        dispatcher.ended(candidate, 'ok', 5, n / 10)
      }
    )
    const route = time((n) => router.route(10 + (n % routes)))
    const holds = {
      lookUp: Math.max(lookUp.p99Ns, decision.p99Ns, route.p99Ns) < LIMITS.p99Ns,
      memory: bytesPerThousand < LIMITS.bytesPerThousand
    }
    if (!holds.lookUp || !holds.memory) process.exitCode = 1
    const encodedBytes = capability('thing-100-1', 'test/type-10').length
    const line = (name: string, { p50Ns, p99Ns }: Times): string => `${name.padEnd(34)} p50 ${us(p50Ns)}, p99 ${us(p99Ns)}`
    const table = [
      line(`who is able, of ${PROVIDERS} providers`, lookUp),
      line('the same and the decision', decision),
      line(`route, of ${routes}`, route),
      `${'memory of 1,000 capabilities'.padEnd(34)} ${(bytesPerThousand / 1e6).toFixed(2)} MB, each ${encodedBytes} bytes on the wire`,
      `${'pins of their descriptors beside'.padEnd(34)} ${(bytesOfPins / 1e6).toFixed(2)} MB`,
      `${`memory of ${routes} routes, 6 neighbours`.padEnd(34)} ${(bytesOfRoutes / 1e6).toFixed(2)} MB`,
      `p99 of each under 5 us: ${holds.lookUp ? 'yes' : 'NO'}; memory under 1.5 MB: ${holds.memory ? 'yes' : 'NO'}`
    ].join('\n')
    const results = {
      providers: PROVIDERS,
      lookUp,
      decision,
      route,
      encodedBytes,
      bytesPerThousand,
      bytesOfPins,
      bytesOfRoutes,
      holds
    }
    // Kept until here, so that it counts.
    if (world.directory.size === 0 || pins.size === 0 || router.size === 0) throw new Error('nothing was measured')
    return { results, table }
  }
}

const us = (ns: number): string => `${(ns / 1_000).toFixed(2)} us`
