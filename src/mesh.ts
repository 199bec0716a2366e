/**
 * The composition root: what a node is built from, in which order it starts and stops. The same in Node and in the browser;
 * the two entries differ in the libp2p that they pass in.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { toString } from 'uint8arrays/to-string'
import type { Backend } from './backends/backend.ts'
import { createFunctionBackend } from './backends/function.ts'
import { createCaller } from './calls/caller.ts'
import { checkOwn, createLocalTools } from './calls/local-tools.ts'
import { createProvider } from './calls/provider.ts'
import { createReplays } from './calls/replay.ts'
import { createResultCache } from './calls/result-cache.ts'
import { createBackendRunner } from './backend-runner.ts'
import type { Offer } from './core/candidates.ts'
import { createDirectory, type DirectoryEvent } from './core/directory.ts'
import { createEventHub } from './core/event-hub.ts'
import { createOffers } from './core/offers.ts'
import { capabilityView, capabilityViews } from './core/views.ts'
import type { Invoke } from './core/invoke.ts'
import { MeshError } from './errors.ts'
import type { Mesh, MeshEvent, MeshStatus } from './mesh-api.ts'
import { createAnnouncer, type Gossip } from './net/announce.ts'
import { createCallProtocol, callOver } from './net/call.ts'
import { createLinks } from './net/links.ts'
import { createReconciler } from './net/reconciler.ts'
import { unlessAborted, type Session } from './net/session.ts'
import { createSessions } from './net/sessions.ts'
import { createSync } from './net/sync.ts'
import { VERSION } from './version.ts'

/** Name of the one mesh that there is until meshes are private. */
export const OPEN_MESH = 'open'
/** A dial that a call waits for takes at most this long, in ms. */
export const CALL_DIAL_TIMEOUT_MS = 2_000

/** What finds peers and keeps connected to them: mDNS and dialer in Node, less in a browser. */
export interface Discovery {
  start(): Promise<void>
  stop(): Promise<void>
  /** Addresses of a peer that its own announcement names. */
  learned(peer: string, addresses: string[]): void
  /** A static peer. */
  add(address: string): void
  /** How a peer was found. */
  sourceOf(peer: string): string
  state(): MeshStatus['network']
  counters(): Record<string, number>
}

/** What a mesh is built from. */
export interface MeshComponents {
  /** Created and not yet started. */
  libp2p: Libp2p
  privateKey: PrivateKey
  /** Made after libp2p has started. */
  gossip: () => Gossip
  discovery: (onState: (state: MeshStatus['network']) => void) => Discovery
  name: string
  /** Higher than at any start before with the same key. */
  incarnation: number
  backends: Backend[]
  /** Monotonic ms. */
  now: () => number
  random: () => number
  log: (level: 'info' | 'warn', message: string) => void
  /** Runs last, when everything is closed. */
  onStopped?: () => Promise<void>
}

