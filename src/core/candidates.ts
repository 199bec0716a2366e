import type { CapabilityDeclaration, ToolDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { NodeCost } from './dispatch/candidate.ts'
import { Provider, compareOffers, createProviderClasses, type ProviderClasses } from './provider-classes.ts'
import { statusOf, toolOf } from './query.ts'
import { nearest } from '../../protocols/nearest.ts'
import { nodeCalled, nodesCalled, parseTarget } from '../../protocols/named-node.ts'
import { shortId } from '../../protocols/short-id.ts'

/** A capability of some node, as the choice of a provider sees it. */
export interface Offer {
  /** PeerId. */
  node: string
  nodeName: string
  local: boolean
  /** A session is open, so a call starts at once. */
  direct: boolean
  /** Smoothed round trip in ms, undefined before the first measurement. */
  rttMs: number | undefined
  /** Of the way there: 1 with a session; undefined where none is known. */
  hops?: number | undefined
  /** PeerId of the next hop, and what the way costs, in ms, where there is no session. */
  via?: string | undefined
  metricMs?: number | undefined
  /** What calls on it cost beside time, as it announces. */
  cost?: NodeCost | undefined
  /** Of the capability; cheaper to ask for than the rest. */
  id: string
  type: string
  capability: CapabilityDeclaration
  /** Not to be chosen: its descriptor has changed, and nobody here has accepted that. */
  blocked?: boolean
  /** Id of the other mesh that lends it. Default: it is of the own mesh. */
  mesh?: string
}

/** Who is able to run a call. */
export interface Candidates {
  /** As the first of the offers declares it. */
  tool: ToolDeclaration
  /** This node first, if it is among them. */
  offers: Offer[]
  /** The same, for the choice among them. */
  providers: ProviderClasses
}

/**
 * Finds who can run `tool` of `target`: by id, else by type. The same id and type on several nodes is the same thing,
 * unless its scope is `node`; different types under one id are not, but where this node offers one of them, that one is meant.
 * @param ids only what has one of these ids.
 * @throws MeshError `unknown_capability`, `unknown_tool`, `ambiguous`, `unavailable`, `permission_denied`; messages name what is near.
 */
export function findCandidates(
  offers: readonly Offer[],
  target: string,
  tool: string,
  node?: string,
  ids?: readonly string[]
): Candidates {
  let found = answers.get(offers)
  if (found === undefined) answers.set(offers, (found = new Map<string, Candidates>()))
  const key = `${target}\n${tool}\n${node ?? ''}\n${ids?.join(' ') ?? ''}`
  let able = found.get(key)
  if (able === undefined) {
    able = findAble(amongIds(offers, ids), target, tool, node)
    if (found.size < MAX_ANSWERS) found.set(key, able)
  }
  return able
}

/** What has one of these ids; all without them. */
export function amongIds(offers: readonly Offer[], ids: readonly string[] | undefined): readonly Offer[] {
  return ids === undefined ? offers : offers.filter(({ id }) => ids.includes(id))
}

/** Most that an error names of what a name may mean. */
const MAX_REFS = 10
/** Questions remembered per state of the directory. */
const MAX_ANSWERS = 1_024
/** Who is able changes only with the directory and the ways, which make a new array then; who is best, with every call. */
const answers = new WeakMap<readonly Offer[], Map<string, Candidates>>()

/**
 * The offers that a target means, whatever their tools and states.
 * @throws MeshError `unknown_capability`, `ambiguous`, `unavailable` if there is no such node.
 */
export function findNamed(offers: readonly Offer[], target: string, node?: string): { name: string; named: Offer[] } {
  const parsed = parseTarget(target)
  const wantedNode = node ?? parsed.node
  const inScope = wantedNode === undefined ? offers : onNode(offers, wantedNode)
  const name = node !== undefined || parsed.node !== undefined ? parsed.name : target
  const byId = inScope.filter((offer) => offer.id === name)
  // What the own mesh has of this type goes before what another calls by this name.
  const isOwn = byId.some((offer) => offer.mesh === undefined)
  const byType = isOwn ? [] : inScope.filter((offer) => offer.type === name)
  const useId = isOwn || (byId.length > 0 && !byType.some((offer) => offer.mesh === undefined))
  const named = preferOwn(useId ? byId : byType)
  if (named.length === 0) throw unknownCapability(inScope, name, wantedNode)
  refuseAmbiguous(offers, named, name)
  return { name, named }
}

function findAble(offers: readonly Offer[], target: string, tool: string, node: string | undefined): Candidates {
  const { name, named } = findNamed(offers, target, node)
  const able = named.filter(({ capability }) => toolOf(capability, tool) !== undefined)
  // What is offline may not even know its tools: that is the reason, not the name.
  if (able.length === 0 && !named.some(isCallable)) throw notCallable(named, name)
  if (able.length === 0) {
    const names = [...new Set(named.flatMap((offer) => (offer.capability.tools ?? []).map((t) => t.name)))]
    const near = nearest(tool, names)
    const hint = near === undefined ? `it has ${names.slice(0, 20).join(', ')}` : `did you mean "${near}"?`
    const handles = named.some(({ capability }) => capability.handles !== undefined) ? ': it handles events' : ''
    const what = names.length === 0 ? `"${name}" has no tools${handles}` : `"${name}" has no tool "${tool}"`
    const reasons = named.map(reasonOf).filter((reason) => reason !== '')
    throw new MeshError('unknown_tool', `${what}${reasons.join('')}${names.length === 0 ? '' : `; ${hint}`}`, {
      capability: name,
      tool,
      tools: names.slice(0, 50)
    })
  }
  const callable = able.filter(isCallable)
  if (callable.length === 0) throw notCallable(able, name)
  const accepted = callable.filter(({ blocked }) => blocked !== true)
  if (accepted.length === 0) throw notAccepted(callable, name)
  const sorted = accepted.sort(compareOffers)
  const providers = createProviderClasses(sorted.map((offer) => new Provider(offer, tool)))
  return { tool: toolOf(sorted[0]!.capability, tool)!, offers: sorted, providers }
}

/**
 * What this node offers under a name is what it means by it: others that announce something else under it do not count. Nor do those of
 * another mesh that lends something else, or something of which the node matters, under a name of the own mesh.
 */
function preferOwn(all: Offer[]): Offer[] {
  const home = all.filter((offer) => offer.mesh === undefined)
  const same = ({ type, capability }: Offer): boolean =>
    home.every((own) => own.type === type && own.capability.scope !== 'node') && capability.scope !== 'node'
  const named = home.length === 0 ? all : all.filter((offer) => offer.mesh === undefined || same(offer))
  const own = named.filter((offer) => offer.local)
  return own.length === 0 ? named : named.filter((offer) => own.some(({ type }) => type === offer.type))
}

/** True unless it says itself that it cannot be called now. */
export function isCallable({ capability }: Offer): boolean {
  return !['offline', 'suspended'].includes(statusOf(capability))
}

function notCallable(offers: readonly Offer[], name: string): MeshError {
  const reasons = offers.map((offer) => `${offer.nodeName}: ${statusOf(offer.capability)}${reasonOf(offer)}`)
  return new MeshError('unavailable', `"${name}" cannot be called now (${reasons.join('; ')})`, { capability: name, reasons })
}

function notAccepted(offers: readonly Offer[], name: string): MeshError {
  const { node, nodeName, id } = offers[0]!
  return new MeshError(
    'permission_denied',
    `what "${name}" on ${nodeName} says of itself has changed since it was accepted; look at it with atmo capabilities ${id}@${node}, then run: atmo accept ${node} ${id}`,
    { reason: 'descriptor-changed', capability: id, nodes: offers.map((offer) => offer.node) }
  )
}

function onNode(offers: readonly Offer[], node: string): readonly Offer[] {
  const meant = nodeCalled(offers, node)
  if (meant !== undefined) return offers.filter((offer) => offer.node === meant)
  const known = [...new Set(offers.map((offer) => offer.nodeName))]
  throw new MeshError('unavailable', `no node "${node}" is here; known: ${known.slice(0, 20).join(', ') || 'none'}`, {
    node,
    known: known.slice(0, 50)
  })
}

function refuseAmbiguous(offers: readonly Offer[], named: readonly Offer[], name: string): void {
  const types = [...new Set(named.map((offer) => offer.type))]
  const isEachItsOwn = named.length > 1 && named.some((offer) => offer.capability.scope === 'node')
  if (types.length < 2 && !isEachItsOwn) return
  const why =
    types.length > 1 ? `is ${types.length} different things (${types.join(', ')})` : 'is on several nodes, and each is its own'
  const refs = named.slice(0, MAX_REFS).map((offer) => refOf(offers, offer))
  throw new MeshError('ambiguous', `"${name}" ${why}; say which: ${refs.join(', ')}`, { refs })
}

/** `ID@NODE` that means this one: by the name of its node, where that is enough, else by the end of its PeerId as tables show it. */
function refOf(offers: readonly Offer[], { id, node, nodeName }: Offer): string {
  const isEnough = (given: string): boolean => {
    const meant = nodesCalled(offers, given)
    return meant.length === 1 && meant[0] === node && !given.includes('@')
  }
  return `${id}@${[nodeName, shortId(node)].find(isEnough) ?? node}`
}

function unknownCapability(offers: readonly Offer[], name: string, node: string | undefined): MeshError {
  const ids = [...new Set(offers.flatMap((offer) => [offer.id, offer.type]))]
  const near = nearest(name, ids)
  const where = node === undefined ? 'in the mesh' : `on ${node}`
  const hint = near === undefined ? 'see `atmo capabilities`' : `did you mean "${near}"?`
  return new MeshError('unknown_capability', `nothing ${where} is called "${name}"; ${hint}`, {
    capability: name,
    ...(near === undefined ? {} : { near })
  })
}

function reasonOf(offer: Offer): string {
  const { statusReason } = offer.capability
  return statusReason === undefined ? '' : `, ${statusReason}`
}
