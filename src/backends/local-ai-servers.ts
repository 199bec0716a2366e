/** Which AI servers answer now: goes through the addresses, recognises each by what it says, and lists its models. */
import type { JsonValue } from '../../protocols/json.ts'
import { MeshError, abortError } from '../errors.ts'
import type { LocalAiServer } from './local-ai-config.ts'
import { FINGERPRINTS, USUAL_PORTS, fingerprintOf } from './local-ai-fingerprints.ts'
import type { Engine, Fingerprint, ListingOptions } from './local-ai-fingerprints.ts'
import type { FoundModel } from './local-ai-model.ts'
import { ProbeError, createProbe } from './local-ai-probe.ts'
import type { Probe } from './local-ai-probe.ts'

/** Time for all questions to one address, in ms. */
const ADDRESS_MS = 12_000
/** Silent answers of one address until it is left alone. */
const MAX_SILENT = 2
/** A program that is none is asked again after so many looks, and then half as often each time. */
const FIRST_PAUSE = 2
const LONGEST_PAUSE = 32

/** A server that was recognised. */
export interface FoundServer {
  url: string
  engine: Engine
  /** For people. */
  name: string
  version?: string
  /** What has shown it. */
  because: string
  models: FoundModel[]
  /** Why its models are not known. */
  problem?: string
}

/** What was seen at one address. `nobody`: nothing listens. `unknown`: something that is not known, and why. `silent`: no answer in time. */
export type Sighting =
  | { url: string; saw: 'server'; server: FoundServer }
  | { url: string; saw: 'nobody' }
  | { url: string; saw: 'unknown'; because: string }
  | { url: string; saw: 'silent'; because: string }

/** Where to look. */
export interface SurveyConfig extends ListingOptions {
  ports?: readonly number[]
  servers?: readonly LocalAiServer[]
}

/** What a survey needs. */
export interface SurveyInit {
  env?: Record<string, string | undefined>
  /** Version of Atmosphere. */
  version: string
}

/** Looks, again and again; it remembers what does not change, and whom there is no use in asking. */
export interface Survey {
  /** Each address once, in the order of the configuration. @throws what the signal aborts with. */
  look(signal: AbortSignal): Promise<Sighting[]>
}

interface Address {
  url: string
  server: LocalAiServer | undefined
  memory: Map<string, JsonValue>
  /** What it was when it was last recognised. */
  engine?: Engine
  /** What it would have been at the last look, had not another mark come late. */
  doubtful?: Engine
  /** Looks until it is asked again, and the length of that pause. */
  wait: number
  pause: number
  last?: Sighting
}

/** Makes a {@link Survey}. */
export function createSurvey(config: SurveyConfig, init: SurveyInit): Survey {
  const userAgent = `atmosphere/${init.version} (looks for AI servers on this machine)`
  const named = (config.servers ?? []).map((server) => ({ url: server.url.replace(/\/+$/, ''), server }))
  const usual = (config.ports ?? USUAL_PORTS).map((port) => ({ url: `http://127.0.0.1:${port}`, server: undefined }))
  const urls = new Set<string>()
  const addresses: Address[] = [...named, ...usual]
    .filter(({ url }) => !urls.has(url) && urls.add(url) !== undefined)
    .map((one) => ({ ...one, memory: new Map(), wait: 0, pause: FIRST_PAUSE }))

  async function lookAt(address: Address, stop: AbortSignal): Promise<Sighting> {
    if (address.wait > 0 && address.last !== undefined) {
      address.wait--
      return address.last
    }
    const sighting = await sightingOf(address, stop)
    address.last = sighting
    if (sighting.saw === 'unknown') {
      address.wait = address.pause
      address.pause = Math.min(LONGEST_PAUSE, address.pause * 2)
    } else {
      address.pause = FIRST_PAUSE
      // Another program may listen there next.
      if (sighting.saw === 'nobody') address.memory.clear()
    }
    return sighting
  }

  async function sightingOf(address: Address, stop: AbortSignal): Promise<Sighting> {
    const { url, server, memory } = address
    const late = AbortSignal.timeout(ADDRESS_MS)
    const signal = AbortSignal.any([stop, late])
    const probe = createProbe({ url, memory, apiKeyEnv: server?.apiKeyEnv, env: init.env, userAgent, signal })
    try {
      const found = await recognise(probe, address)
      if ('saw' in found) return found
      return { url, saw: 'server', server: await listed(probe, found.fingerprint, found.because, config) }
    } catch (error) {
      if (stop.aborted) throw abortError(stop)
      if (error instanceof ProbeError && error.fault === 'refused') return { url, saw: 'nobody' }
      if (error instanceof ProbeError && error.fault === 'a node') return { url, saw: 'unknown', because: error.message }
      const because = late.aborted ? `it has not said all within ${ADDRESS_MS} ms` : (error as Error).message
      return { url, saw: 'silent', because }
    }
  }

  return {
    async look(signal) {
      return Promise.all(addresses.map((address) => lookAt(address, signal)))
    }
  }
}

