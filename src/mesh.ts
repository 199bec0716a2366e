/**
 * The composition root: what a node is built from, in which order it starts and stops. The same in Node and in the browser;
 * the two entries differ in the libp2p that they pass in.
 */
import { createFunctionBackend } from './backends/function.ts'
import { checkOwn, createLocalTools } from './calls/local-tools.ts'
import { createBackendRunner } from './backend-runner.ts'
import { addPeer, announcedAddresses } from './mesh-addresses.ts'
import { announcedDeclaration, withOwnReasons } from './core/announced-reason.ts'
import { createDirectory } from './core/directory.ts'
import { lostNodes } from './core/lost-nodes.ts'
import { createOffers } from './core/offers.ts'
import type { MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'
import type { MeshComponents } from './mesh-components.ts'
import { createConsent } from './mesh-consent.ts'
import { createDescriptors } from './mesh-descriptors.ts'
import { createLastNames } from './core/last-names.ts'
import { createMeshCalls } from './mesh-calls.ts'
import { createMeshCounts } from './mesh-counts.ts'
import { createMeshEvents } from './mesh-events.ts'
import { createFederation } from './mesh-federation.ts'
import { createMeshSync } from './mesh-sync.ts'
import { createMeshTreaties } from './mesh-treaties.ts'
import { createNodeViews } from './mesh-node-views.ts'
import { createMeshRouting } from './mesh-routing.ts'
import { createRouteViews } from './mesh-route-views.ts'
import { meshStatus } from './mesh-status.ts'
import { stopInOrder } from './mesh-stop.ts'
import { createUnderstanding } from './mesh-understanding.ts'
import { createMeshTriggers } from './mesh-triggers.ts'
import { createMeshTrust } from './mesh-trust.ts'

/** Builds and starts a node. @throws MeshError if libp2p cannot listen. */
export async function createMesh(components: MeshComponents): Promise<Mesh> {
  const { libp2p, name, membership, audit, now, log } = components
  const self = libp2p.peerId.toString()
  const counts = createMeshCounts(now)
  const { count } = counts
  const events = createMeshEvents(self, now, () => count('events.dropped'), audit, log)

  // ---- what is known -------------------------------------------------------------------------
  const directory = createDirectory(self, (event) => {
    descriptors.onDirectory(event)
    offers.changed()
    routing.directoryChanged(event)
    triggers.changed(event.kind === 'node-join' ? event.origin : undefined)
    if (event.origin === self) for (const { changed } of [federation, meaning.vectors]) changed()
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
    onAccepted: () => void (offers.changed(), triggers.changed())
  })
  const offers = createOffers(directory, self, descriptors.isBlocked)

  const addressesOf = (node: string): string[] => directory.get(node)?.document?.info.addresses ?? []
  const lastNames = createLastNames()
  const nameOf = (node: string): string | undefined =>
    node === self ? name : (directory.get(node)?.document?.info.name ?? lastNames.of(node))

  // ---- calls ---------------------------------------------------------------------------------
  const tools = createLocalTools(
    (declaration) => announcer?.put(announcedDeclaration(declaration)),
    (id, reason) => announcer?.remove(id, reason),
    now
  )
  const onFault = (peer: string, error: MeshError): void => {
    count(`session.${error.code}`)
    log('warn', `session with ${peer}: ${error.message}`)
  }
  const routing = createMeshRouting({
    ...components,
    directory,
    offers,
    events,
    linkOf: (peer) => links.get(peer),
    neighbours: () => links.all().map(({ peer }) => peer),
    measure: (peer, samples) => links.measure(peer, samples),
    doubt: (peer) => links.doubt(peer, false),
    mayForward: (peer) => trust.mayForward(peer),
    nameOf,
    onWay: (node) => triggers.changed(node),
    count,
    onFault
  })
  const calls = createMeshCalls({
    ...components,
    find: (capability, tool) => tools.find(capability, tool),
    authorize: (local, request, options) => consent.authorize(local, request, options),
    meter: (local, request) => consent.meter(local, request),
    offers: () => federation.offers(offers.all()),
    provide: (request, options) => federation.provide(request, options),
    addressesOf,
    nameOf,
    known: () => [...directory.entries()].map(({ origin }) => origin),
    lost: () => lostNodes(directory.entries()),
    ways: routing.ways,
    alsoOver: (node) => triggers.overCircuit(node),
    counts,
    events,
    onFault
  })

  const meaning = createUnderstanding({
    ...components,
    call: calls.call,
    offers: () => federation.offers(offers.all()),
    modelOf: (node) => directory.get(node)?.document?.info.embeddings,
    nameOf,
    onAnnounce: () => sync.announceNode(),
    onFault,
    onLearned: () => triggers.changed()
  })

  const triggers = createMeshTriggers({
    ...components,
    offers: () => offers.all(),
    meaning: meaning.events,
    local: tools.handler,
    emit: events.emit,
    reach: calls.reach,
    isNeighbour: routing.ways.isNeighbour,
    consent: () => consent,
    nameOf,
    starting: () => runner.starting(),
    count,
    onFault
  })

  // ---- announcements and sync ----------------------------------------------------------------
  const sync = createMeshSync({
    ...components,
    directory,
    offers,
    count,
    onFault,
    embeddings: () => meaning.vectors.announced(),
    onNoticeDigest: (peer, digest) => trust.noticesOf(peer, digest),
    onUp(link) {
      calls.forgive(link.peer)
      routing.linkUp(link)
      triggers.changed(link.peer)
    },
    onDown: (peer) => routing.linkDown(peer),
    onRtt: routing.onRtt
  })
  const { announcer, links } = sync

  function learn(node: string): void {
    const addresses = addressesOf(node)
    if (node !== self && addresses.length > 0) discovery.learned(node, addresses)
  }

  // ---- what this node offers -----------------------------------------------------------------
  const functions = createFunctionBackend({ onChange: (snapshot) => tools.apply(functions, snapshot) })
  const runner = createBackendRunner({ self, tools, emit: events.emit, raise: triggers.raise, log })
  const discovery = components.discovery(
    events.onNetwork,
    // Which of them still lead anywhere, is better known before a call needs them.
    () => links.all().forEach(({ peer }) => links.doubt(peer, false))
  )
  const federation = createFederation({
    ...components,
    directory,
    changedOf: descriptors.changedOf,
    provider: calls.provider,
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
    onLess(peer) {
      for (const { forget } of [calls.replays, consent]) forget(peer)
      routing.onLess(peer)
      triggers.onLess(peer)
    },
    // What it has called goes on, and is not to run twice when it asks again.
    onNoForward: (peer) => routing.onLess(peer)
  })
  const nodeViews = createNodeViews({ libp2p, directory, lists: [offers, federation], discovery, roster: trust.commands, now })
  const consent = createConsent({ ...components, self, nameOf, trust, federation, audit, emit: events.emit })

  // ---- stop ----------------------------------------------------------------------------------
  /** In this order: nobody new, say goodbye, let what runs finish, then sessions, backends and sockets. Each also undoes a start cut short. */
  const stops: (() => unknown)[] = [
    () => discovery.stop(),
    sync.stops.reconciler,
    sync.stops.announcer,
    () => triggers.stop(),
    () => meaning.stop(),
    () => calls.stop(),
    () => routing.stop(),
    sync.stops.links,
    sync.stops.sessions,
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
    await calls.start()
    await triggers.start()
    await routing.start()
    await federation.start()
    await meaning.vectors.start()
    await sync.listen()
    await libp2p.start()
    trust.listen()
    sync.start()
    await sync.announce()
    await discovery.start()
    sync.compare()
    for (const backend of [functions, ...components.backends]) runner.add(backend)
  } catch (error) {
    await stopAll()
    throw error
  }

  return {
    peerId: self,
    name,
    multiaddrs: () => libp2p.getMultiaddrs().map((address) => address.toString()),
    peers: nodeViews.peers,
    capabilities: (query) => withOwnReasons(federation.capabilities(query), (id) => tools.handler(id)?.declaration),
    acceptDescriptor: (node, capability, options) => descriptors.acceptDescriptor(node, capability, options),
    call: calls.call,
    explain: calls.explain,
    understand: meaning.understand,
    believesOthers: components.believeOthers === true,
    examples: meaning.examples,
    ...createRouteViews({ self, directory, routing, offers: () => offers.all(), nameOf, now }),
    addBackend: (backend) => runner.add(backend),
    events: ({ signal }) => events.subscribe(signal),
    addPeer: (address, options) => addPeer({ libp2p, discovery }, address, options),
    register(declaration, handlers, onEvent) {
      checkOwn(declaration)
      return functions.register(declaration, handlers, onEvent)
    },
    invite: (options = {}) => trust.invite(options),
    openDoor: (options = {}) => trust.openDoor(options),
    ...triggers.commands,
    ...consent.commands,
    ...trust.commands,
    treaties: createMeshTreaties({ membership, audit, connected: federation.connected, announce: trust.announce }),
    status: () => meshStatus({ ...components, self, counts, directory, discovery, offers, runner, triggers, links }),
    stop: () => (stopping ??= stopAll()),
    [Symbol.asyncDispose]: () => (stopping ??= stopAll())
  }
}
