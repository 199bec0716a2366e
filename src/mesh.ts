/**
 * The composition root: what a node is built from, in which order it starts and stops. The same in Node and in the browser;
 * the two entries differ in the libp2p that they pass in.
 */
import { toString } from 'uint8arrays/to-string'
import { createFunctionBackend } from './backends/function.ts'
import { createCaller } from './calls/caller.ts'
import { checkOwn, createLocalTools } from './calls/local-tools.ts'
import { createProvider } from './calls/provider.ts'
import { createReplays } from './calls/replay.ts'
import { createResultCache } from './calls/result-cache.ts'
import { createBackendRunner } from './backend-runner.ts'
import { addPeer, announcedAddresses } from './mesh-addresses.ts'
import { createDirectory } from './core/directory.ts'
import { createOffers } from './core/offers.ts'
import type { MeshError } from './errors.ts'
import type { Mesh, MeshStatus } from './mesh-api.ts'
import type { MeshComponents } from './mesh-components.ts'
import { createConsent } from './mesh-consent.ts'
import { createDescriptors } from './mesh-descriptors.ts'
import { createLastNames } from './core/last-names.ts'
import { createMeshCounts } from './mesh-counts.ts'
import { meshOf } from './mesh-members.ts'
import { createMeshEvents } from './mesh-events.ts'
import { createFederation } from './mesh-federation.ts'
import { createMeshTreaties } from './mesh-treaties.ts'
import { stopInOrder } from './mesh-stop.ts'
import { createMeshTrust } from './mesh-trust.ts'
import { createAnnouncer } from './net/announce.ts'
import { createLinks } from './net/links.ts'
import { createReconciler } from './net/reconciler.ts'
import { createRemoteCalls } from './net/remote-calls.ts'
import { createSessions } from './net/sessions.ts'
import { createSync } from './net/sync.ts'
import { VERSION } from './version.ts'