/**
 * The first engine whose marks fit; the one of the last look is tried first. Servers imitate each other: where a mark that stands before came too late, what fits after it is taken at the second
 * look that says so.
 * @throws ProbeError `late` as well, for a server that is known, or in doubt: one that is slow for once is not another one.
 */
async function recognise(probe: Probe, address: Address): Promise<{ fingerprint: Fingerprint; because: string } | Sighting> {
  const said = address.server?.engine
  if (said !== undefined) return { fingerprint: fingerprintOf(said), because: 'the configuration says so' }
  const first = address.engine
  const order =
    first === undefined ? FINGERPRINTS : [fingerprintOf(first), ...FINGERPRINTS.filter(({ engine }) => engine !== first)]
  let silent = 0
  let late: ProbeError | undefined
  const statuses = new Set<number>()
  for (const fingerprint of order) {
    const { engine } = fingerprint
    for (const set of fingerprint.marks) {
      try {
        let shown = true
        for (const mark of set) {
          const reply = await probe.get(mark.path)
          statuses.add(reply.status)
          if (!(shown = mark.fits(reply))) break
        }
        if (!shown) continue
      } catch (error) {
        if (!(error instanceof ProbeError) || error.fault === 'refused' || error.fault === 'a node') throw error
        if (error.fault === 'late') late ??= error
        if (error.fault === 'late' && (engine === first || ++silent >= MAX_SILENT)) throw error
        continue
      }
      const wasDoubtful = address.doubtful === engine
      address.doubtful = late === undefined ? undefined : engine
      if (late !== undefined && !wasDoubtful) throw late
      address.engine = engine
      return { fingerprint, because: set.map(({ shows }) => shows).join(', and ') }
    }
  }
  if (late !== undefined && first !== undefined) throw late
  address.engine = undefined
  const locked = statuses.has(401) || statuses.has(403)
  const because = locked ? 'it wants a key, and says nothing without' : 'none of its answers is one of a known AI server'
  return { url: probe.url, saw: 'unknown', because }
}

async function listed(probe: Probe, fingerprint: Fingerprint, because: string, options: ListingOptions): Promise<FoundServer> {
  const { engine, name, list } = fingerprint
  const server = { url: probe.url, engine, name, because }
  try {
    const models = await list(probe, options)
    const version = await versionOf(probe, engine)
    return { ...server, ...(version !== undefined && { version }), models }
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    if (error.code !== 'protocol_error' && error.code !== 'permission_denied') throw error
    return { ...server, models: [], problem: error.message }
  }
}

const VERSIONS: Partial<Record<Engine, string>> = {
  llamafarm: '/info',
  localai: '/.well-known/localai.json',
  ollama: '/api/version'
}

/** Where the answer is there already. */
async function versionOf(probe: Probe, engine: Engine): Promise<string | undefined> {
  const path = VERSIONS[engine]
  if (path === undefined) return undefined
  const { json } = await probe.get(path)
  const version = typeof json === 'object' && json !== null && !Array.isArray(json) ? json['version'] : undefined
  return typeof version === 'string' && /^[\w.+-]{1,64}$/.test(version) ? version : undefined
}
