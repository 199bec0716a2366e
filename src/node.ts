import './net/node20-shims.ts'
import type { PrivateKey } from '@libp2p/interface'
import { MAX_PRICE, POWERS, type NodeCost } from '../protocols/announce/cost.ts'
import { MAX_PATTERN } from '../protocols/glob.ts'
import type { Backend } from './backends/backend.ts'
import { nextIncarnation, openDataDir, type DataDir } from './data-dir.ts'
import type { LimitRule } from './core/limits.ts'
import type { PolicyRule } from './core/policy.ts'
import { openAuditLog, type AuditOptions } from './data-dir-audit.ts'
import { openEventFiles } from './data-dir-events.ts'
import { openExampleFile } from './data-dir-examples.ts'
import { openPinFile } from './data-dir-pins.ts'
import { MeshError, isMeshError } from './errors.ts'
import { eventSinkProblem, nodeNameProblem } from './config-formats.ts'
import { listenProblem, multiaddrProblem, listenTogetherProblem } from './config-addresses.ts'
import type { MeaningConfig } from './config-meaning.ts'
import { createMesh } from './mesh.ts'
import type { Mesh } from './mesh-api.ts'
import type { ExampleStore } from './mesh-meaning-examples.ts'
import type { ChangedDescriptors } from './core/pins.ts'
import { listenError } from './node-listen.ts'
import { createGossip, meshTopics } from './net/gossip.ts'
import type { InterfaceFilter } from './net/interfaces.ts'
import { createNodeDiscovery, rememberedAddresses } from './net/node-discovery.ts'
import { loadKey } from './node-key.ts'
import { meaningComponents } from './node-transformers.ts'
import { hostNodeName, loadMembership } from './node-membership.ts'
import { webRtcFor } from './node-webrtc.ts'
import type { Membership } from './trust/membership.ts'
import { DEFAULT_LISTEN, createNodeLibp2p } from './net/node-preset.ts'

/** Options of {@link createNode}; all may be left out. */
export interface NodeOptions {
  /** For people; default: the host's name. */
  name?: string
  /** Directory for key, counter and remembered addresses, or one that the caller has opened. Without it the node is new at every start. */
  dataDir?: string | DataDir
  /** Ed25519 key; default: the one in the data directory, made at first start. */
  privateKey?: PrivateKey
  /** Multiaddrs to listen on; default: any free TCP port on all interfaces. */
  listen?: string[]
  /** Multiaddrs of static peers, with or without `/p2p/<PeerId>`. */
  peers?: string[]
  /** Discovery by multicast DNS; default true. */
  mdns?: boolean | { interfaces?: InterfaceFilter }
  backends?: Backend[]
  /** True: the mesh that is open to everybody on the network, for demonstrations. Default: the private one of the data directory, or a new one. */
  open?: boolean
  /** Who may call what here; the first rule that fits decides. Default: members all but what requires approval, guests nothing. */
  policy?: PolicyRule[]
  /** How much callers may use. Default: what the tools' own concurrency and queues allow. */
  limits?: LimitRule[]
  /** Whether a capability whose description has changed is only flagged, or not called either until that is accepted. Default: `flag`. */
  changedDescriptors?: ChangedDescriptors
  /** What calls on this node cost beside time: announced, and weighed by callers. Default: nothing. */
  cost?: NodeCost
  /** `sink`: where events of this node go that would reach nobody else, a hint as those of triggers. Default: they wait for a handler. */
  events?: { sink?: string }
  /**
   * Vectors beside words, for requests in words. `embeddings`: a capability of the mesh, or the absolute path of the folder of a model for `@huggingface/transformers`,
   * which has to be installed beside this package. `vectors`: how they are kept, default `int8`. Default: words alone.
   * `believeOthers`: what models of other nodes say of themselves decides which one is asked where any will do; default: false.
   * `learn`: what somebody says that was meant becomes an example, kept in the data directory; default: false.
   * `writeExamples`: a model of this node (true), or that of this name, writes examples for capabilities that have none; default: false.
   */
  meaning?: MeaningConfig
  /** What the audit log of the data directory keeps. `arguments`: those of calls as well, not their digests alone. */
  audit?: AuditOptions
  /** Another mesh than these. */
  membership?: Membership
  /** One line for each thing worth knowing; default: silent. */
  log?: (level: 'info' | 'warn', message: string) => void
}

/**
 * Starts a node in this process.
 * @throws MeshError `conflict` if the data directory is in use, `invalid_config` for a wrong option, `unavailable` if it cannot listen.
 */
