/** Backend `local-ai`: the AI servers that run on this machine, found by themselves; one capability for each model that the owner shares. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { matchName } from '../../protocols/glob.ts'
import type { MeshError } from '../errors.ts'
import type { Backend } from './backend.ts'
import { createHandlerCalls, unknownCapability } from './handler-calls.ts'
import type { LocalAiConfig } from './local-ai-config.ts'
import { createPresence } from './local-ai-presence.ts'
import { DEFAULT_NAMESPACES } from './local-ai-llamafarm.ts'
import type { FoundModel } from './local-ai-model.ts'
import { createOffer } from './local-ai-offer.ts'
import type { Offer } from './local-ai-offer.ts'
import { createSurvey } from './local-ai-servers.ts'
import type { FoundServer } from './local-ai-servers.ts'
import { createOwnSignal } from './own-signal.ts'
import { chatCapabilityId } from './openai-config.ts'
import { createRecheck, discoverBy } from './recheck.ts'

/** Time between two looks, where the configuration says nothing, in ms. */
export const DEFAULT_REFRESH_MS = 15_000
/** Time for one answer, where the configuration says nothing, in ms. */
export const DEFAULT_ANSWER_MS = 600_000
/** Answers of one model at once. */
const DEFAULT_CONCURRENCY = 4
/** Longest id of a capability. */
const MAX_ID = 128

/** What the backend needs beside its configuration. */
export interface LocalAiInit {
  /** Version of Atmosphere. */
  version: string
  /** Variables that keys are read from. Default: those of the process. */
  env?: Record<string, string | undefined>
}

/** How a model is called in `share`: `ENGINE/MODEL`. */
export function shareName(server: Pick<FoundServer, 'engine'>, { name, model }: Pick<FoundModel, 'name' | 'model'>): string {
  return `${server.engine}/${name ?? model}`
}

/** Whether the configuration shares it. What may not be shared is withheld before. */
export function isShared(name: string, { share, except = [] }: Pick<LocalAiConfig, 'share' | 'except'>): boolean {
  return share.some((glob) => matchName(glob, name)) && !except.some((glob) => matchName(glob, name))
}

interface Shared {
  key: string
  server: FoundServer
  model: FoundModel
  problem?: string
}

/** Makes the backend. */
export function createLocalAiBackend(config: LocalAiConfig, init: LocalAiInit): Backend {
  const { timeoutMs = DEFAULT_ANSWER_MS, concurrency = DEFAULT_CONCURRENCY } = config
  const survey = createSurvey({ ...config, namespaces: config.namespaces ?? DEFAULT_NAMESPACES }, init)
  const presence = createPresence()
  const offers = new Map<string, Offer>()
  // Makes what a call fails with that goes nowhere.
  const nowhere = createHandlerCalls(({ capability }) => {
    throw unknownCapability(capability)
  })
  const own = createOwnSignal(new AbortController().signal)
  let said: CapabilityDeclaration[] = []

  function wanted(servers: { server: FoundServer; problem?: string }[]): Map<string, Shared> {
    const all = servers.flatMap(({ server, problem }) =>
      server.models
        .filter((model) => model.withheld === undefined && isShared(shareName(server, model), config))
        .map((model): Shared => ({ key: keyOf(server, model), server, model, ...(problem !== undefined && { problem }) }))
    )
    return new Map(all.map((one) => [one.key, one]))
  }

  const isBusy = (url: string): boolean => [...offers.values()].some((offer) => offer.url === url && offer.running > 0)

  async function reconcile(shared: Map<string, Shared>): Promise<CapabilityDeclaration[]> {
    const gone = [...offers].filter(([key]) => !shared.has(key))
    for (const [key] of gone) offers.delete(key)
    await Promise.all(gone.map(([, offer]) => offer.stop()))
    const taken = new Set([...offers.values()].map(({ id }) => id))
    await Promise.all(
      [...shared.values()]
        .filter(({ key }) => !offers.has(key))
        .map(async ({ key, server, model }) => {
          const id = freeId(server, model, taken)
          const apiKeyEnv = config.servers?.find(({ url }) => url.replace(/\/+$/, '') === server.url)?.apiKeyEnv
          offers.set(key, await createOffer(model, { id, server, apiKeyEnv, env: init.env, timeoutMs, concurrency }, own.signal))
        })
    )
    return [...shared.values()].map(({ key, model, problem }) => offers.get(key)!.declare(model, problem))
  }

  const recheck = createRecheck(
    async (signal) => {
      try {
        said = await reconcile(wanted(presence.after(await survey.look(signal), isBusy)))
      } catch (error) {
        // What was there is not gone because the node is stopping.
        if (!signal.aborted) throw error
      }
      return said
    },
    { everyMs: config.refreshMs ?? DEFAULT_REFRESH_MS }
  )

  const calls = {
    async stop(error: MeshError): Promise<void> {
      own.stop()
      await Promise.all([nowhere.stop(error), ...[...offers.values()].map((offer) => offer.stop())])
    }
  }

  return {
    id: config.id ?? 'local-ai',
    kind: 'local-ai',
    call(request, options) {
      for (const offer of offers.values()) if (offer.id === request.capability) return offer.call(request, options)
      return nowhere.call(request, options)
    },
    discover: (signal) => discoverBy(recheck, calls, signal)
  }
}

/** What makes another capability of it if it changes. */
function keyOf({ url, engine }: FoundServer, { type, model, name, path, documents, voicePath }: FoundModel): string {
  return JSON.stringify([url, engine, type, model, name, path, documents === true, voicePath])
}

/** The same model has the same id on all nodes, so that one stands in for another; on one node the second server says which it is. */
function freeId({ engine, url }: FoundServer, { model, name }: FoundModel, taken: Set<string>): string {
  const base = chatCapabilityId({ model: name === undefined ? model : `${engine}:${name.replaceAll('/', ':')}` })
  const port = new URL(url).port
  const endings = ['', `:${engine}`, `:${engine}-${port}`, ...Array.from({ length: 64 }, (_, n) => `:${engine}-${port}-${n + 2}`)]
  const ids = endings.map((ending) => `${base.slice(0, MAX_ID - ending.length)}${ending}`)
  const id = ids.find((one) => !taken.has(one)) ?? ids[0]!
  taken.add(id)
  return id
}
