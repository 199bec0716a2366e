/**
 * The projects of a LlamaFarm server. What it answers holds whole configurations, with system prompts and keys of other services: what is not named here
 * is not read, and nothing but names and the description of a model goes on. Only projects of allowed namespaces are asked for.
 */
import type { JsonObject } from '../../protocols/json.ts'
import { listingError } from './local-ai-listings.ts'
import { asName, asObject, asText, eachOnce, isObject, objectsIn } from './local-ai-model.ts'
import type { FoundModel } from './local-ai-model.ts'
import type { Probe } from './local-ai-probe.ts'

/** Namespaces that are shared where the configuration names none: the one that LlamaFarm's users know for that. */
export const DEFAULT_NAMESPACES: readonly string[] = ['discoverable']
/** Its requests keep no conversation on the disk of LlamaFarm. */
const STATELESS = { 'x-no-session': '1' }

/** Loopback, private and link-local addresses, and names that only this network knows. */
const NEARBY =
  /^(127|10|0)\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|^169\.254\.|^[^.:[\]]+$|\.(local|lan|internal|home\.arpa)$|^\[(::1\]|f[cd]|fe[89ab])/i

/** What its health says of parts that projects need. */
interface Health {
  /** Names of components that do not work. */
  down: Set<string>
}

/** The projects of these namespaces. */
export async function listLlamaFarm(probe: Probe, { namespaces }: { namespaces: readonly string[] }): Promise<FoundModel[]> {
  const health = await healthOf(probe)
  const found: FoundModel[] = []
  for (const namespace of namespaces) {
    const path = `/v1/projects/${encodeURIComponent(namespace)}`
    const { status, json } = await probe.get(path)
    // Older servers do not find a namespace without projects.
    if (status === 404) continue
    if (status !== 200 || !isObject(json) || !Array.isArray(json['projects'])) throw listingError(path, status)
    found.push(...objectsIn(json['projects']).flatMap((project) => ofProject(project, namespace, health)))
  }
  return eachOnce(found)
}

function ofProject(project: JsonObject, namespace: string, health: Health): FoundModel[] {
  const name = asName(project['name'])
  // A server that lists the projects of others would have them shared as of an allowed namespace.
  if (name === undefined || project['namespace'] !== namespace) return []
  const config = asObject(project['config'])
  const runtime = asObject(config['runtime'])
  const models = objectsIn(runtime['models'])
  const model = models.find((one) => one['name'] === runtime['default_model']) ?? models[0] ?? {}
  const called = asName(model['name'])
  const api = [namespace, name].map(encodeURIComponent).join('/')
  const documents = objectsIn(asObject(config['rag'])['databases']).length > 0
  const voice = asObject(config['voice'])
  const found: FoundModel = {
    model: called ?? name,
    name: `${namespace}/${name}`,
    type: 'llm/chat',
    typeFrom: 'server',
    description: asText(model['description']),
    tools: models.some((one) => objectsIn(one['tools']).length > 0 || Array.isArray(one['mcp_servers'])),
    path: `/v1/projects/${api}`,
    headers: STATELESS,
    documents,
    voicePath: voice['enabled'] !== false && typeof voice['llm_model'] === 'string' ? `/v1/${api}` : undefined,
    degraded: problemOf(health, asName(model['provider']), documents),
    withheld: withheldBecause(project, called, model)
  }
  return [found]
}

function withheldBecause(project: JsonObject, called: string | undefined, model: JsonObject): string | undefined {
  // What it says of it may quote the configuration.
  if (project['validation_error'] !== undefined) return 'its configuration is not valid; LlamaFarm says why'
  if (called === undefined) return 'its configuration names no model'
  if (isElsewhere(model)) return 'its model does not run in this house: it belongs to a service on the internet'
  return undefined
}

/** The API of a cloud is one of OpenAI without an address, or with one that is not of this network. */
function isElsewhere({ provider, base_url: baseUrl, model }: JsonObject): boolean {
  if (typeof baseUrl === 'string' && baseUrl !== '') return !isNearby(baseUrl)
  return provider === 'openai' || (provider === 'ollama' && /[:-]cloud$/.test(asName(model) ?? ''))
}

function isNearby(url: string): boolean {
  try {
    return NEARBY.test(new URL(url).hostname)
  } catch {
    return false
  }
}

async function healthOf(probe: Probe): Promise<Health> {
  // It says "unhealthy" with status 200, and where Ollama is merely not installed: what counts is what a project needs.
  const json = asObject((await probe.get('/health').catch(() => undefined))?.json)
  const down = objectsIn(json['components'])
    .filter(({ status }) => status === 'unhealthy')
    .flatMap(({ name }) => asName(name) ?? [])
  return { down: new Set(down) }
}

function problemOf({ down }: Health, provider: string | undefined, documents: boolean): string | undefined {
  if (provider !== undefined && down.has(provider))
    return `LlamaFarm says that ${provider}, which its model needs, is not healthy`
  return documents && down.has('rag-service') ? 'LlamaFarm says that the search of its documents is not healthy' : undefined
}
