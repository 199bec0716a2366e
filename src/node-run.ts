/** A node as a process of its own: data directory, backends, mesh and local API put together, and taken apart in order. Node only. */
import type { Backend } from './backends/backend.ts'
import { createBackend, type BackendContext } from './backends/index.ts'
import type { Config, EventsConfig, MdnsConfig } from './config.ts'
import type { MeaningConfig } from './config-meaning.ts'
import type { Settings } from './config-file.ts'
import { ensureApiToken, openDataDir, removeNodeFile, writeNodeFile, type DataDir } from './data-dir.ts'
import { serveApi } from './http/serve.ts'
import type { LimitRule } from './core/limits.ts'
import type { PolicyRule } from './core/policy.ts'
import { MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'
import { startAgents } from './node-agents.ts'
import { createMeshChange } from './node-change.ts'
import { createReadings } from './node-health.ts'
import { resolvedMeaning } from './node-transformers.ts'
import { createHooks } from './node-hooks.ts'
import type { NodeCost } from '../protocols/announce/cost.ts'
import type { ChangedDescriptors } from './core/pins.ts'
import { VERSION } from './version.ts'

/** What {@link runNode} hands to `createNode`. */
export interface NodeInit {
  name?: string
  /** Opened: its lock stays with who runs the node. */
  dataDir: DataDir
  listen?: string[]
  peers?: string[]
  mdns?: boolean | MdnsConfig
  policy?: PolicyRule[]
  limits?: LimitRule[]
  changedDescriptors?: ChangedDescriptors
  cost?: NodeCost
  events?: EventsConfig
  meaning?: MeaningConfig
  audit?: { arguments?: boolean }
  backends: Backend[]
  log?: (level: 'info' | 'warn', message: string) => void
}

/** A node that runs in this process. */
export interface RunningNode {
  readonly mesh: Mesh
  /** Base URL of the local API. */
  readonly api: string
  readonly dataDir: string
  /** Resolves when it has stopped, by `stop` or through its API: `changed` if only to be run again, in another mesh. Rejects if stopping failed. */
  readonly stopped: Promise<'stopped' | 'changed'>
  /** Withdraws, drains, closes the API, frees the data directory. Idempotent. */
  stop(): Promise<void>
}

/**
 * Starts a node. Throws `conflict` if another runs on the data directory or the API port is taken, `invalid_config`;
 * what had begun is undone then.
 */
export async function runNode(
  settings: Settings,
  createNode: (init: NodeInit) => Promise<Mesh>,
  log?: NodeInit['log']
): Promise<RunningNode> {
  const { config, baseDir, apiKey } = settings
  const undo: (() => Promise<unknown>)[] = []
  // Last begun, first ended; one that fails does not keep the others from ending.
  const unwind = async () => {
    const errors: unknown[] = []
    for (const step of undo.splice(0).reverse()) await step().catch((error: unknown) => errors.push(error))
    if (errors.length > 0) throw errors[0]
  }
  try {
    const dataDir = await openDataDir(settings.dataDir)
    undo.push(() => dataDir.release())
    const token = await ensureApiToken(dataDir.path)
    const hooks = createHooks({ secret: token })
    const backends = await createBackends(config, { baseDir, hooks, log })
    const { name, listen, peers, mdns, policy, limits, changedDescriptors, cost, events, audit } = config
    const meaning = resolvedMeaning(config.meaning, baseDir)
    const rules = { policy, limits, changedDescriptors, cost, events, audit, meaning }
    const mesh = await createNode({ name, dataDir, listen, peers, mdns, ...rules, backends, log })
    let stopping: Promise<void> | undefined
    const stop = () => (stopping ??= unwind())
    let tell: { resolve: (how: 'stopped' | 'changed') => void; reject: (reason: unknown) => void } | undefined
    const stopped = new Promise<'stopped' | 'changed'>((resolve, reject) => (tell = { resolve, reject }))
    stopped.catch(() => {})
    let how: 'stopped' | 'changed' = 'stopped'
    const warn = (error: unknown) => log?.('warn', (error as Error).message)
    const stopAndTell = () =>
      void stop()
        .catch((error: unknown) => {
          if (how === 'stopped') throw error
          // Who changes its mesh is to go on, whatever was left behind.
          warn(error)
        })
        .then(() => tell?.resolve(how), tell?.reject)
    const restart = (work: () => Promise<unknown>) => {
      if (stopping !== undefined) throw new MeshError('unavailable', 'the node is stopping')
      how = 'changed'
      // After the mesh has stopped, which writes to the directory, and before that is free for others.
      undo.splice(1, 0, () => work().catch(warn))
      stopAndTell()
    }
    const change = createMeshChange({ mesh, dir: dataDir.path, name, restart })
    undo.push(() => mesh.stop())
    const agents = await startAgents({ mesh, agents: config.agents ?? [], dataDir: dataDir.path, log })
    // What agents do ends first: it may take much longer than a node that stops.
    undo.splice(-1, 1, () => agents.stop().finally(() => mesh.stop()))
    const api = { token, listen: config.api, apiKey, stop: stopAndTell, change, readings: createReadings(dataDir.path) }
    const server = await serveApi({ mesh, agents, hooks, ...api })
    // The mesh drains first: calls that run over the API end with an answer.
    undo.splice(-1, 0, () => server.close())
    undo.splice(-2, 0, () => removeNodeFile(dataDir.path))
    await writeNodeFile(dataDir.path, {
      pid: process.pid,
      api: server.url,
      peerId: mesh.peerId,
      startedAt: new Date().toISOString()
    })
    return {
      mesh,
      api: server.url,
      dataDir: dataDir.path,
      stopped,
      stop: () => {
        how = 'stopped'
        stopAndTell()
        return stop()
      }
    }
  } catch (error) {
    await unwind().catch(() => {})
    throw error
  }
}

/** Offers what the configuration names; a node that is told nothing has the `system` backend, so that there is something to call. */
async function createBackends(config: Config, init: Pick<BackendContext, 'baseDir' | 'hooks' | 'log'>): Promise<Backend[]> {
  const configs = config.backends ?? [{ kind: 'system' }]
  const backends: Backend[] = []
  for (const one of configs) backends.push(await createBackend(one, { ...init, version: VERSION }))
  return backends
}