/** Builds and starts a node. @throws MeshError if libp2p cannot listen. */
export async function createMesh(components: MeshComponents): Promise<Mesh> {
  const { libp2p, privateKey, name, now, random, log } = components
  const self = libp2p.peerId.toString()
  const startedAt = now()
  const counters: Record<string, number> = {}
  const count = (counter: string): void => void (counters[counter] = (counters[counter] ?? 0) + 1)
  const hub = createEventHub<MeshEvent>(() => count('events.dropped'))
  const emit = (event: MeshEvent extends infer E ? (E extends { at: number } ? Omit<E, 'at'> : never) : never): void =>
    hub.emit({ at: now() - startedAt, ...event } as MeshEvent)

  // ---- what is known -------------------------------------------------------------------------
  const directory = createDirectory(self, (event) => onDirectory(event))
  const offers = createOffers(directory, self)

  // ---- calls ---------------------------------------------------------------------------------
  const calls = { inFlight: 0, served: 0, failed: 0 }
  const tools = createLocalTools(
    (declaration) => announcer?.put(declaration),
    (id, reason) => announcer?.remove(id, reason)
  )
  const provider = createProvider({
    find: (capability, tool) => tools.find(capability, tool),
    replays: createReplays(now),
    now,
    onBegin: () => void calls.inFlight++,
    onServed({ request, durationMs, error }) {
      calls.inFlight--
      calls.served++
      if (error !== undefined) calls.failed++
      if (!hub.read) return
      const { capability, tool, caller } = request
      emit({
        event: 'call',
        direction: 'in',
        capability,
        tool,
        peerId: caller,
        status: error === undefined ? 'success' : 'error',
        durationMs,
        ...(error && { code: error.code })
      })
    }
  })
  const onFault = (peer: string, error: MeshError): void => {
    count(`session.${error.code}`)
    log('warn', `session with ${peer}: ${error.message}`)
  }
  const callSessions = createSessions({ libp2p, now, onFault }, createCallProtocol(provider))
  const caller = createCaller({
    self,
    offers: () => offers.all(),
    invokeAt: (offer) => (offer.local ? provider : remote(offer)),
    cache: createResultCache(now),
    now,
    onMade: ({ capability, tool, provider: peer, durationMs, error }) =>
      hub.read &&
      emit({
        event: 'call',
        direction: 'out',
        capability,
        tool,
        peerId: peer ?? '',
        status: error === undefined ? 'success' : 'error',
        durationMs,
        ...(error && { code: error.code })
      })
  })

  function remote(offer: Offer): Invoke {
    const session = callSessions.peek(offer.node)
    if (session !== undefined) return callOver(session)
    return async function* (request, options) {
      yield* callOver(await unlessAborted(options.signal, connect(offer)))(request, options)
    }
  }

  async function connect(offer: Offer): Promise<Session> {
    if (!offer.direct) await dial(offer.node)
    return callSessions.get(offer.node)
  }

  async function dial(peer: string): Promise<void> {
    const addresses = directory.get(peer)?.document?.info.addresses ?? []
    const target =
      addresses.length > 0
        ? addresses.map((address) => multiaddr(`${address.replace(/\/p2p\/[^/]+$/, '')}/p2p/${peer}`))
        : peerIdFromString(peer)
    try {
      await libp2p.dial(target, { signal: AbortSignal.timeout(CALL_DIAL_TIMEOUT_MS) })
    } catch (error) {
      throw new MeshError(
        'unavailable',
        `cannot reach ${offers.nodeName(peer)} (${peer}): ${(error as Error).message}`,
        { peer },
        { cause: error }
      )
    }
  }

  // ---- announcements and sync ----------------------------------------------------------------
  const announcer = createAnnouncer(
    {
      peerId: libp2p.peerId,
      privateKey,
      gossip: lazyGossip(components.gossip),
      directory,
      now,
      random,
      count,
      needRecord: (origin, from) => reconciler.pull(origin, from)
    },
    { mesh: OPEN_MESH, incarnation: components.incarnation, info: { name, version: VERSION, addresses: [] } }
  )
  const sync = createSync({
    directory,
    now,
    random,
    ingest: (record, from) => announcer.ingest(record, from),
    onLearned: (from) => reconciler.learned(from)
  })
  const syncSessions = createSessions(
    { libp2p, now, onFault, onInbound: (peer, session) => links.accept(peer, session) },
    sync.protocol
  )
  const links = createLinks({
    libp2p,
    sessions: syncSessions,
    now,
    onUp(link) {
      directory.setConnected(link.peer, true, now())
      offers.setLink(link.peer, link)
      reconciler.up(link)
    },
    onDown(peer, reason) {
      log('info', `lost ${peer}: ${reason}`)
      offers.setLink(peer, undefined)
      directory.setConnected(peer, false, now())
    }
  })
  const reconciler = createReconciler({ links, sync, directory, now, random, log: (message) => log('warn', message) })

  function onDirectory(event: DirectoryEvent): void {
    offers.changed()
    const { origin: node } = event
    switch (event.kind) {
      case 'node-join':
        if (node !== self) emit({ event: 'peer:join', peerId: node, name: event.name })
        learn(node)
        return
      case 'node-leave':
        if (node !== self) emit({ event: 'peer:leave', peerId: node, name: event.name, reason: event.reason })
        return
      case 'removed': {
        const { id, type } = event.capability.declaration
        return emit({ event: 'capability:removed', node, id, type, reason: event.reason })
      }
      default: {
        const entry = directory.get(node)
        const view = entry && capabilityView(entry, event.capability.declaration.id, directory.visible(), self)
        if (view !== undefined) emit({ event: `capability:${event.kind}`, node, capability: view })
      }
    }
  }

  function learn(node: string): void {
    const addresses = directory.get(node)?.document?.info.addresses ?? []
    if (node !== self && addresses.length > 0) discovery.learned(node, addresses)
  }

  // ---- what this node offers -----------------------------------------------------------------
  const functions = createFunctionBackend({ onChange: (snapshot) => tools.apply(functions, snapshot) })
  const runner = createBackendRunner({ self, tools, emit, log })
  let network: MeshStatus['network'] = { state: 'ok', message: '' }
  const discovery = components.discovery((state) => {
    if (state.state !== network.state) emit({ event: 'network', ...state })
    network = state
  })
  const onAddresses = (): void => announcer.setInfo({ name, version: VERSION, addresses: announcedAddresses() })

  function announcedAddresses(): string[] {
    const all = libp2p.getMultiaddrs().map((address) => address.toString())
    const beyond = all.filter((address) => !/^\/(ip4\/127\.|ip6\/::1\/)/.test(address))
    return beyond.length > 0 ? beyond : all
  }

  // ---- start ---------------------------------------------------------------------------------
  try {
    await callSessions.start()
    await syncSessions.start()
    await libp2p.start()
    links.start()
    onAddresses()
    await announcer.start()
    libp2p.addEventListener('self:peer:update', onAddresses)
    await discovery.start()
    reconciler.start()
    for (const backend of [functions, ...components.backends]) runner.add(backend)
  } catch (error) {
    await libp2p.stop()
    await components.onStopped?.()
    throw error
  }

  // ---- stop ----------------------------------------------------------------------------------
  let stopping: Promise<void> | undefined
  async function stopAll(): Promise<void> {
    libp2p.removeEventListener('self:peer:update', onAddresses)
    await discovery.stop()
    reconciler.stop()
    await announcer.stop('shutdown')
    // What runs may finish; then sessions, backends and sockets go.
    await callSessions.stop()
    links.stop()
    await syncSessions.stop()
    await runner.stop()
    await libp2p.stop()
    hub.close()
    await components.onStopped?.()
  }

  return {
    peerId: self,
    name,
    multiaddrs: () => libp2p.getMultiaddrs().map((address) => address.toString()),
    peers: () => offers.peers((peer) => discovery.sourceOf(peer)),
    capabilities: (query) => capabilityViews(directory.visible(), self, query),
    call: caller,
    addBackend: (backend) => runner.add(backend),
    events: ({ signal }) => hub.subscribe(signal),
    async addPeer(address, { signal } = {}) {
      discovery.add(address)
      await libp2p.dial(multiaddr(address), { signal: signal ?? AbortSignal.timeout(CALL_DIAL_TIMEOUT_MS * 5) })
    },
    register(declaration, handlers) {
      checkOwn(declaration)
      const registration = functions.register(declaration, handlers)
      return {
        ...registration,
        update(change) {
          checkOwn({ ...declaration, ...change })
          registration.update(change)
        }
      }
    },
    status: () => ({
      peerId: self,
      name,
      version: VERSION,
      uptimeMs: now() - startedAt,
      multiaddrs: libp2p.getMultiaddrs().map((address) => address.toString()),
      peers: links.all().length,
      capabilities: offers.counts(),
      backends: runner.states(),
      network,
      calls: { ...calls },
      counters: { ...counters, ...discovery.counters() },
      directoryDigest: toString(directory.digest(), 'base16')
    }),
    stop: () => (stopping ??= stopAll()),
    [Symbol.asyncDispose]: () => (stopping ??= stopAll())
  }
}

function lazyGossip(make: () => Gossip): Gossip {
  let gossip: Gossip | undefined
  const get = (): Gossip => (gossip ??= make())
  return {
    subscribe: (topic, validate) => get().subscribe(topic, validate),
    publish: (topic, data) => get().publish(topic, data)
  }
}