/** Builds and starts a node. @throws MeshError if libp2p cannot listen. */
export async function createMesh(components: MeshComponents): Promise<Mesh> {
  const { libp2p, privateKey, name, membership, audit, now, random, log } = components
  const self = libp2p.peerId.toString()
  const counts = createMeshCounts(now)
  const { count } = counts
  const events = createMeshEvents(self, now, () => count('events.dropped'), audit)

  // ---- what is known -------------------------------------------------------------------------
  const directory = createDirectory(self, (event) => {
    descriptors.onDirectory(event)
    offers.changed()
    if (event.origin === self) federation.changed()
    if (event.kind === 'node-join' || event.kind === 'info') learn(event.origin)
    if (event.kind === 'node-leave') lastNames.note(event.origin, event.name)
    // It may be back after a lease, without a session with this node.
    if (event.kind === 'node-join' && directory.get(event.origin)?.connected === false) announcer.heardOfStranger()
    events.onDirectory(event, directory, descriptors.changedOf)
  })
  const descriptors = createDescriptors({
    self,
    directory,
    mode: components.changedDescriptors,
    pins: components.pins,
    now,
    log,
    audit,
    emit: events.emit,
    onAccepted: () => offers.changed()
  })
  const offers = createOffers(directory, self, descriptors.isBlocked)

  const addressesOf = (node: string): string[] => directory.get(node)?.document?.info.addresses ?? []
  const lastNames = createLastNames()
  const nameOf = (node: string): string | undefined =>
    node === self ? name : (directory.get(node)?.document?.info.name ?? lastNames.of(node))

  // ---- calls ---------------------------------------------------------------------------------
  const tools = createLocalTools(
    (declaration) => announcer?.put(declaration),
    (id, reason) => announcer?.remove(id, reason)
  )
  const replays = createReplays(now)
  const provider = createProvider({
    self,
    find: (capability, tool) => tools.find(capability, tool),
    replays,
    authorize: (local, request, options) => consent.authorize(local, request, options),
    meter: (local, request) => consent.meter(local, request),
    now,
    onBegin: counts.onBegin,
    onServed(call) {
      counts.onServed(call.error !== undefined)
      events.onServed(call)
    }
  })
  const onFault = (peer: string, error: MeshError): void => {
    count(`session.${error.code}`)
    log('warn', `session with ${peer}: ${error.message}`)
  }
  const remote = createRemoteCalls({
    libp2p,
    provider: (request, options) => federation.provide(request, options),
    now,
    onFault,
    addressesOf
  })
  const caller = createCaller({
    self,
    offers: () => federation.offers(offers.all()),
    invokeAt: (offer) => (offer.local ? provider : remote.at(offer)),
    cache: createResultCache(now),
    now,
    onMade: events.onMade,
    onSent: events.onSent
  })

  // ---- announcements and sync ----------------------------------------------------------------
  const announcer = createAnnouncer(
    {
      peerId: libp2p.peerId,
      privateKey,
      gossip: components.gossip,
      directory,
      now,
      random,
      count,
      needRecord: (origin, from) => reconciler.pull(origin, from),
      onConflict: () => log('warn', `another node uses this node's key: ${self}; give one of them a data directory of its own`)
    },
    { mesh: membership.mesh, incarnation: components.incarnation, info: { name, version: VERSION, addresses: [] } }
  )
  const sync = createSync({
    directory,
    now,
    ingest: (record, from) => announcer.ingest(record, from),
    onLearned: (from, hearsay) => reconciler.learned(from, hearsay),
    noticeDigest: () => membership.noticeDigest(),
    onNoticeDigest: (peer, digest) => trust.noticesOf(peer, digest)
  })
  const syncSessions = createSessions(
    { libp2p, now, onFault, onInbound: (peer, session) => links.accept(peer, session) },
    sync.protocol
  )
  const links = createLinks({
    libp2p,
    sessions: syncSessions,
    now,
    random,
    onUp(link) {
      directory.setConnected(link.peer, true, now())
      offers.setLink(link.peer, link)
      // Whoever lost this node for a lease has forgotten it, and takes only a newer head.
      void announcer.refresh().then(() => links.get(link.peer)?.session === link.session && reconciler.up(link))
    },
    onDown(peer, reason) {
      log('info', `lost ${peer}: ${reason}`)
      offers.setLink(peer, undefined)
      directory.setConnected(peer, false, now())
    }
  })
  const reconciler = createReconciler({ links, sync, directory, now, random, log: (message) => log('warn', message) })

  function learn(node: string): void {
    const addresses = addressesOf(node)
    if (node !== self && addresses.length > 0) discovery.learned(node, addresses)
  }

  // ---- what this node offers -----------------------------------------------------------------
  const functions = createFunctionBackend({ onChange: (snapshot) => tools.apply(functions, snapshot) })
  const runner = createBackendRunner({ self, tools, emit: events.emit, log })
  let shown: MeshStatus['network']['state'] = 'ok'
  const discovery = components.discovery((state) => {
    if (state.state !== shown) events.emit({ event: 'network', ...state })
    shown = state.state
  })
  const federation = createFederation({
    ...components,
    directory,
    changedOf: descriptors.changedOf,
    provider,
    events,
    onFault,
    part: (peer, error) => trust.part(peer, error),
    onTreaty: () => discovery.forgive()
  })
  const trust = createMeshTrust({
    ...components,
    federation,
    addresses: () => announcedAddresses(libp2p),
    nameOf,
    ask: (request, signal) => consent.ask(request, signal),
    discovery,
    count,
    onLess: (peer) => [replays, consent].forEach(({ forget }) => forget(peer))
  })
  const consent = createConsent({ ...components, self, nameOf, trust, federation, audit, emit: events.emit })
  const onAddresses = (): void => announcer.setInfo({ name, version: VERSION, addresses: announcedAddresses(libp2p) })

  // ---- stop ----------------------------------------------------------------------------------
  /** In this order: nobody new, say goodbye, let what runs finish, then sessions, backends and sockets. Each also undoes a start cut short. */
  const stops: (() => unknown)[] = [
    () => libp2p.removeEventListener('self:peer:update', onAddresses),
    () => discovery.stop(),
    () => reconciler.stop(),
    () => announcer.stop('shutdown'),
    () => remote.stop(),
    () => links.stop(),
    () => syncSessions.stop(),
    () => federation.stop(),
    () => runner.stop(),
    () => trust.stop(),
    () => libp2p.stop(),
    () => events.close(),
    () => components.onStopped?.()
  ]
  let stopping: Promise<void> | undefined
  const stopAll = (): Promise<void> => stopInOrder(stops, (message) => log('warn', message))

  // ---- start ---------------------------------------------------------------------------------
  try {
    await trust.start()
    await remote.start()
    await federation.start()
    await syncSessions.start()
    await libp2p.start()
    trust.listen()
    links.start()
    onAddresses()
    await announcer.start()
    libp2p.addEventListener('self:peer:update', onAddresses)
    await discovery.start()
    reconciler.start()
    for (const backend of [functions, ...components.backends]) runner.add(backend)
  } catch (error) {
    await stopAll()
    throw error
  }

  return {
    peerId: self,
    name,
    multiaddrs: () => libp2p.getMultiaddrs().map((address) => address.toString()),
    peers: () => [offers, federation].flatMap((all) => all.peers((peer) => discovery.sourceOf(peer))),
    capabilities: federation.capabilities,
    acceptDescriptor: (node, capability, options) => descriptors.acceptDescriptor(node, capability, options),
    call: caller,
    addBackend: (backend) => runner.add(backend),
    events: ({ signal }) => events.subscribe(signal),
    addPeer: (address, options) => addPeer({ libp2p, discovery }, address, options),
    register(declaration, handlers) {
      checkOwn(declaration)
      return functions.register(declaration, handlers)
    },
    invite: (options = {}) => trust.invite(options),
    openDoor: (options = {}) => trust.openDoor(options),
    ...consent.commands,
    ...trust.commands,
    treaties: createMeshTreaties({ membership, audit, connected: federation.connected, announce: trust.announce }),
    status: () => ({
      peerId: self,
      name,
      mesh: meshOf(membership),
      version: VERSION,
      multiaddrs: libp2p.getMultiaddrs().map((address) => address.toString()),
      peers: links.all().length,
      capabilities: offers.counts(),
      backends: runner.states(),
      network: discovery.state(),
      ...counts.view(discovery.counters()),
      directoryDigest: toString(directory.digest(), 'base16')
    }),
    stop: () => (stopping ??= stopAll()),
    [Symbol.asyncDispose]: () => (stopping ??= stopAll())
  }
}