export async function createNode(options: NodeOptions = {}): Promise<Mesh> {
  const host = hostNodeName()
  checkName(options.name ?? host)
  const dataDir = typeof options.dataDir === 'string' ? await openDataDir(options.dataDir) : options.dataDir
  const log = options.log ?? (() => undefined)
  try {
    const privateKey = options.privateKey ?? (await loadKey(dataDir?.path))
    const incarnation = await loadIncarnation(dataDir, log)
    const listen = options.listen ?? DEFAULT_LISTEN
    checkAddresses(listen, options.peers ?? [])
    checkInterfaces(options.mdns)
    checkCost(options.cost)
    checkSink(options.events?.sink)
    const warn = (message: string): void => log('warn', message)
    const auditLog = dataDir === undefined ? undefined : await openAuditLog(dataDir.path, warn, undefined, options.audit)
    const pins = dataDir === undefined ? undefined : await openPinFile(dataDir.path, warn)
    const events = dataDir === undefined ? undefined : await openEventFiles(dataDir.path, warn)
    const examples = options.meaning?.learn === true ? await exampleStore(dataDir, warn) : undefined
    const { open = false } = options
    const membership =
      options.membership ??
      (await loadMembership({
        open,
        dataDir: dataDir?.path,
        nodeKey: privateKey,
        name: options.name ?? host,
        onFounded: (founded) => auditLog?.record({ event: 'init', mesh: founded.mesh, name: founded.name })
      }))
    // What it was called when it joined.
    const name = options.name ?? namedBefore(membership) ?? host
    const remembered = dataDir === undefined ? [] : await rememberedAddresses(dataDir.path)
    const webRtc = await webRtcFor([...listen, ...(options.peers ?? [])], dataDir?.path, warn, remembered)
    const libp2p = await createNodeLibp2p(privateKey, listen, {
      webRtc,
      tls: !membership.clockInDoubt,
      topics: meshTopics(membership.mesh)
    })
    auditLog?.record({ event: 'start', node: name })
    return await createMesh({
      libp2p,
      privateKey,
      gossip: createGossip(libp2p.services.pubsub),
      discovery: (...told) =>
        createNodeDiscovery(
          libp2p,
          {
            listen,
            peers: options.peers ?? [],
            mdns: options.mdns ?? true,
            dataDir: dataDir?.path,
            log: warn
          },
          ...told
        ),
      name,
      membership,
      policy: options.policy ?? [],
      limits: options.limits ?? [],
      ...(auditLog !== undefined && { audit: auditLog.record }),
      changedDescriptors: options.changedDescriptors ?? 'flag',
      pins,
      events,
      sink: options.events?.sink,
      cost: options.cost,
      believeOthers: options.meaning?.believeOthers,
      meaning: meaningComponents(options.meaning),
      examples,
      writeExamples: options.meaning?.writeExamples,
      incarnation,
      backends: options.backends ?? [],
      now: () => performance.now(),
      random: Math.random,
      log,
      async onStopped() {
        auditLog?.record({ event: 'stop', node: name })
        await auditLog?.flush()
        await pins?.flush()
        await events?.close()
        await release(dataDir, options)
      }
    })
  } catch (error) {
    await release(dataDir, options)
    if (isMeshError(error)) throw error
    throw listenError(error) ?? new MeshError('unavailable', `the node cannot start: ${firstLine(error)}`, {}, { cause: error })
  }
}

/** Without a data directory what was learned is known until the node stops. */
async function exampleStore(dataDir: DataDir | undefined, warn: (message: string) => void): Promise<ExampleStore> {
  return dataDir === undefined ? { initial: [], save: async () => undefined } : openExampleFile(dataDir.path, warn)
}

/** Messages of libp2p carry stacks; those are for the cause. */
function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? ''
}

/** A directory that the caller opened stays the caller's. */
async function release(dataDir: DataDir | undefined, options: NodeOptions): Promise<void> {
  if (typeof options.dataDir === 'string') await dataDir?.release()
}

/** Without a data directory the key is new, or the caller's: then only the clock can tell this start from the last. */
async function loadIncarnation(dataDir: DataDir | undefined, log: NonNullable<NodeOptions['log']>): Promise<number> {
  if (dataDir === undefined) return Math.floor(Date.now() / 1_000)
  const { value, warning } = await nextIncarnation(dataDir.path)
  if (warning !== undefined) log('warn', warning)
  return value
}

function checkAddresses(listen: readonly string[], peers: readonly string[]): void {
  const problem =
    listen.map(listenProblem).find(Boolean) ?? peers.map(multiaddrProblem).find(Boolean) ?? listenTogetherProblem(listen)
  if (problem !== undefined) throw new MeshError('invalid_config', problem)
}

/** A glob that is too long fits nothing: one of `deny` would let pass what it names. */
function checkInterfaces(mdns: NodeOptions['mdns']): void {
  const { allow = [], deny = [] } = (typeof mdns === 'object' ? mdns.interfaces : undefined) ?? {}
  if ([...allow, ...deny].some((glob) => glob.length > MAX_PATTERN))
    throw new MeshError('invalid_config', `a glob over interface names is longer than ${MAX_PATTERN} characters`)
}

/** Others would not read it, and the node would be there for none of them. */
function checkCost({ power, price = 0 }: NodeCost = {}): void {
  if (power !== undefined && !POWERS.includes(power))
    throw new MeshError('invalid_config', `cost.power must be one of ${POWERS.join(', ')}`, { key: 'cost' })
  if (!(price >= 0 && price <= MAX_PRICE))
    throw new MeshError('invalid_config', `cost.price must be 0 to ${MAX_PRICE} cents`, { key: 'cost' })
}

function checkSink(sink: string | undefined): void {
  const problem = sink === undefined ? undefined : eventSinkProblem(sink)
  if (problem !== undefined) throw new MeshError('invalid_config', `events.sink: ${problem}`, { key: 'events' })
}

/** What the node was called when it joined, if a node may be called that. */
function namedBefore(membership: Membership): string | undefined {
  const name = membership.chain()[0]?.certificate.name ?? ''
  return nodeNameProblem(name) === undefined ? name : undefined
}

function checkName(name: string): void {
  const problem = nodeNameProblem(name)
  if (problem !== undefined) throw new MeshError('invalid_config', problem, { key: 'name' })
}
