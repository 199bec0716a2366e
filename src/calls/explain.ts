import { findCandidates, findNamed, isCallable, type Offer } from '../core/candidates.ts'
import { STARVING_MS } from '../core/dispatch/candidate-set.ts'
import type { DispatchRequest, Ranked } from '../core/dispatch/candidate.ts'
import { FAILURES_TO_OPEN } from '../core/dispatch/circuit-breaker.ts'
import type { Dispatcher } from '../core/dispatch/dispatcher.ts'
import type { Load } from '../core/invoke.ts'
import { Provider, classOf, createProviderClasses, hasWay, type ProviderClasses } from '../core/provider-classes.ts'
import { matches, statusOf } from '../core/query.ts'
import { isMeshError } from '../errors.ts'
import type { ExplainedCandidate, Explanation, MeshRoutes } from '../mesh-api.ts'
import { Plan, requestOf } from './plan.ts'
import { MAX_ATTEMPTS } from './retry.ts'

/** What explaining needs. */
export interface ExplainComponents {
  /** Everything that is offered now, by this node and others. */
  offers(): Offer[]
  dispatcher: Dispatcher
  /** How busy this node itself is with a tool. */
  loadHere(capability: string, tool: string): Load | undefined
  now: () => number
}

/** Says who would be called, and why; see {@link MeshRoutes}. */
export function createExplain({ offers, dispatcher, loadHere, now }: ExplainComponents): MeshRoutes['explain'] {
  function find(target: string, tool: string | undefined, node: string | undefined): ProviderClasses {
    try {
      const its = tool ?? findNamed(offers(), target, node).named.flatMap(({ capability: { tools = [] } }) => tools)[0]?.name
      return findCandidates(offers(), target, its ?? '', node).providers
    } catch (error) {
      const providers = isMeshError(error, 'unknown_capability') ? findByWords(offers(), target, tool, node) : []
      if (providers.length === 0) throw error
      return createProviderClasses(providers)
    }
  }

  return (target, tool, { node, bytes, ...preference } = {}): Explanation => {
    const providers = find(target, tool, node)
    const at = now()
    const request = requestOf(preference, providers, bytes)
    for (const own of providers.local) {
      const load = loadHere(own.offer.capability.id, own.tool)
      if (load !== undefined) dispatcher.feedback(own, load, at)
    }
    const tries = new Plan(dispatcher, providers, request, at).ranked(at)
    const named = new Set(tries.map(({ candidate }) => candidate))
    const others = providers.all.filter((one) => !named.has(one)).map((one) => dispatcher.rank(one, request, at))
    others.sort((a, b) => a.score - b.score)
    return {
      target,
      tool: [...new Set(providers.all.map((one) => one.tool))].join(', '),
      candidates: [...tries, ...others].map((ranked, n) =>
        explained(ranked, n < Math.min(tries.length, MAX_ATTEMPTS) ? n + 1 : null, tries[0], request)
      )
    }
  }
}

/** Capabilities in which all words occur, each with that tool, or else with its first. */
function findByWords(offers: readonly Offer[], text: string, tool: string | undefined, node: string | undefined): Provider[] {
  return offers.flatMap((offer) => {
    const { capability } = offer
    const its = tool ?? capability.tools?.[0]?.name
    const isThere = node === undefined || node === offer.node || node === offer.nodeName
    if (its === undefined || !isThere || !isCallable(offer) || offer.blocked === true) return []
    return matches(capability, { text, tool: its }) ? [new Provider(offer, its)] : []
  })
}

function explained(ranked: Ranked, place: number | null, best: Ranked | undefined, request: DispatchRequest): ExplainedCandidate {
  const { offer } = ranked.candidate as Provider
  const { node, nodeName, capability, local, direct, via, hops } = offer
  return {
    node,
    nodeName,
    capability: capability.id,
    local,
    direct,
    via: via ?? null,
    hops: local ? 0 : direct ? 1 : (hops ?? null),
    status: statusOf(capability),
    place,
    why: hasWay(offer) ? ranked.why : 'unreachable',
    reason: [reasonOf(ranked, place, best, request), ...classReasons(offer, best)].join('; '),
    rttMs: rounded(ranked.rttMs),
    serviceMs: rounded(ranked.serviceMs),
    etaMs: rounded(ranked.etaMs),
    score: rounded(ranked.score),
    running: rounded(ranked.running),
    outstanding: ranked.outstanding,
    slots: ranked.slots,
    heardMs: Number.isFinite(ranked.heardMs) ? rounded(ranked.heardMs) : null
  }
}

function reasonOf(ranked: Ranked, place: number | null, best: Ranked | undefined, { maxLatencyMs }: DispatchRequest): string {
  const { why, etaMs, score, running, slots } = ranked
  const cost = score > etaMs ? `, and what it costs counts as ${shown(score - etaMs)} more` : ''
  const expected =
    score < etaMs
      ? 'nothing is known of how long it takes there: a call finds out'
      : `expected to be done in ${shown(etaMs)}${cost}`
  switch (why) {
    case 'local':
      return `this node itself, ${expected}`
    case 'sampled':
      if (place === 1) return `${expected}: the first of those that were compared`
      return `${expected}: later than ${nameOf(best)}, and tried if that fails`
    case 'explored':
      return `it has had no call of this kind for ${STARVING_MS / 1_000} s: one of a hundred calls finds out whether it is better than it was`
    case 'reserve':
      return place === null ? `${expected}: after others that would be tried` : `${expected}: tried if those before it fail`
    case 'not sampled':
      return `${expected}: not among the few that were drawn for this call; another call may draw it`
    case 'breaker open':
      return `the last ${FAILURES_TO_OPEN} calls or more could not be done there: it is left alone for some seconds`
    case 'full':
      return `about ${Math.round(running)} calls run and wait there, at ${slots} at once: it would probably refuse`
    case 'over max latency':
      return `${expected}: longer than the ${shown(maxLatencyMs!)} that are allowed`
    case 'excluded':
      return 'the caller excludes it'
  }
}

/** Why it comes after all of a better class. */
function classReasons(offer: Offer, best: Ranked | undefined): string[] {
  const first = (best?.candidate as Provider | undefined)?.offer
  if (first === undefined || first === offer || classOf(offer) <= classOf(first)) return []
  const status = statusOf(offer.capability)
  const reasons = [
    ...(offer.mesh === undefined ? [] : ['of another mesh']),
    ...(hasWay(offer) ? [] : ['no way to it is known']),
    ...(status === 'online' ? [] : [`it says of itself that it is ${status}`])
  ]
  return [`${reasons.join(', ')}: only if no better one is left`]
}

const nameOf = (ranked: Ranked | undefined): string => (ranked?.candidate as Provider | undefined)?.offer.nodeName ?? 'another'
const rounded = (value: number): number => Math.round(value * 100) / 100
const shown = (ms: number): string =>
  ms >= 10_000 ? `${Math.round(ms / 1_000)} s` : `${ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)} ms`
